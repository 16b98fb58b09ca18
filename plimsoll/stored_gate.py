"""A gate against stored runs: unpaired, its power from the history's spread; what does not match fails closed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gate.document import exit_code
from benchmarks.gate.judging import Verdict, worst
from benchmarks.gate.rules import Rules
from benchmarks.gate.stored import Stored, compare_stored, mismatches
from benchmarks.history.store import Store, host_key
from measurements import host
from measurements.errors import Exit, Interrupted, PlimsollError, UsageError
from measurements.rundir import RunDirectory
from plimsoll.measure import measure
from plimsoll.spec import Spec
from plimsoll.watcher import Watcher
from targets.contract import Contract
from targets.urls import base_url

if TYPE_CHECKING:
    from plimsoll.gate_words import Words


def opened(words: Words) -> tuple[Stored, Stored | None]:
    """The baseline, and the candidate where it is a stored run too; refuses what cannot be, before anything is written."""
    if words.baseline is None or not (Path(words.baseline) / "run.json").is_file():
        given = "is not given" if words.baseline is None else f"{words.baseline} is no run directory"
        raise UsageError(f"--baseline {given}; the candidate is a stored run, so the baseline must be one")
    base = _stored(RunDirectory.open(Path(words.baseline)))
    if words.candidate is None:
        raise UsageError("name the candidate too: a run directory, or the URL of the version that shall be loaded now")
    if (Path(words.candidate) / "run.json").is_file():
        return base, _stored(RunDirectory.open(Path(words.candidate)))
    try:
        base_url(words.candidate)
    except ValueError:
        raise UsageError(
            f"--candidate {words.candidate} is neither a run directory nor a URL; against a stored baseline it is one of both"
        ) from None
    if base.run["schedule"]["loop"] != "open":
        raise UsageError(
            "the stored baseline is a closed loop, whose load depends on the service; store an open one with --rate"
        )
    return base, None


def against_stored(
    words: Words, contract: Contract, rules: Rules, run: RunDirectory, look: Watcher, base: Stored, new: Stored | None
) -> dict[str, Any]:
    """verdict.json of two stored runs, or of a stored one and a URL that is loaded now with its schedule."""
    if new is None:
        new = _stored(_loaded(words, contract, base, run, look))
    wrong = mismatches(base, new)
    comparisons: list[dict[str, Any]] = []
    if not wrong:
        comparisons, wrong = compare_stored(base, new, rules, _spread(words, contract, base))
    states = [Verdict(one["verdict"]) for one in comparisons if one["verdict"]]
    verdict = Verdict.INVALID if wrong else worst(states)
    reasons = wrong or [f"{c['endpoint']} {c['metric']}: {c['why']}" for c in comparisons if c["primary"] and c["why"]]
    return {
        "schema": 1,
        "verdict": str(verdict),
        "exit_code": int(exit_code(verdict, rules.on_unsure)),
        "reasons": reasons,
        "run": run.identity,
        "target": contract.target.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "paired": False,
        "notes": [
            "unpaired: the two were measured at different times, so the spread between runs limits what can be seen"
        ],
        "baseline": {"label": base.run["run"]},
        "candidate": {"label": new.run["run"]},
        "floor": rules.floor,
        "alpha": rules.alpha,
        "on_unsure": rules.on_unsure,
        "host": host.fingerprint(),
        "comparisons": comparisons,
        "slo": [],
        "accepted": [],
        "duets": [],
    }


def _stored(run: RunDirectory) -> Stored:
    return Stored(run.read_json("run.json"), run.read_json("summary.json"))


def _loaded(words: Words, contract: Contract, base: Stored, run: RunDirectory, look: Watcher) -> RunDirectory:
    """The candidate under the baseline's own schedule."""
    from loadtests.arrivals import Process, Stage

    schedule = base.run["schedule"]
    spec = Spec(
        contract=contract, out=run.path, name="candidate", host=words.candidate, seed=words.seed, duration_s=1.0,
        rate_rps=schedule["stages"][-1]["end_rps"], process=Process(schedule["process"].partition(":")[0], schedule["cv"]),
        planned=tuple(Stage(**stage) for stage in schedule["stages"]),
    )  # fmt: skip
    found = measure(spec, look)
    if found.exit is Exit.INTERRUPTED:
        raise Interrupted(f"interrupted; what was measured is kept in {run.path}, there is no verdict")
    return found.directory


def _spread(words: Words, contract: Contract, base: Stored) -> Mapping[tuple[str, str], list[float]]:
    """(endpoint, metric) → what earlier valid runs of this service measured on machines of this kind."""
    store = Store(words.store or words.out / "history.duckdb")
    try:
        series = store.series(contract.target.name, "run", host_key(base.run.get("host") or {}))
    except PlimsollError:
        return {}
    return {pair: [p.value for p in points if p.value and p.verdict == "VALID"] for pair, points in series.items()}
