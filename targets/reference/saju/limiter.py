"""The rate limit per address: its team's own table, and the `limits` library's in its place."""

import time
from typing import Protocol

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

WINDOW_S = 60.0


class Limiter(Protocol):
    def allows(self, address: str) -> bool:
        """Count a request; False when the address has had its share of the last 60 s."""
        ...

    def __len__(self) -> int:
        """Addresses remembered."""
        ...


class AddressTable:
    """As its team wrote it: old times are dropped, addresses never are."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._seen: dict[str, list[float]] = {}

    def allows(self, address: str) -> bool:
        now_s = time.monotonic()
        recent = [at_s for at_s in self._seen.get(address, ()) if at_s > now_s - WINDOW_S]
        allowed = len(recent) < self._per_minute
        self._seen[address] = [*recent, now_s] if allowed else recent
        return allowed

    def __len__(self) -> int:
        return len(self._seen)


class ForgettingTable:
    """The same limit, with addresses that expire."""

    def __init__(self, per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(per_minute)
        self._storage = MemoryStorage()
        self._limiter = MovingWindowRateLimiter(self._storage)

    def allows(self, address: str) -> bool:
        return bool(self._limiter.hit(self._limit, address))

    def __len__(self) -> int:
        return len(self._storage.events)


def make_limiter(per_minute: int, never_forgets: bool) -> Limiter:
    return AddressTable(per_minute) if never_forgets else ForgettingTable(per_minute)
