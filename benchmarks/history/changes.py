"""Change points in a series of gates or runs: they warn and locate, they never block.

PELT with a Gaussian kernel cost (Killick, Fearnhead and Eckley 2012; ruptures) proposes, and a permutation test keeps
what chance does not explain: the cost alone finds a change in most series of noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu

FEWEST = 8
SEGMENT = 3
ALPHA = 0.01
PENALTY = 3.0  # times the noise's variance times ln n, as BIC


@dataclass(frozen=True)
class Change:
    """Between the points `index` − 1 and `index`: from the median `before` to `after`."""

    index: int
    before: float
    after: float
    p_value: float

    @property
    def relative(self) -> float:
        return self.after / self.before - 1 if self.before else float("nan")


def change_points(values: Sequence[float]) -> list[Change]:
    """Of a series in the order of time, all positive; [] below 8 points."""
    series = np.asarray(values, dtype=np.float64)
    if len(series) < FEWEST or not np.isfinite(series).all() or (series <= 0).any():
        return []
    import ruptures

    logs = np.log(series)
    noise = float(np.median(np.abs(np.diff(logs)))) / 0.6745 / 2**0.5
    if noise == 0:
        noise = float(logs.std()) / 10
    if noise == 0:
        return []
    ends = (
        ruptures.Pelt(model="l2", min_size=SEGMENT, jump=1)
        .fit(logs)
        .predict(pen=PENALTY * noise**2 * np.log(len(logs)))
    )
    edges = [0, *ends]
    found = []
    for begin, middle, end in zip(edges, edges[1:], edges[2:], strict=False):
        left, right = series[begin:middle], series[middle:end]
        p = float(mannwhitneyu(left, right).pvalue)
        if p <= max(ALPHA, 2 / _arrangements(len(left), len(right)) * 1.001) and _apart(
            np.log(left), np.log(right), noise
        ):
            found.append(Change(middle, float(np.median(left)), float(np.median(right)), p))
    return found


def _arrangements(m: int, n: int) -> float:
    """How many ways there are to deal m + n values into two groups: the test's smallest p is 2 over that."""
    from math import comb

    return float(comb(m + n, m))


def _apart(left: np.ndarray, right: np.ndarray, noise: float) -> bool:
    """Medians more than three standard errors apart."""
    return bool(abs(np.median(right) - np.median(left)) > 3 * 1.25 * noise * (1 / len(left) + 1 / len(right)) ** 0.5)
