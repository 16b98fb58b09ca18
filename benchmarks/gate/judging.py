"""From differences per block to a verdict. Pure: what was measured comes in, nothing is measured here.

FAIL          adjusted p <= α and the interval lies above the floor
BLIND         else, where the smallest noticeable change is above the floor: never shown green
PASS          else, the interval lies below the floor: slower by less than matters, if at all
WARN          else, adjusted p <= α at the last look: slower, perhaps by more than matters
INCONCLUSIVE  none of these
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.stats import false_discovery_control

from benchmarks.gate.metrics import floor_of, said
from benchmarks.gate.paired import Paired, compare, holm
from benchmarks.gate.rules import Look, Pair, Rules

REPORT_ONLY_RATE = 0.10  # Benjamini and Hochberg (1995), for what is only reported


class Verdict(StrEnum):
    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    BLIND = "BLIND"
    INVALID = "INVALID"


WORST_FIRST = (Verdict.INVALID, Verdict.FAIL, Verdict.BLIND, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.PASS)
UNSURE = (Verdict.BLIND, Verdict.INCONCLUSIVE)


@dataclass(frozen=True)
class Series:
    """A pair's differences, shape (K,) with NaN where a block could not carry it, and both versions' typical values."""

    differences: np.ndarray
    baseline: float | None = None
    candidate: float | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Comparison:
    """`paired` None: it could not be compared, `why` says why. `verdict` None: reported only."""

    endpoint: str
    metric: str
    primary: bool
    series: Series
    paired: Paired | None
    p_adjusted: float | None
    verdict: Verdict | None
    why: str = ""

    @property
    def pair(self) -> Pair:
        return self.endpoint, self.metric


@dataclass(frozen=True)
class Judgement:
    """All comparisons after one look. `clear`: nothing more needs to be measured."""

    verdict: Verdict
    comparisons: list[Comparison]
    look: Look

    @property
    def clear(self) -> bool:
        return self.look.final or self.verdict not in UNSURE

    def failed(self) -> list[Pair]:
        return [c.pair for c in self.comparisons if c.verdict is Verdict.FAIL]


def judge(series: Mapping[Pair, Series], rules: Rules, look: Look, only: Sequence[Pair] = ()) -> Judgement:
    """`only`: the primaries that a confirmation is about (all of them when empty)."""
    family = [pair for pair in rules.primaries if not only or pair in only]
    found = {pair: _compared(pair, one, pair in family, look.confidence) for pair, one in series.items()}
    for pair in family:
        found.setdefault(pair, Comparison(*pair, True, Series(np.array([])), None, None, None, "it was not measured"))
    p_primary = holm([_p(found[pair]) for pair in family])
    for pair, p in zip(family, p_primary, strict=True):
        verdict, why = _state(found[pair], p, rules, look)
        found[pair] = replace(found[pair], p_adjusted=p, verdict=verdict, why=why)
    rest = [pair for pair, one in found.items() if not one.primary and one.paired]
    if rest:
        adjusted = false_discovery_control([found[pair].paired.p_either for pair in rest])  # type: ignore[union-attr]
        for pair, p in zip(rest, np.atleast_1d(adjusted), strict=True):
            found[pair] = replace(found[pair], p_adjusted=float(p), why="" if p > REPORT_ONLY_RATE else "changed")
    ordered = sorted(found.values(), key=lambda c: (not c.primary, family.index(c.pair) if c.pair in family else 0))
    return Judgement(worst([c.verdict for c in ordered if c.verdict]), ordered, look)


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Without anything to judge a gate is blind."""
    return next((verdict for verdict in WORST_FIRST if verdict in verdicts), Verdict.BLIND)


def _compared(pair: Pair, series: Series, primary: bool, confidence: float) -> Comparison:
    paired = compare(series.differences, confidence)
    why = "" if paired else series.why_not or f"only {int(np.isfinite(series.differences).sum())} blocks can carry it"
    return Comparison(*pair, primary, series, paired, None, None, why)


def _p(comparison: Comparison) -> float:
    return comparison.paired.p_above if comparison.paired else 1.0


def _state(comparison: Comparison, p: float, rules: Rules, look: Look) -> tuple[Verdict, str]:
    paired, metric = comparison.paired, comparison.metric
    if paired is None:
        return Verdict.BLIND, comparison.why
    floor = floor_of(metric, rules.floor)
    significant = p <= rules.alpha * look.alpha_share
    bound = f"more by {said(metric, paired.at_most)} at most (95 %, one-sided)"
    if significant and paired.low > floor:
        return Verdict.FAIL, ""
    if paired.minimum_detectable > floor:
        seen, limit = said(metric, paired.minimum_detectable), said(metric, floor)
        return Verdict.BLIND, f"the smallest change it would notice is {seen}, the floor is {limit}; {bound}"
    if paired.high < floor:
        return Verdict.PASS, ""
    if look.final and significant:
        return Verdict.WARN, ""
    return Verdict.INCONCLUSIVE, bound
