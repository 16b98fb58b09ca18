"""What a limit lets through, from the trials in which it refused: a rate, and the burst that it takes before that.

Between two refusals a token bucket is empty, so that what passed from a trial's first refusal to its last is its rate times
that time, give or take one request. At some moment before the first refusal it was last full: what passed from then on, less
what the rate brought meanwhile, is the burst; from any other moment on it comes out smaller.
Limits that count in fixed windows let blocks through instead; about those nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq

from loadtests.search.trial import Rows
from measurements.sample import Outcome

REFUSED_SHARE, FEWEST_REFUSED = 0.05, 8  # less often refused, a bucket fills up in between
LEAST_S, WINDOW_S = 0.3, 0.25
OFF = 3.0  # requests that a window may differ from the rate: one each end, one on its way
STEPS, LARGE = 20, 500  # of a request's refill; a burst from which on the edge is where the rate is


@dataclass(frozen=True)
class LetThrough:
    """`passed` requests in `seconds` while the limit refused, and `stored` of them before it began to."""

    passed: int
    seconds: float
    stored: float


@dataclass(frozen=True)
class Bucket:
    """Tokens come at `rate_rps` (its standard error beside it), at most `burst` are kept."""

    rate_rps: float
    error_rps: float
    burst: float

    def edge_rps(self, refused_share: float) -> tuple[float, float]:
        """(rate of Poisson arrivals at which that share is refused, its standard error)."""
        edge, lower = (
            self.rate_rps * _load_at(refused_share, max(burst, 1.0)) for burst in (self.burst, self.burst - 2)
        )
        return edge, float(np.hypot(self.error_rps, edge - lower))


def let_through(rows: Rows) -> LetThrough | None:
    """Of one trial; None where it refused too little to tell, or not as a bucket does."""
    refused_s = np.sort(rows.sent_s[rows.outcome == Outcome.rejected])
    passed_s = np.sort(rows.sent_s[rows.ok])
    if len(refused_s) < FEWEST_REFUSED or len(refused_s) < REFUSED_SHARE * len(rows):
        return None
    begin_s, end_s = float(refused_s[0]), float(refused_s[-1])
    if end_s - begin_s < LEAST_S:
        return None
    passed = _between(passed_s, begin_s, end_s)
    rate = passed / (end_s - begin_s)
    edges = refused_s[np.searchsorted(refused_s, np.arange(begin_s, end_s, WINDOW_S))]
    if any(abs(_between(passed_s, a, b) - rate * (b - a)) > OFF for a, b in pairwise(edges)):
        return None
    before_s = passed_s[passed_s < begin_s]
    stored = np.arange(len(before_s), 0, -1) - rate * (begin_s - before_s)
    return LetThrough(passed, end_s - begin_s, float(stored.max(initial=0.0)))


def bucket(seen: Iterable[LetThrough]) -> Bucket | None:
    """One bucket over several trials; None where there was none to see. Not every trial begins with a full one, so the
    burst is the most that was in store."""
    found = list(seen)
    if not found:
        return None
    seconds = sum(one.seconds for one in found)
    return Bucket(
        sum(one.passed for one in found) / seconds,
        len(found) ** 0.5 / seconds,
        max(0.0, *(one.stored for one in found)),
    )


@lru_cache
def _load_at(refused_share: float, burst: float) -> float:
    """Arrivals over refill at which Poisson arrivals are refused that often."""
    if burst > LARGE or refused_share <= 0:
        return 1.0
    return float(brentq(lambda load: _refused(load, burst) - refused_share, 0.01, 1 / (1 - refused_share), xtol=1e-4))


def _refused(load: float, burst: float) -> float:
    """The share of Poisson arrivals that find no whole token. What a bucket lacks is the work of an M/D/1 queue that refuses
    whom it would keep waiting for longer than burst - 1 refills; its density by level crossing (Brill and Posner 1977)."""
    last = round((burst - 1) * STEPS)
    below = np.zeros(last + STEPS + 2)  # the chance of less work than that, relative to the chance of a full bucket
    for k in range(last + STEPS + 1):
        idle = 1.0 if k < STEPS else 0.0
        came = below[min(k, last + 1)] - below[max(k - STEPS, 0)]
        below[k + 1] = below[k] + load * (idle + came) / STEPS
    return float((below[-1] - below[last + 1]) / (1.0 + below[-1]))


def _between(ordered: np.ndarray, begin: float, end: float) -> int:
    return int(np.searchsorted(ordered, end) - np.searchsorted(ordered, begin))
