"""Quantiles and tails of the textbook distributions that every run needs.

Straight from `scipy.special`: `scipy.stats` wraps the same functions and is slow to import. What only some commands need
(sign tests, Theil and Sen's slope) stays with `scipy.stats`, imported there.
"""

from math import ceil, nan

from scipy import special


def binomial_quantile(q: float, n: int, p: float) -> int:
    """Smallest k with P(X <= k) >= q, X binomial over n trials; 0 < q < 1."""
    if p <= 0 or n <= 0:
        return 0
    if p >= 1:
        return n
    k = max(0, ceil(float(special.bdtrik(q, n, p))))
    return k - 1 if k > 0 and float(special.bdtr(k - 1, n, p)) >= q else k


def binomial_above(k: int, n: int, p: float) -> float:
    """P(X > k), X binomial over n trials."""
    if k < 0:
        return 1.0
    return float(special.bdtrc(k, n, p)) if k < n else 0.0


def binomial_log_probability(k: int, n: int, p: float) -> float:
    """ln P(X = k), X binomial over n trials."""
    ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return float(ways + special.xlogy(k, p) + special.xlog1py(n - k, -p))


def share_bounds(hits: int, n: int, tail: float) -> tuple[float, float]:
    """Clopper-Pearson: what a share may be after `hits` of n, with `tail` of probability left on either side."""
    low = float(special.betaincinv(hits, n - hits + 1, tail)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    return low, high


def student_quantile(q: float, degrees_of_freedom: float) -> float:
    """Null (nan) without degrees of freedom."""
    return float(special.stdtrit(degrees_of_freedom, q)) if degrees_of_freedom > 0 else nan


def chi_square_quantile(q: float, degrees_of_freedom: int) -> float:
    return float(special.chdtri(degrees_of_freedom, 1 - q))
