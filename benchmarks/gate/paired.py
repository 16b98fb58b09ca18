"""One difference per block: estimate, interval, exact test, smallest noticeable change. Pure.

The unit is the block, never the request: requests of one block share the machine's mood, and a test over pooled
requests calls that mood a change. Under "no change" each block's difference is as likely to have either sign, whatever
its law, which is all that these assume (Fisher 1935; Hollander, Wolfe and Chicken, Nonparametric Statistical Methods,
3rd ed., chapter 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil, floor, sqrt

import numpy as np
from scipy.stats import rankdata, t


@dataclass(frozen=True)
class Paired:
    """`theta`: Hodges-Lehmann estimate of the differences' centre, [low, high] its interval at `confidence`, `p_above`
    the one-sided probability of such ranks without a change, `p_either` the two-sided one; all in the unit of the
    differences (log ratios, or differences of shares). `scale`: a block's standard deviation as the interval shows it.
    `at_most`: 95 % sure, one-sided: the change is no larger.
    """

    blocks: int
    theta: float
    low: float
    high: float
    confidence: float
    p_above: float
    p_either: float
    scale: float
    at_most: float

    @property
    def minimum_detectable(self) -> float:
        return minimum_detectable(self.scale, self.blocks)


def compare(differences: np.ndarray, confidence: float = 0.95) -> Paired | None:
    """`differences`, shape (K,); None below 6 blocks, where not even a 95 % interval is finite."""
    d = np.asarray(differences, dtype=np.float64)
    d = d[np.isfinite(d)]
    if len(d) < fewest_blocks(confidence):
        return None
    walsh = np.sort(((d[:, None] + d[None, :]) / 2)[np.triu_indices(len(d))])
    cut = _cut(len(d), confidence)
    low, high = float(walsh[cut]), float(walsh[len(walsh) - 1 - cut])
    one_sided = float(walsh[len(walsh) - 1 - _cut(len(d), 0.90)])
    above, below = sign_flip(d)
    scale = (high - low) / 2 / float(t.ppf((1 + confidence) / 2, len(d) - 1)) * sqrt(len(d))
    either = min(1.0, 2 * min(above, below))
    return Paired(len(d), float(np.median(walsh)), low, high, confidence, above, either, scale, one_sided)


def sign_flip(differences: np.ndarray, centre: float = 0.0) -> tuple[float, float]:
    """One-sided p-values (above, below `centre`) of the signed ranks over all 2^K flips of sign, exact with ties too.

    Zeros keep their rank and carry no sign (Pratt 1959). The null law is counted, not simulated: with whole doubled
    midranks r_k it is the product of the polynomials (1 + x^r_k).
    """
    d = np.asarray(differences, dtype=np.float64) - centre
    doubled = np.rint(2 * rankdata(np.abs(d))).astype(int)
    signed = d != 0
    law = np.ones(1)
    for rank in doubled[signed]:
        longer = np.zeros(len(law) + rank)
        longer[: len(law)] += law / 2
        longer[rank:] += law / 2
        law = longer
    observed = int(doubled[d > 0].sum())
    return float(min(1.0, law[observed:].sum())), float(min(1.0, law[: observed + 1].sum()))


def minimum_detectable(scale: float, blocks: int) -> float:
    """Smallest change that a one-sided 5 % test notices in 80 of 100 gates: (t.95 + t.80)·s/√K."""
    freedom = blocks - 1
    return float((t.ppf(0.95, freedom) + t.ppf(0.80, freedom)) * scale / sqrt(blocks))


def fewest_blocks(confidence: float) -> int:
    """K with 2^-K in each tail: 6 for 95 %, 8 for 99 %."""
    return ceil(-np.log2((1 - confidence) / 2) - 1e-9)


@cache
def _cut(blocks: int, confidence: float) -> int:
    """How many Walsh averages lie outside on each side: the largest c with P(T+ <= c) <= (1 − confidence) / 2."""
    law = np.ones(1)
    for rank in range(1, blocks + 1):
        longer = np.zeros(len(law) + rank)
        longer[: len(law)] += law / 2
        longer[rank:] += law / 2
        law = longer
    return max(0, floor(np.searchsorted(np.cumsum(law), (1 - confidence) / 2 + 1e-12, side="right")) - 1)


def holm(p_values: list[float]) -> list[float]:
    """Step-down adjusted p-values (Holm 1979): no false alarm among all of them, with probability 1 − α."""
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted, highest = [1.0] * len(p_values), 0.0
    for place, k in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[k]))
        adjusted[k] = highest
    return adjusted
