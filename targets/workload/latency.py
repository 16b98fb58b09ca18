"""Response times in buckets 2 % wide: any number of them in 10 KiB, every quantile within 1 %."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

SMALLEST_S, GROWTH = 1e-6, 1.02
BUCKETS = 1_400  # up to 10^6 s
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
NEEDED = {"p50": 6, "p90": 36, "p95": 72, "p99": 368}  # as measurements.quantiles.needed, which imports SciPy (1 s)


def buckets(seconds: np.ndarray) -> np.ndarray:
    """Index of each time's bucket, int64; bucket 0 is below a microsecond, k > 0 is [1.02^(k−1), 1.02^k) µs."""
    with np.errstate(divide="ignore"):
        index = np.floor(np.log(seconds / SMALLEST_S) / log(GROWTH)) + 1
    return np.clip(index, 0, BUCKETS - 1).astype(np.int64)


class ResponseTimes:
    """Counts per bucket, with exact number, sum and maximum."""

    def __init__(self) -> None:
        self.counts = np.zeros(BUCKETS, np.int64)
        self.n = 0
        self.sum_s = 0.0
        self.max_s = 0.0

    def add(self, index: np.ndarray, counts: np.ndarray, sum_s: float, max_s: float) -> None:
        self.counts[index] += counts
        self.n += int(counts.sum())
        self.sum_s += sum_s
        self.max_s = max(self.max_s, max_s)

    def merge(self, other: ResponseTimes) -> None:
        self.counts += other.counts
        self.n += other.n
        self.sum_s += other.sum_s
        self.max_s = max(self.max_s, other.max_s)

    def quantile_s(self, p: float) -> float:
        """The middle (geometric) of the bucket that holds the order statistic ⌈p·n⌉, at most the maximum."""
        rank = max(1, int(np.ceil(p * self.n - 1e-9)))
        k = int(np.searchsorted(np.cumsum(self.counts), rank))
        return 0.0 if k == 0 else min(self.max_s, SMALLEST_S * GROWTH ** (k - 0.5))

    def as_json(self) -> dict[str, Any] | None:
        """In milliseconds; a quantile that so few cannot carry is null. None when empty."""
        if not self.n:
            return None
        found: dict[str, Any] = {"n": self.n, "mean": _ms(self.sum_s / self.n)}
        found |= {k: _ms(self.quantile_s(p)) if self.n >= NEEDED[k] else None for k, p in QUANTILES.items()}
        return found | {"max": _ms(self.max_s)}


def _ms(seconds: float) -> float:
    return float(f"{seconds * 1000:.4g}")
