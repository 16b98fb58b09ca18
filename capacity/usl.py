"""The Universal Scalability Law, X(N) = λN / (1 + σ(N−1) + κN(N−1)), with its doubt and its horizon.

N: concurrency (workers, replicas or requests in flight), X: throughput, λ: throughput of one, σ: contention, κ:
coherency (Gunther, Guerrilla Capacity Planning, 2007, chapter 4). A mean, no tail; fits extrapolate badly: on a
published set of 32 points, fits on N ≤ 12 missed by 12 % at twice the range and nominal 95 % intervals covered 8 of 14.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy.optimize import nnls

from capacity.documents import CONFIDENCE, between
from capacity.figures import figure
from measurements.interval import Interval, Refusal

LEVELS = 6
HORIZON = 1.5
DRAWS = 400
MISFIT = 0.2


@dataclass(frozen=True)
class Scalability:
    """`draws` (DRAWS, 3): bootstrapped (1/λ, σ/λ, κ/λ); predictions are read from them."""

    one_rps: Interval
    contention: Interval
    coherency: Interval
    highest_level: float
    draws: np.ndarray
    spread: float

    @property
    def best_level(self) -> float | None:
        """N* = √((1−σ)/κ), where throughput peaks; None where it does not."""
        if self.coherency.mid <= 0:
            return None
        return sqrt(max(0.0, 1 - self.contention.mid) / self.coherency.mid)

    def throughput(self, level: float) -> Interval | Refusal:
        """X at N up to 1.5 times the highest level measured, residual scatter included; beyond: no bare number."""
        if level > HORIZON * self.highest_level:
            return Refusal(
                "throughput",
                f"{figure(level)} is more than {HORIZON} times the highest concurrency measured ({figure(self.highest_level)}), "
                "where such fits have been wrong more often than their intervals say",
                f"plimsoll run CONTRACT --users {ceil(level / HORIZON)}, then plan on all runs together",
            )
        at = _columns(np.array([level]))[0]
        values = level / (self.draws @ at)
        noise = np.random.default_rng(1).normal(0, self.spread, len(values))
        low, mid, high = np.quantile(values * (1 + noise), [(1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2])
        return between(float(low), float(mid), float(high))


def fit(levels: list[float], throughput_rps: list[float], seed: int = 1) -> Scalability | Refusal:
    """Linear in (1/λ, σ/λ, κ/λ): N/X = 1/λ + σ/λ·(N−1) + κ/λ·N(N−1), none of them negative; residual bootstrap."""
    n, x = np.asarray(levels, dtype=float), np.asarray(throughput_rps, dtype=float)
    distinct = len(np.unique(np.round(n, 6)))
    if distinct < LEVELS or (x <= 0).any() or (n < 1).any():
        return Refusal(
            "scalability",
            f"a scalability fit needs at least {LEVELS} levels of concurrency from 1 up, all with throughput; "
            f"has {distinct}",
            "plimsoll run CONTRACT --users N with six values of N, then plan on all six runs",
        )
    columns, target = _columns(n), n / x
    weights = 1 / target  # relative errors: throughput scatters in per cent
    solution = nnls(columns * weights[:, None], target * weights)[0]
    fitted = columns @ solution
    residual = target / np.maximum(fitted, 1e-300) - 1
    if float(np.std(residual)) > MISFIT:
        return Refusal(
            "scalability",
            f"throughput does not follow the scalability law: it is off by {float(np.std(residual)):.0%} (one standard deviation)",
            "plimsoll run CONTRACT --users N with six values of N, then plan on all six runs",
        )
    residual = (residual - residual.mean()) * sqrt(len(n) / max(1, len(n) - 3))
    rng = np.random.default_rng(seed)
    draws = np.empty((DRAWS, 3))
    for k in range(DRAWS):
        again = fitted * (1 + rng.choice(residual, len(n)))
        draws[k] = nnls(columns / again[:, None], again / again)[0]
    scale = np.maximum(draws[:, 0], 1e-12)
    return Scalability(
        _interval(1 / scale, 1 / max(solution[0], 1e-12)),
        _interval(draws[:, 1] / scale, solution[1] / max(solution[0], 1e-12)),
        _interval(draws[:, 2] / scale, solution[2] / max(solution[0], 1e-12)),
        float(n.max()),
        draws,
        float(residual.std()),
    )


def _columns(level: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones_like(level), level - 1, level * (level - 1)])


def _interval(draws: np.ndarray, middle: float) -> Interval:
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return between(min(float(low), middle), middle, max(float(high), middle))
