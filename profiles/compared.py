"""Two profiled runs side by side: what a request costs by function in the one and in the other."""

import json
from pathlib import Path
from typing import Any

from measurements.errors import UsageError
from profiles import cpu, stacks


def compare(before: Path, after: Path) -> dict[str, Any]:
    """`before`, `after`: run directories of `plimsoll profile --cpu`.

    Returns {"cpu_ms_per_request": [before, after], "functions": rows of `cpu.difference`, "svg": flame graph of the
    second, red where dearer}. UsageError names the run that has no CPU capture.
    """
    costs = [_cost_ms(run) for run in (before, after)]
    first, second = (stacks.read_speedscope([run / "profiles" / "cpu.speedscope.json"]) for run in (before, after))
    each_ms = (costs[0], costs[1])
    title = f"CPU per request, {after.name} against {before.name}: red costs more"
    return {
        "cpu_ms_per_request": costs,
        "functions": cpu.difference(first, second, each_ms),
        "svg": cpu.difference_graph(first, second, each_ms, title),
    }


def _cost_ms(run: Path) -> float:
    try:
        document = json.loads((run / "profiles" / "profiles.json").read_text(encoding="utf-8"))
        return float(document["cpu"]["cpu_ms_per_request"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{run} holds no CPU profile; make one with: plimsoll profile CONTRACT --cpu") from error
