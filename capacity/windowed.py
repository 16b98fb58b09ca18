"""Simulated arrivals in windows as long as the stages that a line was read from, and figures as they are read there.

A queue near its edge shows all of its waiting only after long: a stage of twenty seconds shows less than an hour does. A line
read from such stages, scaled by a simulation without an end, would take that difference for a gain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEAD = 0.1  # of a window, at the same rate, before it is measured
GAP_S = 10_000.0  # between windows, so that each begins idle
FIRST = 0.05  # of all arrivals, left out while the house fills, where there are no windows
ENOUGH, MOST = 8, 60_000  # windows; requests in all


@dataclass(frozen=True)
class Windowed:
    """`at_s` (n,) rising; `window` (n,): in which each is measured, −1 in none."""

    at_s: np.ndarray
    window: np.ndarray

    def typical(self, values: np.ndarray, counted: np.ndarray, figure: Callable[[np.ndarray], float]) -> float:
        """The geometric mean of the windows' figures, of the values that count (n, each); NaN where none do. A line is read
        between logarithms of stages' figures."""
        logs = []
        for number in range(int(self.window.max(initial=-1)) + 1):
            inside = values[(self.window == number) & counted]
            if len(inside):
                logs.append(np.log(max(figure(inside), 1e-12)))
        return float(np.exp(np.mean(logs))) if logs else float("nan")


def arrivals(unit_s: np.ndarray, rate_rps: float, window_s: float | None) -> Windowed:
    """Of arrivals at a rate of one (n,) those at another, in windows of that length; None: in one without an end."""
    at_s = unit_s / rate_rps
    if window_s is None:
        return Windowed(at_s, np.where(np.arange(len(at_s)) < FIRST * len(at_s), -1, 0))
    whole_s = (1 + LEAD) * window_s
    number = np.floor(at_s / whole_s).astype(np.int64)
    inside = (at_s - number * whole_s >= LEAD * window_s) & (number < max(number[-1], 1))  # the last one is not whole
    return Windowed(at_s + number * GAP_S, np.where(inside, number, -1))


def requests(least: int, rate_rps: float, window_s: float | None) -> int:
    """How many make enough windows up to that rate."""
    return least if window_s is None else max(least, min(round((ENOUGH + 1) * (1 + LEAD) * rate_rps * window_s), MOST))


def share(failed: np.ndarray) -> float:
    """Of failed ones (n,) as a line counts them: none among n is half a one."""
    return max(float(failed.sum()), 0.5) / len(failed)
