"""How many replicas a bounded queue takes, by simulation: ⌈λ/μ⌉ knows neither losses nor uneven routing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from capacity import windowed
from capacity.simulation import OK, REJECTED, Discipline, poisson, resampled, simulate

REQUESTS = 30_000
STEPS = 10  # of bisection: to a thousandth of the range
MOST = 1_000


@dataclass(frozen=True)
class Goal:
    """What must hold for all requests together: at most `loss` lost, `p` of the rest within `within_s`."""

    loss: float = 0.01
    p: float = 0.95
    within_s: float | None = None


def fewest(holds: Callable[[int], bool], guess: int = 1) -> int | None:
    """The smallest number of replicas with which it holds; None where not even many help (slow by themselves)."""
    holds = cache(holds)
    low, high = max(0, guess - 1), max(1, guess)
    step = 1
    while not holds(high):
        low, high, step = high, high + step, step * 2
        if high > MOST:
            return None
    step = 1
    while low and holds(low):
        low, high, step = max(0, low - step), low, step * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def meets(
    discipline: Discipline,
    service_s: np.ndarray,
    goal: Goal,
    seed: int = 1,
    slower: Callable[[float], float] = lambda _: 1.0,
    window_s: float | None = None,
) -> Callable[[float], bool]:
    """Whether the goal holds at a Poisson rate (rps, all replicas together); service times drawn from those measured (n,).

    `slower`: how many times as long the work takes at a rate. `window_s`: as stages of that length show it (`windowed`).
    """
    count = windowed.requests(REQUESTS, _most_rps(discipline, service_s), window_s)
    work = resampled(service_s, count, seed)
    unit = poisson(1.0, count, seed + 1)

    def holds(rate_rps: float) -> bool:
        windows = windowed.arrivals(unit, rate_rps, window_s)
        found = simulate(windows.at_s, work * slower(rate_rps), discipline, seed)
        if windows.typical(found.outcome != OK, found.outcome >= 0, windowed.share) > goal.loss:
            return False
        quantile = partial(np.quantile, q=goal.p, method="inverted_cdf")
        slow = windows.typical(found.response_s, found.outcome != REJECTED, quantile)
        return goal.within_s is None or slow <= goal.within_s

    return holds


def highest_rate(
    discipline: Discipline,
    service_s: np.ndarray,
    goal: Goal,
    seed: int = 1,
    slower: Callable[[float], float] = lambda _: 1.0,
    window_s: float | None = None,
) -> float:
    """The highest rate at which the goal holds, by bisection; 0 where none does."""
    holds = meets(discipline, service_s, goal, seed, slower, window_s)
    low, high = 0.0, _most_rps(discipline, service_s)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _most_rps(discipline: Discipline, service_s: np.ndarray) -> float:
    """Slots that are always busy, and a little."""
    return 1.05 * discipline.slots * discipline.replicas / float(np.mean(service_s))
