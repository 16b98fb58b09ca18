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


@dataclass(frozen=True)
class Entry:
    """One prediction and what came of it. `record`: lab (our own re-test) or production; the two are never mixed.

    `extrapolation`: the predicted load over the highest one measured. `at`: ISO date.
    """

    at: str
    what: str
    model: str
    record: str
    extrapolation: float
    predicted: Interval
    measured: float
    plan_sha256: str = ""

    @property
    def within(self) -> bool:
        return self.predicted.contains(self.measured)

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "predicted": self.predicted.as_json()}


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
        if entry.measured <= 0 or entry.predicted.low <= 0:
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
    """Coverage with its Clopper-Pearson interval, bias, width and Winkler score over what was measured."""
    n = len(entries)
    if n < ENOUGH:
        return {"entries": n, "verdict": "no track record yet", "needed": ENOUGH - n}
    held = sum(entry.within for entry in entries)
    low, high = share_bounds(held, n, 0.025)
    ratios = [entry.measured / entry.predicted.mid for entry in entries]
    return {
        "entries": n,
        "verdict": "on record",
        "nominal": float(np.mean([entry.predicted.confidence for entry in entries])),
        "coverage": held / n,
        "coverage_ci95": [low, high],
        "bias": float(np.median(ratios)) - 1,
        "median_error": float(np.median(np.abs(np.array(ratios) - 1))),
        "median_half_width": float(np.median([entry.predicted.relative_half_width for entry in entries])),
        "winkler": float(np.mean([winkler(entry.predicted, entry.measured) / entry.measured for entry in entries])),
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


def scaling(entries: Sequence[Entry], confidence: float = 0.9) -> float | None:
    """By how much the next intervals' half-widths are to be multiplied, below 1 too; None without a track record.

    Split conformal prediction on |ln(measured/mid)| over the interval's own half-width on that scale: its
    ⌈(n+1)·confidence⌉-th smallest value (Lei et al., J. American Statistical Association 113, 2018).
    """
    if len(entries) < ENOUGH:
        return None
    scores = []
    for entry in entries:
        off = log(entry.measured / entry.predicted.mid)
        half = (
            log(entry.predicted.high / entry.predicted.mid)
            if off > 0
            else log(entry.predicted.mid / entry.predicted.low)
        )
        scores.append(abs(off) / max(half, 1e-6))
    rank = min(len(scores), ceil((len(scores) + 1) * confidence))
    return sorted(scores)[rank - 1]


def scaled(interval: Interval, factor: float | None) -> Interval:
    """The interval with its half-widths multiplied on the log scale; as it is where there is no track record."""
    if factor is None or interval.low <= 0:
        return interval
    low = interval.mid * (interval.low / interval.mid) ** factor
    high = interval.mid * (interval.high / interval.mid) ** factor
    return between(low, interval.mid, high, interval.confidence)
