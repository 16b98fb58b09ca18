"""plimsoll history: trends of past gates and runs."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.history.store import Store
from benchmarks.history.trend import Trend, alarms, trends, weekly
from measurements.errors import FormatError, UsageError
from measurements.rundir import RunDirectory

MOST_CHANGES = 20


def history(
    store: Path, target: str | None, kind: str, week: bool, add: Path | None, pin: str | None, export: Path | None,
    unsure_streak: bool, as_json: bool,
) -> None:  # fmt: skip
    found = Store(store)
    if kind not in ("gate", "run"):
        raise UsageError(f"--kind {kind}: write gate or run")
    if add is not None:
        add_run(found, RunDirectory.open(add))
    if pin is not None:
        found.pin(Path(pin).resolve().name if Path(pin).is_dir() else pin)
    if export is not None:
        print(f"{found.export(export):,} figures written to {export}", file=sys.stderr)
    name = _target(found, target)
    if unsure_streak:
        streak = found.unsure_streak(name)
        print(json.dumps({"target": name, "unsure_streak": streak}) if as_json else streak)
        return
    series = found.series(name, kind)
    shown = trends(series)
    if as_json:
        print(
            json.dumps(
                {"target": name, "entries": found.entries(name), "trends": [_json(one) for one in shown]}, default=str
            )
        )
    elif week:
        print(weekly(name, found.entries(name), shown, datetime.now(UTC).replace(tzinfo=None)), end="")
    else:
        print("\n".join(_lines(name, found.entries(name), shown)))


def add_run(store: Store, run: RunDirectory) -> None:
    """A finished run's summary, or a gate's verdict."""
    document = run.read_json("run.json")
    if run.has("verdict.json"):
        store.add_gate({"git_commit": document.get("git_commit")} | run.read_json("verdict.json"))
        return
    summary = run.read_json("summary.json")
    try:
        at = datetime.strptime(str(document["run"])[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except (KeyError, ValueError):
        raise FormatError(f"{run.path}/run.json has no run with a time in its name; restore it from a copy") from None
    store.add_run(document, summary, at)


def _target(store: Store, wanted: str | None) -> str:
    known = store.targets()
    if wanted in known:
        return str(wanted)
    if wanted is not None or not known:
        raise UsageError(
            f"the history {store.path} knows {', '.join(known) or 'nothing yet'}; {wanted or 'a target'} is not in it"
        )
    if len(known) > 1:
        raise UsageError(f"the history holds {', '.join(known)}; choose one with --target")
    return known[0]


def _lines(name: str, entries: list[dict[str, Any]], shown: list[Trend]) -> list[str]:
    lines = [f"{name}: {len(entries)} entries, newest {entries[-1]['ended']:%Y-%m-%d %H:%M} {entries[-1]['verdict']}"]
    if told := alarms(entries):
        lines.append(f"  {told}")
    for one in shown:
        value = one.points[-1].value
        text = f"  {one.endpoint} {one.metric}: {value:.4g} after {len(one.points)}"
        if one.creep:
            text += f", {one.creep - 1:+.1%} since the pinned release"
        lines.append(text)
        lines += [f"    {c.relative:+.1%} between {one.where(c)}" for c in one.changes[:MOST_CHANGES]]
    return lines


def _json(one: Trend) -> dict[str, Any]:
    return {
        "endpoint": one.endpoint,
        "metric": one.metric,
        "creep": one.creep,
        "points": [point.__dict__ for point in one.points],
        "changes": [change.__dict__ | {"between": one.where(change)} for change in one.changes],
    }
