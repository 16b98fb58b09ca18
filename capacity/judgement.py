"""Judging a prediction: the plan is frozen by its hash first, then tested, then the two are set side by side."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from capacity.ledger import Entry
from measurements.interval import Interval

FACTORS = (0.9, 1.0, 1.15)


@dataclass(frozen=True)
class Retest:
    """`factor`: of the predicted capacity that was driven; None for a search of the capacity itself.

    `measured`: None where it could not be tested here, and `why_not` says why. `repeats`: the single results.
    """

    what: str
    factor: float | None
    predicted: Interval
    measured: float | None
    repeats: tuple[float, ...] = ()
    why_not: str = ""

    @property
    def within(self) -> bool | None:
        return None if self.measured is None else self.predicted.contains(self.measured)

    def as_json(self) -> dict[str, Any]:
        spread = max(self.repeats) - min(self.repeats) if len(self.repeats) > 1 else None
        return {
            "what": self.what,
            "factor": self.factor,
            "predicted": self.predicted.as_json(),
            "measured": self.measured,
            "repeats": list(self.repeats),
            "repeat_spread": spread,
            "within": self.within,
            "why_not": self.why_not or None,
        }


def plan_sha256(plan: Mapping[str, Any]) -> str:
    """Of the document in canonical form: keys sorted, no spaces, UTF-8."""
    canonical = json.dumps(plan, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def order(seed: int, factors: Sequence[float] = FACTORS) -> list[float]:
    """The factors in random order, so that warming up or wearing out does not look like load."""
    return [float(factor) for factor in np.random.default_rng(seed).permutation(list(factors))]


def verification(sha256: str, tests: Sequence[Retest]) -> dict[str, Any]:
    """HELD: everything that could be tested lay within its interval. NOT_TESTABLE: nothing could."""
    tried = [test for test in tests if test.within is not None]
    verdict = "NOT_TESTABLE" if not tried else "HELD" if all(test.within for test in tried) else "MISSED"
    return {"schema": 1, "plan_sha256": sha256, "tests": [test.as_json() for test in tests], "verdict": verdict}


def testable_here(cores: int, workers: int, generator_cores: int = 1) -> str:
    """Empty where the machine has a core for each worker and for the generator, else the sentence that says no."""
    if cores >= workers + generator_cores:
        return ""
    return (
        f"not testable here: {workers} worker(s) and the generator need {workers + generator_cores} cores, "
        f"this machine has {cores}"
    )


def entries(
    sha256: str, tests: Sequence[Retest], model: str, highest_rps: float, at: str, record: str = "lab"
) -> list[Entry]:
    """Ledger lines of what could be tested."""
    return [
        Entry(at, test.what, model, record, test.predicted.mid / highest_rps, test.predicted, test.measured, sha256)
        for test in tests
        if test.measured is not None
    ]
