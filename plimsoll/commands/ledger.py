"""plimsoll ledger: how often past predictions held; and judging one by what production did since."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from measurements.errors import UsageError
from measurements.interval import Interval, Refusal
from plimsoll import planning

USAGE = "plimsoll ledger, or: plimsoll ledger observe PLAN_DIR LOG"


def ledger(words: list[str], runs: Path, window_s: float, replicas: int | None, as_json: bool) -> None:
    if not words:
        show(runs / planning.LEDGER, as_json)
    elif words[0] != "observe" or len(words) < 3:
        raise UsageError(f"plimsoll ledger {' '.join(words)} is not understood; write {USAGE}")
    else:
        if not 1 <= window_s <= 86_400:
            raise UsageError(f"--window {window_s:g}: give seconds, from 1 to a day")
        if replicas is not None and replicas < 1:
            raise UsageError(f"--replicas {replicas}: give how many production runs, 1 or more")
        observe(Path(words[1]), [Path(word) for word in words[2:]], window_s, replicas, as_json)


def show(path: Path, as_json: bool) -> None:
    from capacity import ledger as record

    entries = planning.read_ledger(path)
    report = record.report(entries)
    if as_json:
        print(json.dumps({"ledger": str(path), **report}, ensure_ascii=False))
    else:
        print("\n".join(lines(path, entries, report)))


def lines(path: Path, entries: Sequence[Any], report: Mapping[str, Any]) -> list[str]:
    """Both records apart, each as a whole, by model and by distance; then the last entries."""
    if not entries:
        return [
            f"{path} has no entry yet: plimsoll verify PLAN_DIR makes them, plimsoll ledger observe PLAN_DIR LOG too"
        ]
    said = []
    for title, found in (
        ("Lab (plimsoll verify)", report["lab"]),
        ("Production (ledger observe)", report["production"]),
    ):
        said.append(f"{title}: {_score(found)}")
        for group in ("by_model", "by_distance"):
            said += [f"    {name:<26} {_score(own)}" for name, own in found[group].items()]
    said.append("Last:")
    for entry in list(entries)[-10:]:
        span = entry.predicted
        mark = {True: "held  ", False: "MISSED", None: "open  "}[entry.within]
        said.append(
            f"    {mark} {entry.at[:10]}  {entry.what}: {span.low:.3g} to {span.high:.3g} rps, was {_was(entry)}"
        )
    return said


def _was(entry: Any) -> str:
    """What was measured with its error; a bound without one."""
    if entry.measured is not None:
        return f"{entry.measured:.3g} ({entry.measured / entry.predicted.mid - 1:+.1%})"
    bounds = (("at least", entry.at_least), ("at most", entry.at_most))
    return " and ".join(f"{word} {value:.3g}" for word, value in bounds if value is not None)


def _score(found: Mapping[str, Any]) -> str:
    count, undecided = found["entries"], found["undecided"]
    beside = f", {undecided} more undecided (only bounds are known)" if undecided else ""
    if found["verdict"] == "no track record yet":
        return f"{count} {'entry' if count == 1 else 'entries'}, no track record yet ({found['needed']} more are needed){beside}"
    low, high = found["coverage_ci95"]
    errors = "nothing but bounds is known of the errors"
    if found["measured"]:
        errors = f"bias {found['bias']:+.1%}, median error {found['median_error']:.1%}, Winkler {found['winkler']:.2f}"
    return (
        f"{count} entries, {found['coverage']:.0%} within intervals that promise {found['nominal']:.0%} (95 % CI {low:.0%} to "
        f"{high:.0%}), {errors}, half-width {found['median_half_width']:.1%}{beside}"
    )


def observe(plan_dir: Path, logs: list[Path], window_s: float, replicas: int | None, as_json: bool) -> None:
    """Appends what production's line was, if the log shows it; UsageError with the reason where it does not."""
    from capacity import production
    from capacity.documents import stages_of
    from plimsoll import observed, production_log, trial
    from plimsoll.commands.verify import append, freeze

    frozen = freeze(plan_dir)
    made_at = frozen.document.get("made_at")
    if not frozen.document.get("capacity_rps") or not made_at:
        raise UsageError(
            f"{plan_dir}/plan.json has no capacity with a date, so there is nothing that production could judge; plan on a run "
            "that has one: plimsoll plan RUN_DIR --demand RPS"
        )
    contract, path = trial.contract_of(frozen.home)
    documents = observed.documents(frozen.home)
    said = _said_of(frozen, documents, replicas)
    stages = stages_of([documents])
    rows = production_log.read(logs, contract, datetime.fromisoformat(made_at).timestamp())
    files = " ".join(map(str, logs))
    if not len(rows.at_s):
        raise UsageError(
            f"{files}: no request to the contract's endpoints came after the plan was made ({made_at}); "
            "give the log of what followed"
        )
    found = production_log.windows(rows, contract, window_s, stages[0].requests_per_arrival if stages else 1.0)
    again = f"plimsoll ledger observe {plan_dir} {files}"
    limits = {name: contract.slo[name].limits() if name in contract.slo else {} for name in found}
    seen = {
        name: production.observed_line(own, limits[name], again, str(path or "CONTRACT")) for name, own in found.items()
    }
    untold = tuple(dict.fromkeys(one for name in found for one in production.unknown(found[name], limits[name])))
    lines = {name: line for name, line in seen.items() if not isinstance(line, Refusal)}
    if not lines:
        refused = [f"{name}: {one.reason}; {one.remedy}" for name, one in seen.items() if isinstance(one, Refusal)]
        raise UsageError(f"production does not tell its line yet ({' | '.join(refused)})")
    name = min(lines, key=lambda one: lines[one].rps)
    line, predicted = production.Observed(lines[name].rps, untold), Interval(**said["capacity_rps"])
    entry = production.entry(
        str(_moment(rows.at_s.max())), predicted, line, said["extrapolation"], frozen.sha256, said.get("scaling")
    )
    append(frozen.ledger, [entry])
    if as_json:
        print(json.dumps(entry.as_json(), ensure_ascii=False))
        return
    verdict = {True: "held", False: "MISSED", None: "undecided"}[entry.within]
    bound = "at most " if entry.measured is None else ""
    count = replicas or documents.replicas
    print(
        f"{verdict}: predicted {predicted.low:.3g} to {predicted.high:.3g} rps, production broke its SLO ({name}) at "
        f"{bound}{line.rps:.3g} rps, over {len(found[name])} windows of {window_s:g} s; added to "
        f"{planning.shown(frozen.ledger)}"
    )
    if untold:
        print(production.says(untold))
    for other, one in seen.items():
        if isinstance(one, Refusal):
            print(f"{other} is not judged: {one.reason}")
    if replicas is None:
        print(
            f"taken for granted: production runs {count} replica(s), as were measured; say --replicas N where it runs others"
        )


def _said_of(frozen: Any, documents: Any, replicas: int | None) -> Mapping[str, Any]:
    """The plan's own prediction for so many replicas; UsageError where it makes none."""
    predictions = [one for one in frozen.document["predictions"] if one.get("capacity_rps")]
    wanted = replicas if replicas not in (None, documents.replicas) else None
    for one in predictions:
        change = one["change"]
        if change.get("replicas") == wanted and not (change.get("workers") or change.get("queues")):
            return one
    known = sorted({one["change"].get("replicas") or documents.replicas for one in predictions})
    raise UsageError(
        f"{frozen.folder}/plan.json speaks for {', '.join(map(str, known)) or 'no number of'} replicas, and production runs "
        f"{replicas or documents.replicas}; measure so many and plan on that: plimsoll run {documents.contract_path} --start "
        f"--replicas {replicas or documents.replicas} --shape breakpoint"
    )


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(float(at_s)).astimezone().isoformat(timespec="seconds")
