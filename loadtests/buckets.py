"""Log buckets of ratio γ = 1.01: any time in a bucket is within 0.5 % of the value that stands for it.

After DDSketch (Masson, Rim, Lee, PVLDB 12(12), 2019). Sums of two histograms are exact, so workers' merge into one.
"""

from collections.abc import Mapping
from functools import cache
from math import log

import numpy as np

GAMMA = 1.01
SMALLEST_MS = 1e-3


def bucket_index(ms: np.ndarray | float) -> np.ndarray:
    """The bucket of a time in ms; everything up to a microsecond shares bucket 0. Shape as given."""
    return np.maximum(np.ceil(np.log(np.maximum(ms, SMALLEST_MS) / SMALLEST_MS) / log(GAMMA)), 0).astype(np.int64)


def by_bucket(counts: np.ndarray) -> dict[int, int]:
    """Counts of shape (buckets,), from bucket 0 on, without the empty ones."""
    found = np.flatnonzero(counts)
    return dict(zip(found.tolist(), counts[found].tolist(), strict=True))


def bucket_value(index: np.ndarray | int) -> np.ndarray:
    """The time in ms that stands for a bucket: 2γ^i / (γ + 1)."""
    return SMALLEST_MS * 2 * GAMMA ** np.asarray(index, dtype=np.float64) / (GAMMA + 1)


@cache
def shown_ms(bucket: int) -> float:
    """The time that stands for a bucket, as Locust's statistics keep it."""
    return float(f"{float(bucket_value(bucket)):.6g}")


def bucketed(ms: float) -> float:
    """The time in ms as Locust's statistics keep it; replaces `locust.stats.bucket_response_time`."""
    return SMALLEST_MS if ms <= SMALLEST_MS else shown_ms(int(bucket_index(ms)))


def quantile_ms(counts: Mapping[int, int], q: float) -> float | None:
    """The q-quantile of a histogram of buckets, within half a percent. None where nothing was counted."""
    total, upto = sum(counts.values()), 0
    for bucket in sorted(counts):
        upto += counts[bucket]
        if upto >= q * total:
            return float(bucket_value(bucket))
    return None


def supported_ms(counts: Mapping[int, int], q: float) -> float | None:
    """The same where so many were counted that an interval could stand beside it; else None."""
    from measurements.quantiles import needed  # brings scipy, which no load process needs

    return quantile_ms(counts, q) if sum(counts.values()) >= needed(q) else None
