"""Judging a prediction: the plan is frozen by its hash first, then tested, then the two are set side by side."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from capacity.figures import figure
from capacity.ledger import Entry, decided
from measurements.interval import Interval

FACTORS = (0.9, 1.0, 1.15)
SHARED = 0.7  # of the cores, busy, beyond which sharing them would slow the work
# of a request's time: waits for a shared core, which a plan does not mean, whose replicas have cores of their own
STRETCHED = 0.05


@dataclass(frozen=True)
class Retest:
    """`factor`: of the predicted capacity that was driven; None for the capacity that was found.

    `measured`: rps; None where it could not be tested here, or where only bounds came out of it (`at_least`, `at_most`);
    `note` says why. `repeats`: the single results. `slo`: of a factor, whether the SLO was met, missed or unclear at that rate.
    """

    what: str
    factor: float | None
    predicted: Interval
    measured: float | None
    repeats: tuple[float, ...] = ()
    note: str = ""
    slo: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def within(self) -> bool | None:
        """A capacity lies in its interval; None where its bounds leave that open. A factor agrees with it unless the SLO held
        above or broke below it. A share with an SLO beside it lies in its interval, and the SLO was met."""
        if self.slo and self.factor is None and self.measured is not None:
            if not self.predicted.contains(self.measured) or self.slo == "missed":
                return False
            return True if self.slo == "met" else None
        if self.slo == "unclear":
            return None
        if self.slo and self.measured is not None:
            return self.measured <= self.predicted.high if self.slo == "met" else self.measured >= self.predicted.low
        return decided(self.predicted, self.measured, self.at_least, self.at_most)

    @property
    def is_bounded(self) -> bool:
        return self.measured is None and (self.at_least is not None or self.at_most is not None)

    @property
    def is_capacity(self) -> bool:
        return self.factor is None and not self.slo and (self.measured is not None or self.is_bounded)

    def as_json(self) -> dict[str, Any]:
        spread = max(self.repeats) - min(self.repeats) if len(self.repeats) > 1 else None
        return {
            "what": self.what,
            "factor": self.factor,
            "predicted": self.predicted.as_json(),
            "measured": self.measured,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "repeats": list(self.repeats),
            "repeat_spread": spread,
            "slo": self.slo or None,
            "within": self.within,
            "note": self.note or None,
        }


def plan_sha256(plan: Mapping[str, Any]) -> str:
    """Of the document in canonical form: keys sorted, no spaces, UTF-8."""
    canonical = json.dumps(plan, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def order(seed: int, factors: Sequence[float] = FACTORS) -> list[float]:
    """The factors in random order, so that warming up or wearing out does not look like load."""
    return [float(factor) for factor in np.random.default_rng(seed).permutation(list(factors))]


def verification(sha256: str, tests: Sequence[Retest]) -> dict[str, Any]:
    """HELD: everything that could be tested lay within its interval. NOT_TESTABLE: nothing could. UNDECIDED: nothing speaks
    against the plan, and of no capacity that was driven is it known whether it lies in its interval."""
    return {"schema": 1, "plan_sha256": sha256, "tests": [test.as_json() for test in tests], "verdict": _verdict(tests)}


def _verdict(tests: Sequence[Retest]) -> str:
    tried = [test for test in tests if test.within is not None]
    if any(not test.within for test in tried):
        return "MISSED"
    driven = any(test.is_bounded or (test.factor is not None and test.slo) for test in tests)
    if driven and not any(test.factor is None and not test.slo for test in tried):
        return "UNDECIDED"
    return "HELD" if tried else "NOT_TESTABLE"


def testable_here(cores: int, workers: int, generator_cores: int = 1, busy_cores: float | None = None) -> str:
    """Empty where the machine can carry it, else the sentence that says no.

    It can with a core for each worker and for the generator; or where the workers are known to need little CPU
    (`busy_cores` in all at the rate that is driven): then they share what the generator leaves, as long as 70 % will do.
    """
    left = cores - generator_cores
    if left >= workers or (busy_cores is not None and left >= 1 and busy_cores <= SHARED * left):
        return ""
    busy = f", busy with {figure(busy_cores)} cores' worth of work" if busy_cores is not None else ""
    return (
        f"not testable here: {workers} worker(s){busy}, and the generator need {workers + generator_cores} cores; "
        f"this machine has {cores}"
    )


def slowed_here(
    cores: int, workers: int, generator_cores: int, busy_cores: float | None, cpu_share: float | None
) -> str:  # fmt: skip
    """Empty, or the sentence that says that workers sharing cores would wait for them more than a test can overlook.

    Cores busy to ρ stretch CPU time by ρ/(1 − ρ) of itself (processor sharing), and a request by that times the share of its
    time that is CPU time (`cpu_share`).
    """
    left = cores - generator_cores
    if left >= workers or left < 1 or busy_cores is None or cpu_share is None:
        return ""
    rho = min(busy_cores / left, 0.99)
    stretched = cpu_share * rho / (1 - rho)
    if stretched <= STRETCHED:
        return ""
    return (
        f"not testable here: {workers} worker(s) that share {left} core(s), busy to {rho:.0%}, would take some "
        f"{stretched:.0%} longer for each request than on cores of their own; {workers + generator_cores} cores would do, "
        f"this machine has {cores}"
    )


def entries(
    sha256: str,
    tests: Sequence[Retest],
    model: str,
    highest_rps: float,
    at: str,
    record: str = "lab",
    scaling: float | None = None,
) -> list[Entry]:
    """Ledger lines of the capacities that could be tested, bounds as bounds. `scaling`: what the predictions were scaled by."""
    return [
        Entry(
            at, test.what, model, record, test.predicted.mid / highest_rps, test.predicted, test.measured, sha256,
            test.at_least, test.at_most, scaling,
        )
        for test in tests
        if test.is_capacity
    ]  # fmt: skip
