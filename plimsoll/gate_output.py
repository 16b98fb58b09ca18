"""What a gate leaves behind: history, report, JUnit, Markdown, GitHub's summary and annotations, notifications."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.history.changes import Change, change_points
from benchmarks.history.store import Point, Store, host_key
from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory
from targets.contract import Contract

MOST_POINTS, RECENT = 60, 7
T = TypeVar("T")


def publish(run: RunDirectory, document: dict[str, Any], contract: Contract, store: Path, lang: str) -> list[str]:
    """Writes everything beside verdict.json; returns the lines for the terminal. What fails here never changes the verdict."""
    from reports import gate_ci, gate_page, gate_text

    begins = [] if store.is_file() else [f"the history {store} begins with this gate: earlier ones are not known"]
    trends = _kept("history", lambda: _history(document, Store(store))) or []
    document["notes"] = _notes(trends) + begins + document.get("notes", [])
    document["trends"] = trends
    run.write_json("verdict.json", document)
    report = _kept("report", lambda: run.write_text("report.html", gate_page.page(document, lang)))
    _kept("JUnit file", lambda: run.write_text("junit.xml", gate_ci.junit(document, lang)))
    markdown = _kept("Markdown", lambda: gate_ci.markdown(document, lang)) or ""
    _kept("comment", lambda: run.write_text("comment.md", markdown))
    _kept("GitHub summary", lambda: _github(document, markdown, lang))
    _kept("notification", lambda: _notify(document, contract))
    return gate_text.lines(document, report or "not written", lang)


def _history(document: dict[str, Any], store: Store) -> list[dict[str, Any]]:
    """Adds this gate, then the series of its primaries on machines of this kind, oldest first."""
    store.add_gate(document)
    series = store.series(document["target"], host=host_key(document.get("host") or {}))
    found = []
    for one in document["comparisons"]:
        points = series.get((one["endpoint"], one["metric"]), [])[-MOST_POINTS:]
        if not one["primary"] or one.get("ratio") is None:
            continue
        known = [point for point in points if point.ratio is not None]
        values = [point.value for point in known if point.value is not None]
        changes = change_points(values) if len(values) == len(known) else []
        found.append(
            {
                "endpoint": one["endpoint"],
                "metric": one["metric"],
                "points": [
                    {"at": f"{p.at:%Y-%m-%d %H:%M}", "run": p.run, "ratio": p.ratio, "low": p.low, "high": p.high,
                     "verdict": p.verdict, "value": p.value, "pinned": p.pinned}
                    for p in known
                ],
                "changes": [c.index for c in changes],
                "newest_change": _told(changes[-1], known) if changes and changes[-1].index >= len(known) - RECENT else "",
            }
        )  # fmt: skip
    return found


def _told(change: Change, points: Sequence[Point]) -> str:
    before, after = points[change.index - 1], points[change.index]
    where = f"{before.commit[:10] or before.run} .. {after.commit[:10] or after.run}"
    return f"{change.relative:+.1%} between {where} (a change point warns, it does not block)"


def _notes(trends: list[dict[str, Any]]) -> list[str]:
    """Creep that no single gate sees: each candidate a little slower than its own baseline; and recent change points."""
    notes = []
    for one in trends:
        if one["newest_change"]:
            notes.append(f"{one['endpoint']} {one['metric']}: {one['newest_change']}")
        pinned = next((k for k, p in enumerate(one["points"]) if p["pinned"]), None)
        newest = one["points"][-1]["value"] if one["points"] else None
        if pinned is not None and newest and one["points"][pinned]["value"] and pinned < len(one["points"]) - 1:
            change = newest / one["points"][pinned]["value"] - 1
            notes.append(
                f"{one['endpoint']} {one['metric']}: {change:+.1%} since the pinned release {one['points'][pinned]['run']}"
            )
    return notes


def _github(document: dict[str, Any], markdown: str, lang: str) -> None:
    """Only inside a GitHub job: its summary file, and annotations on standard error."""
    from reports import gate_ci

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(markdown + "\n")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print("\n".join(gate_ci.workflow_commands(document, lang)), file=sys.stderr)


def _notify(document: dict[str, Any], contract: Contract) -> None:
    from plimsoll.notify import gate_message, send

    message = gate_message(document)
    messages = [message] if message is not None else []
    for one in document.get("alerts") or []:
        messages.append((one["severity"], f"{one['severity']}: gate of {document.get('target')}", one["sentence"]))
    for severity, title, text in messages:
        for sentence in send(contract.alert, severity, title, text):
            print(f"plimsoll: {sentence}", file=sys.stderr)


def _kept(what: str, make: Callable[[], T]) -> T | None:
    """The verdict stands whatever happens to what is made of it; what failed is said."""
    try:
        return make()
    except Exception as error:
        kind = "" if isinstance(error, PlimsollError) else f"{type(error).__name__}: "
        print(f"plimsoll: the verdict stands, but its {what} was not made: {kind}{error}", file=sys.stderr)
        return None
