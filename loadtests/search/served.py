"""What a service that is behind completes: where a cliff lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from loadtests.search.trial import Rows
from loadtests.search.verdict import Judgement

STILL_BUSY_S = 2.0


@dataclass(frozen=True)
class Served:
    """Good answers a second of a service that is behind, and the variance of their number over its mean."""

    rate_rps: float
    dispersion: float
    count: int

    @property
    def relative_error(self) -> float:
        return sqrt(max(self.dispersion, 0.05) / self.count)


def served(rows: Rows) -> Served | None:
    """From when the first fifth of the arrivals had come until two seconds after the last, while all its places were busy;
    None where there were too few."""
    done = np.sort(rows.done_s[rows.ok & (rows.done_s <= rows.elapsed_s + STILL_BUSY_S)])
    begin_s = 0.2 * rows.elapsed_s
    done = done[done > begin_s]
    bins = min(20, len(done) // 10)
    if bins < 2:
        return None
    counts = np.histogram(done, bins, (begin_s, float(done[-1])))[0]
    return Served(len(done) / float(done[-1] - begin_s), float(counts.var(ddof=1) / counts.mean()), len(done))


def served_of_the_mix(rows: Rows, judged: Mapping[str, Judgement]) -> Served | None:
    """Of the endpoint that falls behind, as a rate of the whole mix: the others are answered as fast as they come."""
    behind = max(rows.endpoints, key=lambda name: judged[name].growth.z if name in judged else 0.0, default="")
    mine = rows.of(behind)
    found = served(mine)
    return replace(found, rate_rps=found.rate_rps * len(rows) / len(mine)) if found else None
