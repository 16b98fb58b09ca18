"""Operational laws as consistency checks: identities, so a mismatch means a fault of the measurement.

Denning and Buzen, "The Operational Analysis of Queueing Network Models", ACM Computing Surveys 10(3), 1978.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from capacity.documents import Stage
from capacity.figures import figure

LITTLE, CORES = "N = X·R", "ΣU ≤ cores"
LITTLE_TOLERANCE = 0.1


@dataclass(frozen=True)
class LawCheck:
    """`left` and `right` are the two sides of the law at a stage, in `unit`."""

    law: str
    stage: str
    left: float
    right: float
    unit: str
    holds: bool

    def as_json(self) -> dict[str, Any]:
        return self.__dict__.copy()


def check(stages: Sequence[Stage]) -> list[LawCheck]:
    """Little's law at every steady stage without failures, and no role busier than the cores that there are."""
    return [found for stage in stages for found in (little(stage), *_cores(stage)) if found is not None]


def doubts(checks: Sequence[LawCheck], contract_path: str) -> list[dict[str, str]]:
    """(reason, remedy) per law that is broken beyond its tolerance, of the stage where its sides are furthest apart."""
    broken = sorted((one for one in checks if not one.holds), key=lambda one: -abs(one.left - one.right))
    worst = {one.law: one for one in reversed(broken)}
    remedy = (
        "do not buy by this plan: see which processes are observed ([target.observe]), then measure again with "
        f"plimsoll run {contract_path} --shape breakpoint"
    )
    return [{"reason": _reason(one), "remedy": remedy} for one in worst.values()]


def _reason(broken: LawCheck) -> str:
    if broken.law == LITTLE:
        return (
            f"Little's law does not hold at {broken.stage}: {figure(broken.left)} requests were in flight on average where rate "
            f"and response time give {figure(broken.right)}, so times or counts of this measurement are wrong"
        )
    return (
        f"the processes observed at {broken.stage} used {figure(broken.left)} cores where the machine has "
        f"{figure(broken.right)}, so CPU time of this measurement is wrong (a process counted twice, or another machine's)"
    )


def little(stage: Stage) -> LawCheck | None:
    """N = X·R: mean number in flight (1), throughput (1/s), mean response (s), over a window where both stand still.

    Little, Operations Research 9(3), 1961. What crosses the window's edges makes a difference of the order of
    R / duration, and chance one of 2/√n: the tolerance is 10 % and these.
    """
    response_ms, in_flight = stage.response_mean_ms, stage.in_flight_mean
    if stage.state != "steady" or stage.error_rate > 0.01 or response_ms is None or in_flight is None:
        return None
    requests_per_s = stage.completed_rps * stage.requests_per_arrival
    expected = requests_per_s * response_ms / 1000
    edges = 2 * response_ms / 1000 / stage.duration_s
    tolerance = LITTLE_TOLERANCE + edges + 2 / max(stage.count, 1) ** 0.5
    holds = abs(in_flight - expected) <= tolerance * max(expected, in_flight) + 0.05
    return LawCheck(LITTLE, stage.name, in_flight, expected, "requests", holds)


def _cores(stage: Stage) -> list[LawCheck]:
    cores = stage.figure("host", "cores")
    used = [value for role in ("target", *stage.dependencies, "generator") if (value := stage.cores(role)) is not None]
    if not cores or not used:
        return []
    return [LawCheck(CORES, stage.name, sum(used), cores, "cores", sum(used) <= cores * 1.05)]
