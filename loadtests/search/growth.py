"""Whether more came than was done, beyond chance: the in-flight of a service that cannot keep up grows without end."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

BINS = 16
SIGNIFICANT = 4.0
LEAST_SHARE, LEAST_REQUESTS = 0.01, 8


@dataclass(frozen=True)
class Growth:
    """`requests` more in flight at the end than at the beginning; `z` of its own noise; `mean` in flight."""

    requests: float
    z: float
    mean: float
    grows: bool


NONE = Growth(0.0, 0.0, 0.0, False)


def in_flight(intended_s: np.ndarray, done_s: np.ndarray, at_s: np.ndarray) -> np.ndarray:
    """How many were due and not done at each moment, shape (m,)."""
    came = np.searchsorted(np.sort(intended_s), at_s, side="right")
    return came - np.searchsorted(np.sort(done_s), at_s, side="right")


def growth(intended_s: np.ndarray, done_s: np.ndarray, begin_s: float, end_s: float) -> Growth:
    """Arrivals A are known, so what grew is A − D, and its noise is that of the completions D in `BINS` equal windows:
    z = (A − D) / √(BINS · Var(D_bin)). A saturated server completes evenly, so little growth is significant; one in
    balance follows its arrivals, so its completions vary as they do. Growth counts from 1 % of the arrivals on."""
    edges = np.linspace(begin_s, end_s, BINS + 1)
    level = in_flight(intended_s, done_s, edges)
    grown = float(level[-1] - level[0])
    done = np.searchsorted(np.sort(done_s), edges, side="right")
    arrivals = int(((intended_s > begin_s) & (intended_s <= end_s)).sum())
    noise = sqrt(BINS * max(float(np.var(np.diff(done), ddof=1)), 0.5))
    z = grown / noise
    enough = grown >= max(LEAST_REQUESTS, LEAST_SHARE * arrivals)
    # the second half must grow too: a step in the rate fills the house once and for all
    late = float(level[-1] - level[BINS // 2])
    return Growth(grown, z, float(level.mean()), bool(z > SIGNIFICANT and enough and late > 0.25 * grown))


def out_of_hand(intended_s: np.ndarray, done_s: np.ndarray, now_s: float, rate_rps: float, limit_s: float) -> bool:
    """Whether a trial may be stopped: more wait than could be answered within the limit (Little: 1.5 λL), and their
    number has grown since half of the time by four times what Poisson arrivals and as many departures vary (√(2λΔ))."""
    half, now = in_flight(intended_s, done_s, np.array([now_s / 2, now_s])).astype(float)
    return bool(now > 1.5 * rate_rps * limit_s + LEAST_REQUESTS and now - half > 4 * sqrt(rate_rps * now_s))
