"""Token counts of a trace: their distribution, and the lognormal that [data] lengths are drawn from."""

from __future__ import annotations

from math import erf, exp, log, sqrt
from typing import Any

import numpy as np

LARGEST = 1_000_000
QUANTILES = {"p1": 0.01, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class TokenCounts:
    """How often each number of tokens came, exactly; what is above a million counts as a million."""

    def __init__(self) -> None:
        self._counts = np.zeros(1, np.int64)

    def add(self, tokens: np.ndarray) -> None:
        counts = np.bincount(np.minimum(tokens, LARGEST))
        if len(counts) > len(self._counts):
            self._counts = np.pad(self._counts, (0, len(counts) - len(self._counts)))
        self._counts[: len(counts)] += counts

    @property
    def n(self) -> int:
        return int(self._counts.sum())

    def at(self, p: float) -> int:
        """The order statistic ⌈p·n⌉; p in (0, 1]."""
        return int(np.searchsorted(np.cumsum(self._counts), max(1, int(np.ceil(p * self.n - 1e-9)))))

    def spread(self, values: int) -> list[int]:
        """So many equally likely values (the middles of equal shares): a distribution that `choice` can hold."""
        return [max(1, self.at((k + 0.5) / values)) for k in range(values)]

    def as_json(self) -> dict[str, Any] | None:
        if not self.n:
            return None
        some = np.flatnonzero(self._counts)
        mean = float((some * self._counts[some]).sum() / self.n)
        found: dict[str, Any] = {"n": self.n, "mean": round(mean, 2), "min": int(some[0]), "max": int(some[-1])}
        return found | {name: self.at(p) for name, p in QUANTILES.items()} | {"lognormal": self.lognormal()}

    def lognormal(self) -> dict[str, float] | None:
        """Maximum likelihood over the counts above 0: median = exp(mean of ln x), sigma = sd of ln x.

        `ks` is the largest gap between the two distribution functions (Kolmogorov-Smirnov): 0.05 is a fair fit, 0.2 is
        none. None where fewer than two different counts are known.
        """
        sizes = np.flatnonzero(self._counts[1:]) + 1
        if len(sizes) < 2:
            return None
        counts = self._counts[sizes]
        logs, n = np.log(sizes), counts.sum()
        mu = float((logs * counts).sum() / n)
        sigma = sqrt(float(((logs - mu) ** 2 * counts).sum() / n))
        upto = np.cumsum(counts) / n
        fitted = np.array([0.5 * (1 + erf((log(size + 0.5) - mu) / (sigma * sqrt(2)))) for size in sizes.tolist()])
        return {"median": round(exp(mu), 2), "sigma": round(sigma, 4), "ks": round(float(abs(upto - fitted).max()), 4)}
