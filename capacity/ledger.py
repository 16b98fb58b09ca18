"""The track record: how often past intervals held, how far off they were, and what that makes of the next ones."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Any

import numpy as np

from capacity.documents import between
from measurements.distributions import share_bounds
from measurements.errors import FormatError
from measurements.interval import Interval

ENOUGH = 10
ALL, LEAST = "all models", 0.1  # no interval is narrowed further than to a tenth: its raw width must be found again
LATER = ("at_least", "at_most", "scaling")  # fields that entries of earlier versions have not


@dataclass(frozen=True)
class Entry:
    """One prediction and what came of it. `record`: lab (our own re-test) or production; the two are never mixed.

    `extrapolation`: the predicted load over the highest one measured. `at`: ISO date. `measured`: None where it is only
    known to be `at_least` or `at_most` so much (a censored observation): such an entry counts in coverage where that decides
    it, and never in bias or width. `scaling`: what `predicted` had been multiplied by then; None where it is as the model said.
    """

    at: str
    what: str
    model: str
    record: str
    extrapolation: float
    predicted: Interval
    measured: float | None
    plan_sha256: str = ""
    at_least: float | None = None
    at_most: float | None = None
    scaling: float | None = None

    @property
    def within(self) -> bool | None:
        return decided(self.predicted, self.measured, self.at_least, self.at_most)

    @property
    def known(self) -> list[float]:
        """What was measured, or the bounds of it."""
        return [value for value in (self.measured, self.at_least, self.at_most) if value is not None]

    def as_json(self) -> dict[str, Any]:
        """What came later to this record is left out where it says nothing."""
        said = {key: value for key, value in self.__dict__.items() if key not in LATER or value is not None}
        return {**said, "predicted": self.predicted.as_json()}


def decided(
    predicted: Interval, measured: float | None, at_least: float | None = None, at_most: float | None = None
) -> bool | None:  # fmt: skip
    """Whether what was measured lies in the interval; None where bounds leave it open, or nothing was."""
    if measured is not None:
        return predicted.contains(measured)
    if (at_least is not None and at_least > predicted.high) or (at_most is not None and at_most < predicted.low):
        return False
    inside = at_least is not None and at_most is not None and at_least >= predicted.low and at_most <= predicted.high
    return True if inside else None


def parse(lines: Iterable[str], path: str = "runs/ledger.jsonl") -> list[Entry]:
    """Entries of a ledger file; a damaged line is named by file and number."""
    entries = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            entry = Entry(**{**raw, "predicted": Interval(**raw["predicted"])})
        except (ValueError, TypeError, KeyError) as error:
            raise FormatError(
                f"{path}, line {number} is no ledger entry ({error}); mend or remove that line"
            ) from error
        if not entry.known:
            raise FormatError(f"{path}, line {number}: neither measured nor a bound of it; mend or remove that line")
        if min(entry.known) <= 0 or entry.predicted.low <= 0:
            raise FormatError(f"{path}, line {number}: rates are above 0; mend or remove that line")
        entries.append(entry)
    return entries


def winkler(predicted: Interval, measured: float) -> float:
    """Width + 2/α times what the interval missed by; lower is better, so that wide intervals do not win
    (Winkler, J. American Statistical Association 67, 1972)."""
    alpha = 1 - predicted.confidence
    missed = max(predicted.low - measured, 0.0) + max(measured - predicted.high, 0.0)
    return predicted.high - predicted.low + 2 / alpha * missed


def score(entries: Sequence[Entry]) -> dict[str, Any]:
    """Coverage with its Clopper-Pearson interval over what is decided; bias, width and Winkler score over what was measured.

    `undecided`: entries whose bounds leave open whether the interval held. They are counted, and nowhere else."""
    held = [entry.within for entry in entries if entry.within is not None]
    n, undecided = len(held), len(entries) - len(held)
    if n < ENOUGH:
        return {"entries": n, "undecided": undecided, "verdict": "no track record yet", "needed": ENOUGH - n}
    low, high = share_bounds(sum(held), n, 0.025)
    exact = [(entry.predicted, entry.measured) for entry in entries if entry.measured is not None]
    ratios = [measured / predicted.mid for predicted, measured in exact]
    return {
        "entries": n,
        "undecided": undecided,
        "verdict": "on record",
        "nominal": float(np.mean([entry.predicted.confidence for entry in entries])),
        "coverage": sum(held) / n,
        "coverage_ci95": [low, high],
        "measured": len(exact),
        "bias": float(np.median(ratios)) - 1 if exact else None,
        "median_error": float(np.median(np.abs(np.array(ratios) - 1))) if exact else None,
        "median_half_width": float(np.median([entry.predicted.relative_half_width for entry in entries])),
        "winkler": float(np.mean([winkler(*one) / one[1] for one in exact])) if exact else None,
    }


def report(entries: Sequence[Entry]) -> dict[str, Any]:
    """Scores per record, then by model and by distance of extrapolation."""
    found: dict[str, Any] = {}
    for record in ("lab", "production"):
        own = [entry for entry in entries if entry.record == record]
        models, distances = defaultdict(list), defaultdict(list)
        for entry in own:
            models[entry.model].append(entry)
            distances[distance(entry.extrapolation)].append(entry)
        found[record] = {
            **score(own),
            "by_model": {name: score(mine) for name, mine in sorted(models.items())},
            "by_distance": {name: score(mine) for name, mine in sorted(distances.items())},
        }
    return found


def distance(extrapolation: float) -> str:
    if extrapolation <= 1:
        return "inside what was measured"
    return "up to 1.5 times" if extrapolation <= 1.5 else "beyond 1.5 times"


@dataclass(frozen=True)
class Scaling:
    """`factor`: of the next intervals' half-widths. `by`: the model whose own entries say so, or all models'."""

    factor: float
    by: str


def scaling_of(model: str, entries: Sequence[Entry], confidence: float = 0.9) -> Scaling | None:
    """From the laboratory's entries of the same model where they are enough for a quantile to exist, ⌈(n+1)·confidence⌉ ≤ n
    (9 for 90 %), else from those of all models; None without a track record."""
    lab = [entry for entry in entries if entry.record == "lab"]
    pooled = scaling(lab, confidence)
    if pooled is None:
        return None
    own = [entry for entry in lab if entry.model == model and entry.within is not None]
    if ceil((len(own) + 1) * confidence) <= len(own):
        return Scaling(_quantile(own, confidence), model)
    return Scaling(pooled, ALL)


def scaling(entries: Sequence[Entry], confidence: float = 0.9) -> float | None:
    """By how much the next intervals' half-widths are to be multiplied, below 1 too; None without a track record.

    Split conformal prediction on |ln(measured/mid)| over the half-width on that scale that the model itself had given, before
    any scaling: its ⌈(n+1)·confidence⌉-th smallest value (Lei et al., J. American Statistical Association 113, 2018).
    """
    decisive = [entry for entry in entries if entry.within is not None]
    return _quantile(decisive, confidence) if len(decisive) >= ENOUGH else None


def _quantile(entries: Sequence[Entry], confidence: float) -> float:
    scores = sorted(_score(entry) for entry in entries)
    rank = min(len(scores), ceil((len(scores) + 1) * confidence))
    return max(LEAST, scores[rank - 1])


def _score(entry: Entry) -> float:
    """How far off, in half-widths of the unscaled interval; of bounds that decide, the furthest they show."""
    middle, found = entry.predicted.mid, []
    for value in entry.known:
        off = log(value / middle)
        half = log(entry.predicted.high / middle) if off > 0 else log(middle / entry.predicted.low)
        found.append(abs(off) / max(half / (entry.scaling or 1.0), 1e-6))
    return max(found)


def scaled(interval: Interval, factor: float | None) -> Interval:
    """The interval with its half-widths multiplied on the log scale; as it is where there is no track record."""
    if factor is None or interval.low <= 0:
        return interval
    low = interval.mid * (interval.low / interval.mid) ** factor
    high = interval.mid * (interval.high / interval.mid) ** factor
    return between(low, interval.mid, high, interval.confidence)
