"""How fast a process's memory grows, with the interval that says whether it grows at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

BLOCKS = 24
SETTLED = 1 / 6  # of the time is left out: pools, caches and the allocator's arenas fill up first


@dataclass(frozen=True)
class Slope:
    """MiB per hour, with the ends of its 95 % interval; memory in MiB after settling and at the end."""

    mid: float
    low: float
    high: float
    first_mib: float
    last_mib: float

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high

    def __str__(self) -> str:
        return f"{self.mid:+.2f} MiB/h ({self.low:+.2f} … {self.high:+.2f}), {self.first_mib:.1f} → {self.last_mib:.1f} MiB"


def slope(at_s: Sequence[float], mib: Sequence[float]) -> Slope:
    """Theil and Sen's slope over medians of consecutive blocks: single readings follow one another too closely to count
    as so many (Sen 1968, J. Am. Stat. Assoc. 63:1379). It says nothing of growth that is not steady."""
    at, memory = np.asarray(at_s, float), np.asarray(mib, float)
    kept = at >= at[0] + SETTLED * (at[-1] - at[0])
    blocks = [
        (np.median(when), np.median(what))
        for when, what in zip(np.array_split(at[kept], BLOCKS), np.array_split(memory[kept], BLOCKS), strict=True)
    ]
    when, what = np.array(blocks).T
    mid, _, low, high = stats.theilslopes(what, when / 3600, 0.95)
    return Slope(float(mid), float(low), float(high), float(what[0]), float(what[-1]))
