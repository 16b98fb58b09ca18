"""plimsoll verify: a plan is frozen, then tried here, and what came of it goes on record."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measurements import host
from measurements.errors import Exit, FormatError, Refused, UsageError
from measurements.rundir import RunDirectory
from plimsoll import observed, planning

LOSE_ONE_S = 10.0
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


def verify(plan_dir: Path, budget_s: float, seed: int, only: str | None, lang: str, as_json: bool, quiet: bool) -> None:
    from capacity import judgement
    from reports.render import render

    frozen = freeze(plan_dir)
    if budget_s < LEAST_S:
        raise UsageError(f"--budget {budget_s:g}: a trial takes {LEAST_S:g} s of load, so give that or more")
    found, entries = try_out(frozen, budget_s, seed, quiet or as_json, only)
    document = judgement.verification(frozen.sha256, found) | {"at": _now(), "seed": seed}
    for folder in {frozen.folder.resolve(), frozen.home.path.resolve()}:
        RunDirectory(folder).write_json("verification.json", document)
    append(frozen.ledger, entries)
    render(frozen.home, lang)
    if as_json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        print("\n".join(lines(document, len(entries), frozen)))
    ends = {"HELD": Exit.OK, "MISSED": Exit.SLO_MISSED, "NOT_TESTABLE": Exit.INVALID}
    raise SystemExit(int(ends[document["verdict"]]))


def freeze(plan_dir: Path) -> Frozen:
    """Reads and hashes the plan before anything is tried; whoever changes it later cannot claim this test."""
    from capacity.judgement import plan_sha256

    path = plan_dir / "plan.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"{plan_dir} has no plan.json; make one with: plimsoll plan RUN_DIR --demand RPS --out {plan_dir}"
        ) from error
    except (ValueError, OSError) as error:
        raise FormatError(f"{path} is damaged ({error}); plan again") from error
    rests_on = document.get("rests_on") or []
    if not rests_on or "predictions" not in document:
        raise UsageError(
            f"{path} does not say which run it rests on; plan again: plimsoll plan RUN_DIR --out {plan_dir}"
        )
    home = Path(rests_on[-1]["path"])
    if not home.is_dir() and (plan_dir / "run.json").is_file():
        home = plan_dir  # the folder was moved as a whole
    return Frozen(document, plan_sha256(document), plan_dir, RunDirectory.open(home))


def try_out(
    frozen: Frozen, budget_s: float, seed: int, quiet: bool, only: str | None = None
) -> tuple[list[Any], list[Any]]:
    """(tests, ledger entries). `only`: of the predictions with this in their name."""
    from capacity import judgement, predictions
    from plimsoll import lose_one, trial
    from plimsoll.display import watcher

    contract, contract_path = trial.contract_of(frozen.home)
    _may_cost(contract, budget_s, frozen)
    documents = observed.documents(frozen.home)
    numbers, tests = _wanted(frozen, only), []
    why_not = _elsewhere(frozen) or ("" if contract.target.control else f"not testable here: {REMEDY_CONTROL}")
    watching = watcher(quiet)
    bench = trial.Bench(
        contract, contract_path, frozen.folder / "trials", int(documents.run["schedule"]["workers"]), _calm_s(documents),
        seed, watching,
    )  # fmt: skip
    possible = []
    for raw in numbers:
        one = trial.at_replicas(trial.trial_of(raw, predictions.from_json(raw["change"])), documents.replicas)
        reason = why_not or _too_small(one, documents)
        if reason:
            tests.append(judgement.Retest(one.what, None, one.predicted, None, note=reason))
        else:
            possible.append(one)
    lose = possible and documents.replicas == 1 and only is None
    count = max(1, int((budget_s - (2 * LOSE_ONE_S if lose else 0)) // LEAST_S))
    entries, tried = [], []
    each_s = (budget_s - (2 * LOSE_ONE_S if lose else 0)) / max(1, min(count, len(possible)))
    for place, one in enumerate(possible[:count], 1):
        watching.phase(
            f"trial {place} of {min(count, len(possible))}: {one.what}, predicted {one.predicted.mid:.3g} rps"
        )
        made = trial.run(bench, one, each_s, rounds=2)
        tried += made
        entries += judgement.entries(frozen.sha256, made, one.model, one.predicted.mid / one.extrapolation, _now())
    for one in possible[count:]:
        note = f"left out for time: plimsoll verify {frozen.folder} --budget {LEAST_S * (len(possible) + 1):.0f}"
        tests.append(judgement.Retest(one.what, None, one.predicted, None, note=note))
    if lose:
        watching.phase("losing one of two replicas")
        tried.append(lose_one.run(bench, _nginx_conf(frozen), _one_holds(frozen), _error_limit(documents), LOSE_ONE_S))
    return [*tried, *tests], entries


def append(ledger: Path, entries: Sequence[Any]) -> None:
    if entries:
        with ledger.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(entry.as_json(), ensure_ascii=False) + "\n" for entry in entries))


def lines(document: Mapping[str, Any], entries: int, frozen: Frozen) -> list[str]:
    """Predicted beside measured, a line each."""
    capacities = [test for test in document["tests"] if test["factor"] is None]
    factors = [test for test in document["tests"] if test["factor"] is not None]
    tried = [test for test in capacities if test["within"] is not None]
    held = sum(test["within"] for test in tried)
    said = [f"{document['verdict']}: {held} of {len(tried)} predictions held (plan {document['plan_sha256'][:12]})"]
    for test in capacities:
        said.append(f"  {_mark(test)} {test['what']}: {_figures(test)}")
    agree = sum(bool(test["within"]) for test in factors)
    if factors:
        unclear = sum(test["within"] is None for test in factors)
        note = f", {unclear} unclear" if unclear else ""
        said.append(f"  driven at 0.9, 1.0 and 1.15 times each prediction: {agree} of {len(factors)} agree{note}")
    if entries:
        said.append(f"  {entries} added to {planning.shown(frozen.ledger)}; see: plimsoll ledger")
    said.append(f"Report: {planning.shown(frozen.home.path)}/report.html")
    return said


def _mark(test: Mapping[str, Any]) -> str:
    return {True: "held  ", False: "MISSED", None: "  --  "}[test["within"]]


def _figures(test: Mapping[str, Any]) -> str:
    from capacity.figures import figure

    span = test["predicted"]
    if test["measured"] is None:
        return f"not tested; {test['note']}"
    measured = f"predicted {figure(span['mid'])} ({figure(span['low'])} to {figure(span['high'])})"
    spread = f", repeats {figure(test['repeat_spread'])} apart" if test["repeat_spread"] is not None else ""
    bound = f" ({test['note']})" if test["note"] else ""
    return f"{measured}, measured {figure(test['measured'])}{spread}{bound}"


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
    if not found:
        known = ", ".join(repr(raw["what"]) for raw in numbers)
        raise UsageError(f"--only {only}: no prediction of {frozen.folder} is called so; there are {known}")
    return found


def _may_cost(contract: Any, budget_s: float, frozen: Frozen) -> None:
    """A paid upstream needs a cap, and the cap must be enough for all trials."""
    from plimsoll import money

    highest = max(
        (raw["capacity_rps"]["high"] for raw in frozen.document["predictions"] if raw.get("capacity_rps")), default=0.0
    )
    cost = money.estimate(contract, 1.6 * highest * (budget_s + 2 * LOSE_ONE_S))
    if cost.max_requests is not None and cost.requests > cost.max_requests:
        raise Refused(
            f"these trials would cost up to {cost.usd:,.2f} USD at the paid upstream, more than max_usd allows; raise max_usd "
            "in [upstream], or verify against its emulator"
        )


def _elsewhere(frozen: Frozen) -> str:
    measured, here = frozen.home.read_json("run.json").get("host") or {}, host.fingerprint()
    for key in ("cpu_model", "cores"):
        if measured.get(key) != here.get(key):
            return (
                f"not testable here: the plan speaks for {measured.get('cpu_model')} with {measured.get('cores')} cores, this is "
                f"{here['cpu_model']} with {here['cores']}; measure and plan here, or run this there"
            )
    return ""


def _too_small(one: Any, documents: Any) -> str:
    from capacity.judgement import testable_here
    from plimsoll.trial import ABOVE

    processes = (one.change.replicas or 1) * (one.change.workers or documents.workers)
    busy = one.cores * ABOVE[0] if one.cores is not None else None
    return testable_here(len(os.sched_getaffinity(0)), processes, documents.run["schedule"]["workers"], busy)


def _calm_s(documents: Any) -> float:
    from capacity.documents import stages_of

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


def _one_holds(frozen: Frozen) -> float:
    """The rate that one replica holds for sure."""
    return float(frozen.document["predictions"][0]["capacity_rps"]["low"])


def _error_limit(documents: Any) -> float:
    limits = documents.slo_limits()
    return min((metrics["error_rate"] for metrics in limits.values() if "error_rate" in metrics), default=0.05)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
