"""Exact quantiles, each with an interval from order statistics, a one-sided bound, or null with the reason.

For n independent samples, P(X(l) <= q_p <= X(u)) = Σ_{i=l}^{u−1} C(n,i) p^i (1−p)^{n−i}
(David and Nagaraja, Order Statistics, 3rd ed., section 7.1). Both tails are held to 2.5 %.
Queued latencies correlate, so n is replaced by an effective n from batch means
(Law, Simulation Modeling and Analysis, 5th ed., section 9.5.3) where the correlation is significant.
"""

from dataclasses import dataclass, field
from functools import cache
from math import ceil, log

import numpy as np

from measurements.distributions import binomial_quantile, chi_square_quantile

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
TAIL = 0.025
ONE_SIDED = 0.05


def needed(p: float) -> int:
    """Smallest n with a finite two-sided 95 % interval: 72 for p95, 368 for p99, 3,688 for p99.9."""
    return ceil(log(TAIL) / log(max(p, 1 - p)))


def ranks(n: int, p: float) -> tuple[int, int] | None:
    """1-based ranks (l, u) whose order statistics hold q_p with at least 95 %; None where u would pass n."""
    if n < needed(p):
        return None
    lower = binomial_quantile(TAIL, n, p)
    upper = binomial_quantile(1 - TAIL, n, p) + 1
    return (lower, upper) if lower >= 1 and upper <= n else None


def inflation(ordered_in_time: np.ndarray, value: float, p: float) -> float:
    """How many times larger the variance of the empirical quantile is than for independent samples (>= 1).

    Batch means of the indicator x <= value, with 32 and with 10 batches; a ratio counts only when a chi-square
    test calls it significant (2.5 %), so that uncorrelated samples keep their full n. Below 100 samples: 1.
    """
    n = len(ordered_in_time)
    if n < 100:
        return 1.0
    below = (ordered_in_time <= value).astype(np.float64)
    worst = 1.0
    for batches in (32, 10):
        size = n // batches
        means = below[: size * batches].reshape(batches, size).mean(axis=1)
        ratio = float(means.var(ddof=1) * size / (p * (1 - p)))
        if ratio * (batches - 1) > _critical(batches - 1):
            worst = max(worst, ratio)
    return worst


@cache
def _critical(degrees_of_freedom: int) -> float:
    return chi_square_quantile(0.975, degrees_of_freedom)


@dataclass(frozen=True)
class Quantile:
    """`value` is None where the sample cannot carry it; `why_null` then says what is missing.

    `ci95` is (low, high); `at_least` / `at_most` are one-sided 95 % bounds, kept only where `value` is None or censored;
    `sample`, where `value` is None: the sample's own quantile, which says too little alone and much beside others.
    """

    value: float | None
    n_effective: int
    method: str
    ci95: tuple[float, float] | None = None
    at_least: float | None = None
    at_most: float | None = None
    sample: float | None = None
    why_null: str | None = None


@dataclass(frozen=True)
class Distribution:
    """A set of times (any unit, shape (n,)) with what may be said of it."""

    n: int
    minimum: float | None = None
    mean: float | None = None
    maximum: float | None = None
    mean_ci95: tuple[float, float] | None = None
    quantiles: dict[str, Quantile] = field(default_factory=dict)


def distribution(ordered_in_time: np.ndarray, rate_per_s: float | None = None) -> Distribution:
    """Quantiles of samples given in the order in which they were intended (needed for their correlation).

    `rate_per_s` (effective samples arrive at it) turns "too few" into the minutes that are missing.
    """
    values = np.asarray(ordered_in_time, dtype=np.float64)
    n = len(values)
    if n == 0:
        return Distribution(0, quantiles={name: _nothing(p) for name, p in QUANTILES.items()})
    ranked = np.sort(values)
    return Distribution(
        n=n,
        minimum=float(ranked[0]),
        mean=float(values.mean()),
        maximum=float(ranked[-1]),
        mean_ci95=_mean_interval(values),
        quantiles={name: _quantile(values, ranked, p, rate_per_s) for name, p in QUANTILES.items()},
    )


def _nothing(p: float) -> Quantile:
    return Quantile(None, 0, "none", why_null=f"needs {needed(p)} samples, has none")


def _quantile(values: np.ndarray, ranked: np.ndarray, p: float, rate_per_s: float | None) -> Quantile:
    n = len(ranked)
    value = float(ranked[ceil(p * n) - 1])
    excess = inflation(values, value, p)
    effective = max(1, int(n / excess))
    method = "order statistics, batch means" if excess > 1 else "order statistics, iid"
    found = ranks(effective, p)
    if found is not None:
        low, high = (ranked[_scale(rank, effective, n) - 1] for rank in found)
        return Quantile(value, effective, method, (float(low), float(high)))
    at_least = at_most = sample = None
    if n >= 1 / (1 - p):  # below that the quantile lies outside what n samples can show
        rank = binomial_quantile(ONE_SIDED, effective, p)
        at_least = float(ranked[_scale(rank, effective, n) - 1]) if rank >= 1 else None
        at_most = float(ranked[-1]) if p**effective <= ONE_SIDED else None
        sample = value
    return Quantile(
        None, effective, method, None, at_least, at_most, sample, _why_null(p, n, effective, excess, rate_per_s)
    )


def _scale(rank: int, effective: int, n: int) -> int:
    return min(n, max(1, round(rank * n / effective)))


def _why_null(p: float, n: int, effective: int, excess: float, rate_per_s: float | None) -> str:
    has = f"has {n} correlated ones worth {effective}" if excess > 1 else f"has {n}"
    sentence = f"needs {needed(p)} samples, {has}"
    if rate_per_s:
        more_s = (needed(p) - effective) * excess / rate_per_s
        duration = f"{ceil(more_s / 60)} more minutes" if more_s > 90 else f"{ceil(more_s)} more seconds"
        sentence += f": {duration} at this rate"
    return sentence


def _mean_interval(values: np.ndarray) -> tuple[float, float] | None:
    """Mean ± t·s/√b over 10 batch means, which correlation inside a batch does not shrink; None below 20 samples."""
    n = len(values)
    if n < 20:
        return None
    size = n // 10
    means = values[: size * 10].reshape(10, size).mean(axis=1)
    half = 2.262 * float(means.std(ddof=1)) / 10**0.5  # t(0.975, 9)
    mean = float(values.mean())
    return max(mean - half, min(0.0, float(values.min()))), mean + half  # times have no mean below zero
