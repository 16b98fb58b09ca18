"""Two profiled runs side by side: what a request costs by function in the one and in the other."""

import json
from pathlib import Path
from typing import Any

from measurements.errors import UsageError
from profiles import cpu, frames, stacks


def compare(before: Path, after: Path) -> dict[str, Any]:
    """`before`, `after`: run directories of `plimsoll profile --cpu`.

    Returns {"cpu_ms_per_request": [before, after], "functions": rows of `cpu.difference`, "svg": flame graph of the
    second, red where dearer, "snapshots": [before, after], "waits": where threads were found waiting, and in how many of
    the snapshots}. UsageError names the run that has no CPU capture.
    """
    documents = [_document(run) for run in (before, after)]
    costs = [float(document["cpu"]["cpu_ms_per_request"]) for document in documents]
    first, second = (stacks.read_speedscope([run / "profiles" / "cpu.speedscope.json"]) for run in (before, after))
    each_ms = (costs[0], costs[1])
    title = f"CPU per request, {after.name} against {before.name}: red costs more"
    return {
        "cpu_ms_per_request": costs,
        "functions": cpu.difference(first, second, each_ms),
        "svg": cpu.difference_graph(first, second, each_ms, title),
        "snapshots": [int((document.get("frames") or {}).get("snapshots") or 0) for document in documents],
        "waits": _waits(documents),
    }


def _waits(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """[{function, file, line, class, before, after}], the one that grew most first."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for side, document in zip(("before", "after"), documents, strict=True):
        for frame in (document.get("frames") or {}).get("frames") or []:
            if frame["class"] in frames.BLOCKED:
                where = frame["function"], stacks.shortened(frame["file"]), frame["line"]
                row = {"function": where[0], "file": where[1], "line": where[2], "class": frame["class"]}
                found.setdefault(where, row | {"before": 0, "after": 0})[side] += frame["count"]
    return sorted(found.values(), key=lambda row: row["before"] - row["after"])


def _document(run: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads((run / "profiles" / "profiles.json").read_text(encoding="utf-8"))
        float(document["cpu"]["cpu_ms_per_request"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{run} holds no CPU profile; make one with: plimsoll profile CONTRACT --cpu") from error
    return document
