"""Whether a stage stood still: it advises, it never cuts data away.

Mann-Kendall's trend test (Mann 1945; Kendall 1975) on the number in flight and on response times over the stage.
"""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np

POINTS = 20


def in_flight(starts_ns: np.ndarray, ends_ns: np.ndarray, at_ns: np.ndarray) -> np.ndarray:
    """How many of the intervals [start, end) hold each moment; shapes (n,), (n,), (m,) -> (m,)."""
    return np.searchsorted(np.sort(starts_ns), at_ns, side="right") - np.searchsorted(
        np.sort(ends_ns), at_ns, side="right"
    )


def mean_in_flight(starts_ns: np.ndarray, ends_ns: np.ndarray, begin_ns: float, end_ns: float) -> float:
    """Exact time average over [begin, end)."""
    overlap = np.minimum(ends_ns, end_ns) - np.maximum(starts_ns, begin_ns)
    return float(np.maximum(overlap, 0).sum() / (end_ns - begin_ns)) if end_ns > begin_ns else 0.0


def trend_p(values: np.ndarray) -> tuple[float, float]:
    """(p-value of no trend, two-sided; Kendall's S over its maximum) for a short series."""
    n = len(values)
    if n < 5:
        return 1.0, 0.0
    signs = np.sign(values[None, :] - values[:, None])
    s = float(np.triu(signs, 1).sum())
    _, ties = np.unique(values, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    if variance <= 0:
        return 1.0, 0.0
    z = (abs(s) - 1) / sqrt(variance) if s else 0.0
    return erfc(max(z, 0) / sqrt(2)), s / (n * (n - 1) / 2)


def judge(
    starts_ns: np.ndarray, ends_ns: np.ndarray, response_ms: np.ndarray, begin_ns: float, end_ns: float,
    offered: int, dropped_at_cap: int,
) -> str:  # fmt: skip
    """`saturated`: the backlog grew by 5 % of what was offered, or arrivals met a full pool. `not_steady`: a trend of
    the number in flight (by more than 3 and a quarter) or of the response time (by more than a quarter)."""
    if dropped_at_cap:
        return "saturated"
    # a step in the rate fills the house for about a response time before anything can be said of a trend
    filling_ns = min(2e6 * float(np.median(response_ms)), 0.6 * (end_ns - begin_ns)) if len(response_ms) else 0.0
    begin_ns += filling_ns
    at_ns = np.linspace(begin_ns, end_ns, POINTS + 1)[1:] - (end_ns - begin_ns) / POINTS / 2
    level = in_flight(starts_ns, ends_ns, at_ns).astype(float)
    p, direction = trend_p(level)
    early, late = level[: POINTS // 4].mean(), level[-POINTS // 4 :].mean()
    if p < 0.01 and direction > 0 and late - early > max(3.0, 0.25 * early):
        return "saturated" if late - early > 0.05 * offered else "not_steady"
    if len(response_ms) >= 10 * POINTS:
        medians = np.array([np.median(part) for part in np.array_split(response_ms, POINTS)])
        p, _ = trend_p(medians)
        first, last = np.median(medians[: POINTS // 4]), np.median(medians[-POINTS // 4 :])
        if p < 0.01 and abs(last - first) > 0.25 * min(first, last):
            return "not_steady"
    return "steady"
