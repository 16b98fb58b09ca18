"""How many replicas a bounded queue takes, by simulation: ⌈λ/μ⌉ knows neither losses nor uneven routing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from capacity.documents import between
from capacity.simulation import Discipline, poisson, resampled, simulate
from measurements.interval import Interval

REQUESTS = 30_000
MOST = 1_000


@dataclass(frozen=True)
class Goal:
    """What must hold for all requests together: at most `loss` lost, `p` of the rest within `within_s`."""

    loss: float = 0.01
    p: float = 0.95
    within_s: float | None = None


def holds(discipline: Discipline, service_s: np.ndarray, rate_rps: float, goal: Goal, seed: int = 1) -> bool:
    """Poisson arrivals at the balancer, service times drawn from those measured (n,)."""
    found = simulate(
        poisson(rate_rps, REQUESTS, seed), resampled(service_s, REQUESTS, seed + 1), discipline, seed + 2
    ).without_first(0.05)
    return found.loss <= goal.loss and (goal.within_s is None or found.quantile_s(goal.p) <= goal.within_s)


def replicas_for(
    discipline: Discipline, service_s: np.ndarray, rate_rps: float, goal: Goal, seed: int = 1
) -> int | None:
    """The smallest number of replicas with which the goal holds; None where not even many help (slow by themselves)."""
    low = max(1, ceil(rate_rps * float(np.mean(service_s)) / discipline.slots) // 2) - 1
    high = max(1, 2 * low)
    while not holds(replace(discipline, replicas=high), service_s, rate_rps, goal, seed):
        low, high = high, high * 2
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if holds(replace(discipline, replicas=middle), service_s, rate_rps, goal, seed):
            high = middle
        else:
            low = middle
    return high


def highest_rate(
    discipline: Discipline,
    service_s: np.ndarray,
    goal: Goal,
    seed: int = 1,
    slower: Callable[[float], float] = lambda _: 1.0,
) -> float:
    """The highest Poisson rate (rps, all replicas together) at which the goal holds, by bisection; 0 where none does.

    `slower`: how many times as long the work takes at a rate.
    """
    work = resampled(service_s, REQUESTS, seed)
    unit = poisson(1.0, REQUESTS, seed + 1)
    low, high = 0.0, 1.05 * discipline.slots * discipline.replicas / float(np.mean(service_s))
    for _ in range(10):  # to a thousandth of the range
        middle = (low + high) / 2
        found = simulate(unit / middle, work * slower(middle), discipline, seed).without_first(0.05)
        met = found.loss <= goal.loss and (goal.within_s is None or found.quantile_s(goal.p) <= goal.within_s)
        low, high = (middle, high) if met else (low, middle)
    return low


def interval(
    discipline: Discipline, service_s: np.ndarray, rate_rps: float, goal: Goal, seed: int = 1
) -> Interval | None:
    """Replicas with the doubt of the measured service times: their mean moved to both ends of its 90 % interval."""
    mean_s, n = float(np.mean(service_s)), len(service_s)
    half = 1.645 * float(np.std(service_s)) / n**0.5 / mean_s
    ends = [
        replicas_for(discipline, np.asarray(service_s) * factor, rate_rps, goal, seed)
        for factor in (max(0.05, 1 - half), 1.0, 1 + half)
    ]
    if any(end is None for end in ends):
        return None
    low, mid, high = (float(end) for end in ends if end is not None)
    return between(low, mid, high)
