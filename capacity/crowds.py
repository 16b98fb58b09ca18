"""Answers that share an upstream's core: larger batches may cost each more of it, by how much only such a crowd shows.

A real engine on one core (`transformers serve`, prompts of some hundred tokens) in a closed loop: 0.14 CPU-seconds an answer at
two at once, 0.16 at four, 0.17 at six, 0.20 at eight, 0.29 at twelve; driven past its end with six at once, 0.21.
"""

from __future__ import annotations

from dataclasses import dataclass

from capacity.documents import Stage
from capacity.model import Model
from capacity.plateau import LOST, overloaded
from measurements.interval import Refusal

LEAST_ANSWERS = 20  # in a stage
FULL = 0.8  # of a core
RUN_AWAY = 2.0  # times as much of the core for an answer


@dataclass(frozen=True)
class RunAway:
    """A stage in which an answer took `times` as much of the core of `role` as in the cheapest one."""

    role: str
    stage: str
    times: float

    def __str__(self) -> str:
        return (
            f"nothing limits what runs at {self.role} at once, and in {self.stage} an answer took {self.times:.1f} times as much "
            "of its core as before: a crowd that arises by chance stays, so the service falls over at no certain rate"
        )


def run_away(model: Model) -> RunAway | None:
    """Whether an upstream without a limit of its own fell over: its core was full, hardly anything was given up yet, and each
    answer took a multiple of what it takes in small company. None where a queue of the contract bounds the crowd."""
    if model.run.section("limits").get("queue") or not model.run.section("upstream"):
        return None
    found = [
        RunAway(role, stage.name, _each_s(stage, role) / least_s)
        for role in model.facts.dependency_demand
        if (least_s := min((_each_s(stage, role) for stage in model.stages if _tells(stage)), default=0.0)) > 0
        for stage in model.stages
        if _tells(stage) and overloaded(stage) and (stage.cores(role) or 0.0) >= FULL
    ]
    worst = max(found, key=lambda one: one.times, default=None)
    return worst if worst and worst.times >= RUN_AWAY else None


def refused(model: Model) -> Refusal | None:
    """What a run with such a stage says nothing about, and the measurement that would."""
    fell_over = run_away(model)
    if fell_over is None:
        return None
    return Refusal(
        "prediction",
        str(fell_over),
        f"plimsoll run {model.run.contract_path} --start --shape breakpoint, with the service's connections limited and stated as "
        "max_concurrent in [limits.queue]",
    )


def doubts(model: Model) -> list[dict[str, str]]:
    """(reason, remedy) of a line that such a stage makes uncertain."""
    found = refused(model)
    return [{"reason": found.reason, "remedy": f"do not buy by this line: {found.remedy}"}] if found else []


def _each_s(stage: Stage, role: str) -> float:
    return (stage.cores(role) or 0.0) / stage.completed_rps


def _tells(stage: Stage) -> bool:
    """Whether its CPU went into its answers: of what was given up, work is left that nobody counts."""
    return stage.count >= LEAST_ANSWERS and stage.error_rate <= LOST and bool(stage.completed_rps)
