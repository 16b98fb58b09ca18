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

SHORTEST_S, LONGEST_S = 6.0, 60.0
MOST_ROUNDS = 5
MUCH_SHORTER = 0.8
WARM = 0.4  # of the prediction, before the first stage
AT_WORST = 0.7  # of the prediction: what a service is taken to carry while its backlog is worked off
SHORTER = (
    "in stages of {:.0f} s, which flatter a queue beside the {:.0f} s that the line was read from: a larger --budget"
)
ANEW = "{} stage(s) came after clients had given up, and were driven again on a service started anew"
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
    """A prediction of plan.json that is a number. `window_s`: how long the stages lasted that its line was read from."""

    what: str
    change: Variation
    predicted: Interval
    model: str
    extrapolation: float
    cores: float | None
    scaling: float | None = None
    window_s: float = LONGEST_S


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


def rounds(window_s: float, budget_s: float, calm_s: float) -> int:
    """Two, and more where the budget affords more stages of that length."""
    lead = lead_s(calm_s)
    return max(2, min(int(budget_s // (len(judgement.FACTORS) * (window_s + lead) + lead)), MOST_ROUNDS))


def seconds(window_s: float, budget_s: float, turns: int, calm_s: float) -> float:
    """Of one stage: as long as those that the line was read from, because a shorter one shows less of a queue's waiting;
    within the budget of load for all stages with what leads in each."""
    affordable = budget_s / (len(judgement.FACTORS) * turns) - lead_s(calm_s) * (1 + 1 / len(judgement.FACTORS))
    return max(SHORTEST_S, min(window_s, affordable, LONGEST_S))


def lead_s(calm_s: float) -> float:
    return min(max(1.5, 2 * calm_s), 10.0)


def stages(rate_rps: float, factors: Sequence[float], turn: int, stage_s: float, calm_s: float) -> list[Stage]:
    """For each factor: lead in at its rate, measure, send nothing until the backlog is worked off; no stage is to wait for
    what another left. Warmed up before the first."""
    lead = lead_s(calm_s)
    found = [_aside(f"warm-{turn}", lead, WARM * rate_rps)]
    for place, factor in enumerate(factors):
        rate, label = factor * rate_rps, f"{turn}-{place}"
        found.append(_aside(f"lead-{label}", lead, rate))
        found.append(Stage(retest.stage_name(factor, turn), stage_s, rate, rate))
        found.append(_aside(f"pause-{label}", (factor / AT_WORST - 1) * (lead + stage_s), 0.0))
    return found


def _aside(name: str, seconds_: float, rate_rps: float) -> Stage:
    return Stage(name, seconds_, rate_rps, rate_rps, warmup=True)


def changed(contract: Contract, change: Variation) -> Contract:
    """The contract with other queue limits; its start command passes them on."""
    queues = dict(contract.limits.queue)
    for name, setting in change.queues.items():
        queues[name] = Queue(**setting.as_json())
    made = contract.model_copy(update={"limits": contract.limits.model_copy(update={"queue": queues})})
    made._folder = contract.folder
    return made


def run(bench: Bench, trial: Trial, budget_s: float) -> list[Retest]:
    """The capacity that was found with the service changed so, and each factor's outcome. Where the factors did not cross
    the line, it is driven on: further up, further down, or between the two."""
    turns = rounds(trial.window_s, budget_s, bench.calm_s)
    stage_s = seconds(trial.window_s, budget_s, turns, bench.calm_s)
    planned: list[Stage] = []
    for turn in range(1, turns + 1):
        factors = judgement.order(bench.seed + turn)
        planned += stages(trial.predicted.mid, factors, turn, stage_s, bench.calm_s)
    driven, why_not, anew = _drive(bench, trial, planned)
    found = retest.line(driven) if not why_not else None
    spoiled = ""
    if found is not None and (rates := found.further()):
        factors = [rate / trial.predicted.mid for rate in rates]
        further = stages(trial.predicted.mid, factors, turns + 1, stage_s, bench.calm_s)
        more, spoiled, again = _drive(bench, trial, further)
        if not spoiled:
            driven += more
            anew += again
            found = retest.line(driven)
    if found is None:
        return [Retest(trial.what, None, trial.predicted, None, note=why_not or UNJUDGED)]
    capacity, *rest = retest.tests(trial.what, trial.predicted, driven, found)
    notes = [capacity.note] if capacity.note else []
    notes += [f"driving it further does not count: {spoiled}"] if spoiled else []
    notes += [ANEW.format(anew)] if anew else []
    notes += (
        [SHORTER.format(stage_s, trial.window_s)] if stage_s < MUCH_SHORTER * min(trial.window_s, LONGEST_S) else []
    )
    return [replace(capacity, note="; ".join(notes)), *rest]


def _drive(bench: Bench, trial: Trial, planned: list[Stage]) -> tuple[list[retest.Driven], str, int]:
    """All stages in one run; those that came after clients had given up in numbers once more, each on a service started anew:
    how many. One that is invalid then is left out, the others stand."""
    driven, why_not = _driven(bench, trial, planned)
    spoiled = [] if why_not else retest.spoiled(driven)
    driven = [one for one in driven if one not in spoiled]
    for one in spoiled:
        again, invalid = _driven(bench, trial, alone(planned, one.stage.name))
        driven += [] if invalid else again
    return driven, why_not, len(spoiled)


def alone(planned: Sequence[Stage], name: str) -> list[Stage]:
    """A stage with what warms up and leads in, and the pause after it."""
    place = next(index for index, stage in enumerate(planned) if stage.name == name)
    warm = next(stage for stage in reversed(planned[:place]) if stage.name.startswith("warm"))
    return [warm, *planned[place - 1 : place + 2]]


def _driven(bench: Bench, trial: Trial, planned: list[Stage]) -> tuple[list[retest.Driven], str]:
    finished = measure(_spec(bench, trial.change, planned[:-1]), bench.watcher)  # without the last pause
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
        raw.get("cores"), raw.get("scaling"), float(raw.get("window_s") or LONGEST_S),
    )  # fmt: skip


def at_replicas(trial: Trial, replicas: int) -> Trial:
    """The measured number of replicas where a prediction says nothing about it."""
    return trial if trial.change.replicas else replace(trial, change=replace(trial.change, replicas=replicas))
