"""A trial that runs: whether it may be stopped, because what is still to come cannot change its verdict."""

from __future__ import annotations

from math import sqrt

import numpy as np

from loadtests.search.goal import Limits
from loadtests.search.growth import out_of_hand
from loadtests.search.trial import Request, Rows
from loadtests.search.verdict import NO_LIMIT_S, QUANTILES, TIMED

FIRST_LOOK_S = 0.8


class Watch:
    """Looks at a trial while it runs. It stops where the verdict can no longer change (more misses than the whole trial
    may have) or where in-flight has grown out of hand; never because it looks good."""

    def __init__(self, request: Request, limits: Limits) -> None:
        self._request, self._limits = request, limits
        times = [limit for metrics in limits.values() for metric, limit in metrics.items() if metric.endswith("_ms")]
        self._limit_s = max(times) / 1000 if times else NO_LIMIT_S

    def __call__(self, rows: Rows) -> str:
        request, now_s = self._request, rows.elapsed_s
        if now_s < FIRST_LOOK_S or not len(rows):
            return ""
        if out_of_hand(rows.intended_s, rows.done_s, now_s, request.rate_rps, self._limit_s):
            return "in-flight grew out of hand"
        measured_s = now_s - request.settle_s
        if measured_s <= 0.1 * request.measure_s:
            return ""
        for name, metrics in self._limits.items():
            mine = rows if name == "all" else rows.of(name)
            mine = mine.where(mine.intended_s >= request.settle_s)
            planned = len(mine) * request.measure_s / measured_s
            for metric, limit in metrics.items():
                misses, allowed = _misses(mine, metric, limit, now_s)
                if misses > allowed * planned + 3 * sqrt(allowed * planned) + 2:
                    return f"already more requests miss {metric} than may in the whole trial"
        return ""


def _misses(rows: Rows, metric: str, limit: float, now_s: float) -> tuple[int, float]:
    """(certain misses so far, share of misses allowed)."""
    ended = np.isfinite(rows.done_s)
    if metric == "error_rate":
        return int((ended & ~rows.ok).sum()), limit
    name = metric.removesuffix("_ms")
    if name not in QUANTILES:
        return 0, 1.0
    waited_s = np.minimum(rows.done_s, now_s) - rows.intended_s
    timed = ~ended | np.isin(rows.outcome, TIMED)
    return int((timed & (waited_s > limit / 1000)).sum()), 1 - QUANTILES[name]
