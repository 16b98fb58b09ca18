"""Rate limits per client with the `limits` library: counted in the process, or in a database that all share."""

import time
from dataclasses import dataclass

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import Column, Engine, Float, Integer, MetaData, String, Table, delete, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from targets.reference.settings import refuse

METADATA = MetaData()
COUNTERS = Table(
    "rate_limits",
    METADATA,
    Column("key", String(200), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("expires_unix_s", Float, nullable=False),
)


class DatabaseStorage(Storage):
    """Counters in a table, so that replicas and workers that share the database share the limit."""

    STORAGE_SCHEME = None

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        try:
            return self._incr(key, expiry, amount)
        except IntegrityError:  # another process inserted the key between our update and our insert
            return self._incr(key, expiry, amount)

    def _incr(self, key: str, expiry: int, amount: int) -> int:
        now_s = time.time()
        with self._engine.begin() as connection:
            connection.execute(delete(COUNTERS).where(COUNTERS.c.expires_unix_s <= now_s))
            changed = connection.execute(
                COUNTERS.update().where(COUNTERS.c.key == key).values(count=COUNTERS.c.count + amount)
            )
            if changed.rowcount == 0:
                row = {"key": key, "count": amount, "expires_unix_s": now_s + expiry}
                connection.execute(COUNTERS.insert().values(row))
            return int(connection.execute(select(COUNTERS.c.count).where(COUNTERS.c.key == key)).scalar_one())

    def get(self, key: str) -> int:
        query = select(COUNTERS.c.count).where(COUNTERS.c.key == key, COUNTERS.c.expires_unix_s > time.time())
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar() or 0)

    def get_expiry(self, key: str) -> float:
        with self._engine.connect() as connection:
            expires = connection.execute(select(COUNTERS.c.expires_unix_s).where(COUNTERS.c.key == key)).scalar()
        return float(expires or time.time())

    def check(self) -> bool:
        self.get("")
        return True

    def reset(self) -> int:
        with self._engine.begin() as connection:
            return int(connection.execute(delete(COUNTERS)).rowcount)

    def clear(self, key: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(COUNTERS).where(COUNTERS.c.key == key))


def require_limits(service: str, text: str) -> None:
    """Limits that cannot be read end in one sentence and exit code 2."""
    try:
        parse_many(text)
    except ValueError:
        refuse(f'{service}: the limits {text!r} cannot be read; write them as "10/minute;100/hour".')


@dataclass(frozen=True, slots=True)
class Refused:
    limit: str
    retry_after_s: int


class RateLimits:
    """Several limits on one client, such as "10/minute;100/hour"; fixed windows that start at a client's first hit."""

    def __init__(self, limits: str, engine: Engine | None = None) -> None:
        self._limits: list[RateLimitItem] = parse_many(limits)
        self._limiter = FixedWindowRateLimiter(DatabaseStorage(engine) if engine else MemoryStorage())

    def hit(self, client: str) -> Refused | None:
        """Count one request of `client`; the first limit that it breaks, or None when it may go on."""
        for item in self._limits:
            if not self._limiter.hit(item, client):
                reset_s = self._limiter.get_window_stats(item, client).reset_time
                return Refused(str(item), max(1, round(reset_s - time.time())))
        return None
