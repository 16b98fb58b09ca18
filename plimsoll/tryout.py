"""Trying a plan's predictions here, one after another, as long as time and patience last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capacity import judgement, predictions
from capacity.documents import RunDocuments, stages_of
from capacity.judgement import Retest
from capacity.ledger import Entry
from capacity.service_times import calm
from measurements import host
from measurements.errors import Interrupted, Refused, UsageError
from measurements.rundir import RunDirectory
from plimsoll import lose_one, observed, planning, trial
from plimsoll.display import watcher
from plimsoll.trial import Bench, Trial

LOSE_ONE_S = 10.0
LOSING_S = 2.5 * LOSE_ONE_S  # before the kill, until it is noticed, and after
MOVED = ", moved to another machine"  # such predictions have a record of their own
GAINS_NOTHING = 1.02  # times the line
MOST = 1.3  # times the prediction: as far as its cores are asked about
LEAST_S = 45.0  # of load for one trial: two rounds of three factors
REMEDY_CONTROL = "say in [target.control] how to start it, measure and plan again"


@dataclass(frozen=True)
class Frozen:
    """A plan that is about to be tried: its document, its hash, its folder, and the run that it rests on."""

    document: Mapping[str, Any]
    sha256: str
    folder: Path
    home: RunDirectory

    @property
    def ledger(self) -> Path:
        return self.home.path.parent / planning.LEDGER


@dataclass(frozen=True)
class Tried:
    """`entries` are for the ledger. `interrupted`: what came before the signal stands, the rest says so."""

    tests: list[Retest]
    entries: list[Entry]
    interrupted: bool


def try_out(frozen: Frozen, budget_s: float, seed: int, quiet: bool, only: str | None = None) -> Tried:
    """`only`: of the predictions with this in their name."""
    contract, contract_path = trial.contract_of(frozen.home)
    _may_cost(contract, budget_s, frozen)
    documents = observed.documents(frozen.home)
    possible, untested = _sorted(frozen, documents, contract, only)
    watching = watcher(quiet)
    bench = Bench(
        contract, contract_path, frozen.folder / "trials", int(documents.run["schedule"]["workers"]), _calm_s(documents),
        seed, watching,
    )  # fmt: skip
    loss = _loss(frozen, documents)
    why_not = _elsewhere(frozen) or _uncontrolled(contract) or _crowded(frozen, loss, documents)
    lose = only is None or only in lose_one.NAME
    if lose and why_not:
        untested.append(loss.untried(why_not))
        lose = False
    for_trials_s = budget_s - (LOSING_S if lose and possible else 0)
    count = min(len(possible), max(1, int(for_trials_s // LEAST_S)))
    tests: list[Retest] = []
    entries: list[Entry] = []
    interrupted = False
    place = 0
    try:
        for place, one in enumerate(possible[:count]):
            watching.phase(f"trial {place + 1} of {count}: {one.what}, predicted {one.predicted.mid:.3g} rps")
            made = trial.run(bench, one, for_trials_s / count)
            tests += made
            model = one.model + (MOVED if frozen.document.get("machine") else "")
            highest_rps = one.predicted.mid / one.extrapolation
            entries += judgement.entries(frozen.sha256, made, model, highest_rps, now(), scaling=one.scaling)
        place = count
        if lose:
            watching.phase(f"losing one of {loss.replicas} replicas")
            tests.append(lose_one.run(bench, _nginx_conf(frozen), loss))
            lose = False
    except (Interrupted, KeyboardInterrupt):
        interrupted = True
    if lose:
        untested.append(loss.untried("interrupted before it was tried"))
    for one in possible[place:]:
        note = "interrupted before it was tried to its end"
        if not interrupted:
            note = f"left out for time: plimsoll verify {frozen.folder} --budget {LEAST_S * (len(possible) + 1):.0f}"
        untested.append(Retest(one.what, None, one.predicted, None, note=note))
    return Tried([*tests, *untested], entries, interrupted)


def _sorted(
    frozen: Frozen, documents: RunDocuments, contract: Any, only: str | None
) -> tuple[list[Trial], list[Retest]]:  # fmt: skip
    """(what can be tried here, what cannot with its reason)."""
    why_not = _elsewhere(frozen) or _uncontrolled(contract)
    possible, untested = [], []
    for raw in _wanted(frozen, only):
        one = trial.at_replicas(trial.trial_of(raw, predictions.from_json(raw["change"])), documents.replicas)
        reason = why_not or _too_small(one, documents, float(_line(frozen)["capacity_rps"]["mid"]))
        if reason:
            untested.append(Retest(one.what, None, one.predicted, None, note=reason))
        else:
            possible.append(one)
    return possible, untested


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _wanted(frozen: Frozen, only: str | None) -> list[Mapping[str, Any]]:
    """The predictions that are numbers; UsageError where the plan holds only refusals, or none is called so."""
    numbers = [raw for raw in frozen.document["predictions"] if raw.get("capacity_rps")]
    if not numbers:
        reasons = frozen.document.get("refusals") or [
            {"reason": "it predicts nothing", "remedy": "plan on another run"}
        ]
        raise UsageError(
            f"{frozen.folder}/plan.json holds no number to try: {reasons[0]['reason']}; {reasons[0]['remedy']}"
        )
    found = [raw for raw in numbers if only is None or only in raw["what"]]
    if not found and not (only and only in lose_one.NAME):
        known = ", ".join(repr(what) for what in [*(raw["what"] for raw in numbers), lose_one.NAME])
        raise UsageError(f"--only {only}: no prediction of {frozen.folder} is called so; there are {known}")
    return found


def _may_cost(contract: Any, budget_s: float, frozen: Frozen) -> None:
    """A paid upstream needs a cap, and the cap must be enough for all trials."""
    from plimsoll import money

    highest = max(
        (raw["capacity_rps"]["high"] for raw in frozen.document["predictions"] if raw.get("capacity_rps")), default=0.0
    )
    cost = money.estimate(contract, 1.6 * highest * (budget_s + LOSING_S))
    if cost.max_requests is not None and cost.requests > cost.max_requests:
        raise Refused(
            f"these trials would cost up to {cost.usd:,.2f} USD at the paid upstream, more than max_usd allows; raise max_usd "
            "in [upstream], or verify against its emulator"
        )


def _elsewhere(frozen: Frozen) -> str:
    """Why the plan does not speak for this machine: made for another (`plan --machine`), or measured on another."""
    other = frozen.document.get("machine")
    meant, here = other or frozen.home.read_json("run.json").get("host") or {}, host.fingerprint()
    differ = [key for key in ("cpu_model", "cores") if meant.get(key) != here.get(key)]
    if other and meant.get("cores") is None:
        differ = [key for key in differ if key != "cores"]
    if not differ:
        return ""
    there = f"plimsoll verify {frozen.folder}, there, beside the run directory {frozen.home.path.name}"
    remedy = f"run {there}" if other else f"measure and plan here, or run {there}"
    cores = f" with {meant['cores']} cores" if meant.get("cores") else ""
    return (
        f"not testable here: the plan speaks for {meant.get('cpu_model')}{cores}, this is {here['cpu_model']} with "
        f"{here['cores']} cores; {remedy}"
    )


def _too_small(one: Trial, documents: RunDocuments, line_rps: float) -> str:
    """A change that is predicted to gain nothing, with no more slots in all, asks no more CPU of this machine than the run did
    that it rests on."""
    if one.predicted.mid <= GAINS_NOTHING * line_rps and not _more_slots(one, documents):
        return ""
    processes = (one.change.replicas or 1) * (one.change.workers or documents.workers)
    cores, generator = len(os.sched_getaffinity(0)), documents.run["schedule"]["workers"]
    busy = one.cores * MOST if one.cores is not None else None
    if too_few := judgement.testable_here(cores, processes, generator, busy):
        return too_few
    least_s = _least_s(documents)
    cpu_share = one.cores / one.predicted.mid / least_s if one.cores is not None and least_s else None
    return judgement.slowed_here(cores, processes, generator, one.cores, cpu_share)


def _more_slots(one: Trial, documents: RunDocuments) -> bool:
    before = documents.section("limits").get("queue") or {}
    copies = (one.change.replicas or documents.replicas) / documents.replicas
    return any(
        copies * setting.max_concurrent > before[name]["max_concurrent"] for name, setting in one.change.queues.items()
    )


def _least_s(documents: RunDocuments) -> float:
    """The mean response time of the calmest stage; 0 where there is none."""
    return min((stage.response_mean_ms or 0.0 for stage in calm(stages_of([documents]))), default=0.0) / 1000


def _calm_s(documents: RunDocuments) -> float:
    known = [
        stage.response_mean_ms for stage in stages_of([documents]) if stage.response_mean_ms and not stage.backlog_grew
    ]
    return (known[len(known) // 2] if known else 200.0) / 1000


def _nginx_conf(frozen: Frozen) -> str | None:
    for folder in (frozen.folder, frozen.home.path):
        path = folder / planning.FOLDER / "nginx.conf"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return None


def _uncontrolled(contract: Any) -> str:
    return "" if contract.target.control else f"not testable here: {REMEDY_CONTROL}"


def _loss(frozen: Frozen, documents: RunDocuments) -> lose_one.Loss:
    """Of as many replicas as were measured, and of two where that was one, at the rate that the others hold for sure."""
    replicas = max(2, documents.replicas)
    each_rps = float(_line(frozen)["capacity_rps"]["low"]) / documents.replicas
    return lose_one.Loss(replicas, (replicas - 1) * each_rps, _error_limit(documents), LOSE_ONE_S, documents.workers)


def _line(frozen: Frozen) -> Mapping[str, Any]:
    """The prediction that nothing is changed: the first."""
    return _wanted(frozen, None)[0]


def _crowded(frozen: Frozen, loss: lose_one.Loss, documents: RunDocuments) -> str:
    line = _line(frozen)
    cores = line.get("cores")
    busy = cores * loss.rate_rps / line["capacity_rps"]["mid"] if cores is not None else None
    return judgement.testable_here(
        len(os.sched_getaffinity(0)), loss.replicas * documents.workers, documents.run["schedule"]["workers"], busy
    )


def _error_limit(documents: RunDocuments) -> float:
    limits = documents.slo_limits()
    return min((metrics["error_rate"] for metrics in limits.values() if "error_rate" in metrics), default=0.05)
