"""Requests and tokens per minute, as providers count them: a bucket that fills evenly."""

from dataclasses import dataclass

from targets.reference.llm.parameters import Quota

_MINUTE_NS = 60_000_000_000


class Bucket:
    """Holds up to `limit`, filled at limit per minute; 0 is no limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._level = float(limit)
        self._at_ns = 0

    def level(self, now_ns: int) -> float:
        if self._at_ns:
            self._level = min(self.limit, self._level + (now_ns - self._at_ns) * self.limit / _MINUTE_NS)
        self._at_ns = now_ns
        return self._level

    def take(self, amount: float) -> None:
        self._level -= amount

    def wait_s(self, amount: float) -> float:
        """Seconds until this much is there."""
        missing = min(amount, self.limit) - self._level
        return max(0.0, missing * 60 / self.limit) if self.limit else 0.0


@dataclass(frozen=True)
class QuotaState:
    """One bucket as its headers tell it; `reset_s`: until it is full again."""

    limit: int
    remaining: int
    reset_s: float


class Quotas:
    """Both buckets of an account. The whole server is one account."""

    def __init__(self, quota: Quota) -> None:
        self._buckets = {"requests": Bucket(quota.requests_per_min), "tokens": Bucket(quota.tokens_per_min)}

    def charge(self, tokens: int, now_ns: int) -> tuple[str, float] | None:
        """Take one request and its tokens; or the name of the exhausted bucket and the seconds to wait."""
        amounts = {"requests": 1, "tokens": tokens}
        for name, bucket in self._buckets.items():
            if bucket.limit and bucket.level(now_ns) < min(amounts[name], bucket.limit):
                return name, bucket.wait_s(amounts[name])
        for name, bucket in self._buckets.items():
            if bucket.limit:
                bucket.take(amounts[name])
        return None

    def states(self, now_ns: int) -> dict[str, QuotaState]:
        """Those that are limited, by name."""
        found = {}
        for name, bucket in self._buckets.items():
            if bucket.limit:
                level = bucket.level(now_ns)
                found[name] = QuotaState(bucket.limit, max(0, int(level)), bucket.wait_s(bucket.limit))
        return found
