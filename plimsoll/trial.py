"""One trial of `plimsoll verify`: the service started as a prediction says, driven around the predicted capacity."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from capacity import judgement, retest
from capacity.judgement import Retest
from capacity.prediction import Variation
from loadtests.arrivals import Stage
from measurements.errors import Interrupted, UsageError
from measurements.interval import Interval
from measurements.rundir import RunDirectory
from plimsoll import observed
from plimsoll.measure import measure
from plimsoll.spec import Spec
from plimsoll.watcher import Watcher
from targets.contract import Contract, Queue
from targets.contract_file import parse

ENOUGH = 400  # requests a stage ought to have
SHORTEST_S, LONGEST_S = 6.0, 60.0
CALM = 0.4  # of the prediction, between stages, so that no backlog is handed on
UNJUDGED = "no stage held enough requests to be judged: give verify a larger --budget"


@dataclass(frozen=True)
class Bench:
    """How everything is started here. `calm_s`: a response near the edge, which stages are led in by."""

    contract: Contract
    contract_path: Path | None
    out: Path
    workers: int
    calm_s: float
    seed: int
    watcher: Watcher


@dataclass(frozen=True)
class Trial:
    """A prediction of plan.json that is a number."""

    what: str
    change: Variation
    predicted: Interval
    model: str
    extrapolation: float
    cores: float | None
    scaling: float | None = None


def contract_of(run: RunDirectory) -> tuple[Contract, Path | None]:
    """The contract as the run was made with it, narrowed to an endpoint where that was asked for."""
    document = run.read_json("run.json")
    raw, path = document.get("contract"), document.get("contract_path")
    if raw is None:
        raise UsageError(
            f"{run.path} was made without a contract: nothing says how to start the service; measure with one"
        )
    if '"***"' in json.dumps(raw):
        raise UsageError(
            f"the contract of {run.path} has credentials written out, which no run directory keeps; write them as "
            "${env:NAME} and measure again"
        )
    return parse(raw, Path(path) if path else Path("plimsoll.toml")), Path(path) if path else None


def seconds(rate_rps: float, budget_s: float, rounds: int, calm_s: float) -> float:
    """Of one stage: enough requests, within the budget for all stages with what leads up to them."""
    affordable = budget_s / (len(judgement.FACTORS) * rounds) - 2 * lead_s(calm_s)
    return max(SHORTEST_S, min(ENOUGH / rate_rps, affordable, LONGEST_S))


def lead_s(calm_s: float) -> float:
    return min(max(1.5, 2 * calm_s), 10.0)


def stages(rate_rps: float, factors: Sequence[float], turn: int, stage_s: float, calm_s: float) -> list[Stage]:
    """For each factor: calm down, lead in at its rate, measure."""
    found, lead = [], lead_s(calm_s)
    for place, factor in enumerate(factors):
        rate, label = factor * rate_rps, f"{turn}-{place}"
        calm = CALM * rate_rps
        found.append(Stage(f"calm-{label}", lead + 0.2 * stage_s * (place > 0), calm, calm, warmup=True))
        found.append(Stage(f"lead-{label}", lead, rate, rate, warmup=True))
        found.append(Stage(retest.stage_name(factor, turn), stage_s, rate, rate))
    return found


def changed(contract: Contract, change: Variation) -> Contract:
    """The contract with other queue limits; its start command passes them on."""
    queues = dict(contract.limits.queue)
    for name, setting in change.queues.items():
        queues[name] = Queue(**setting.as_json())
    made = contract.model_copy(update={"limits": contract.limits.model_copy(update={"queue": queues})})
    made._folder = contract.folder
    return made


def run(bench: Bench, trial: Trial, budget_s: float, rounds: int) -> list[Retest]:
    """The capacity that was found with the service changed so, and each factor's outcome. Where the factors did not cross
    the line, it is driven on: further up, further down, or between the two."""
    stage_s = seconds(trial.predicted.mid, budget_s, rounds, bench.calm_s)
    planned: list[Stage] = []
    for turn in range(1, rounds + 1):
        factors = judgement.order(bench.seed + turn)
        planned += stages(trial.predicted.mid, factors, turn, stage_s, bench.calm_s)
    driven, why_not = _drive(bench, trial, planned)
    found = retest.line(driven) if not why_not else None
    spoiled = ""
    if found is not None and (rates := found.further()):
        factors = [rate / trial.predicted.mid for rate in rates]
        more, spoiled = _drive(bench, trial, stages(trial.predicted.mid, factors, rounds + 1, stage_s, bench.calm_s))
        if not spoiled:
            driven += more
            found = retest.line(driven)
    if found is None:
        return [Retest(trial.what, None, trial.predicted, None, note=why_not or UNJUDGED)]
    capacity, *rest = retest.tests(trial.what, trial.predicted, driven, found)
    if spoiled:
        capacity = replace(capacity, note=f"{capacity.note}; driving it further does not count: {spoiled}")
    return [capacity, *rest]


def _drive(bench: Bench, trial: Trial, planned: list[Stage]) -> tuple[list[retest.Driven], str]:
    finished = measure(_spec(bench, trial.change, planned), bench.watcher)
    if finished.summary["ended"] == "interrupted":
        raise Interrupted("the trial was interrupted")
    documents = [observed.documents(finished.directory)]
    return retest.read(documents), retest.invalid(documents)


def _spec(bench: Bench, change: Variation, planned: Sequence[Stage]) -> Spec:
    contract = changed(bench.contract, change)
    return Spec(
        contract=contract,
        contract_path=bench.contract_path,
        rate_rps=max(stage.start_rps for stage in planned),
        duration_s=sum(stage.duration_s for stage in planned),
        planned=tuple(planned),
        shape="breakpoint",
        workers=bench.workers,
        seed=bench.seed,
        start=True,
        replicas=change.replicas or 1,
        service_workers=change.workers,
        out=bench.out,
        command=f"plimsoll verify: {change}",
    )


def trial_of(raw: Mapping[str, Any], change: Variation) -> Trial:
    return Trial(
        str(raw["what"]), change, Interval(**raw["capacity_rps"]), str(raw["model"]), float(raw["extrapolation"]),
        raw.get("cores"), raw.get("scaling"),
    )  # fmt: skip


def at_replicas(trial: Trial, replicas: int) -> Trial:
    """The measured number of replicas where a prediction says nothing about it."""
    return trial if trial.change.replicas else replace(trial, change=replace(trial.change, replicas=replicas))
