"""-o FILE.toml: the contract, and beside it FILE.arrivals.csv and FILE.daily.csv for `plimsoll run --arrivals`."""

from __future__ import annotations

import math
import os
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from measurements.errors import UsageError
from targets.workload import contract_mix, trace_contract
from targets.workload.arrivals import daily_times_s
from targets.workload.reading import Reading

FEWEST_DAILY = 24


def check_out(out: Path, logs: list[Path]) -> None:
    """Refuses an -o that cannot be written or would overwrite a log, before hours are spent on reading."""
    if out.suffix != ".toml":
        raise UsageError(f"-o {out}: the mix is a contract; end its name in .toml")
    if not out.parent.is_dir():
        raise UsageError(f"-o {out}: there is no folder {out.parent}; make it first")
    if out.is_dir():
        raise UsageError(f"-o {out} is a folder; name a file")
    for log in logs:
        for made in (out, arrivals_path(out), daily_path(out)):
            if made.exists() and log.exists() and made.samefile(log):
                raise UsageError(f"-o {out} would overwrite the log {log}; give another name")


def arrivals_path(out: Path) -> Path:
    return out.with_suffix(".arrivals.csv")


def daily_path(out: Path) -> Path:
    return out.with_suffix(".daily.csv")


def write(reading: Reading, document: dict[str, Any], out: Path) -> dict[str, Any]:
    """Writes what the reading can carry and says so: {"contract", "arrivals", "daily"}, each {"path", …} or {"why_not"}."""
    arrivals, daily = _arrivals(reading, out), _daily(document, out)
    made = {"contract": _contract(reading, document, out, arrivals, daily), "arrivals": arrivals, "daily": daily}
    for key, stale in (("arrivals", arrivals_path(out)), ("daily", daily_path(out))):
        if "path" not in made[key]:
            stale.unlink(missing_ok=True)  # of an earlier log: it would not belong to this contract
    return made


def _contract(
    reading: Reading, document: dict[str, Any], out: Path, arrivals: dict[str, Any], daily: dict[str, Any]
) -> dict[str, Any]:
    if not reading.trace and not contract_mix.usable(document):
        return {"why_not": "no endpoint of the log can be driven: all are malformed, refused or not found"}
    commands = [made["command"] for made in (arrivals, daily) if "command" in made]
    commands = commands or [f"plimsoll run {shlex.quote(str(out))} --rate 1 --duration 60"]
    body = (
        trace_contract.lines(document, reading.merged.tokens_out, out.stem)
        if reading.trace
        else contract_mix.lines(document, out.stem)
    )
    _replace(out, [*contract_mix.heading(document, commands), *body, *contract_mix.by_hour(document)])
    return {"path": str(out)}


def _arrivals(reading: Reading, out: Path) -> dict[str, Any]:
    stretch = reading.merged.arrivals.stretch()
    if stretch is None:
        return {"why_not": "no line has a time"}
    times = reading.merged.arrivals.times_s(stretch)
    path = arrivals_path(out)
    _replace_times(path, times)
    return {
        "path": str(path), "arrivals": len(times), "start_s": stretch.start_s, "length_s": stretch.length_s,
        "whole": stretch.whole, "resolution": "as logged" if reading.merged.arrivals.exact else "1 s",
        "command": _command(out, path, stretch.length_s),
    }  # fmt: skip


def _daily(document: dict[str, Any], out: Path) -> dict[str, Any]:
    hours = document["hours"]
    covered = [hour["rps"] for hour in hours if hour["rps"] is not None]
    if len(covered) < 24:
        return {"why_not": f"the log covers {len(covered)} of the day's 24 hours"}
    times, hour_s = daily_times_s(covered)
    if len(times) < FEWEST_DAILY:
        return {"why_not": f"at these rates a day in {24 * hour_s / 60:.0f} minutes holds {len(times)} requests"}
    path = daily_path(out)
    _replace_times(path, times)
    return {"path": str(path), "arrivals": len(times), "hour_s": hour_s, "command": _command(out, path, 24 * hour_s)}


def _command(out: Path, path: Path, seconds: float) -> str:
    return f"plimsoll run {shlex.quote(str(out))} --arrivals {shlex.quote(str(path))} --duration {math.ceil(seconds)}"


def _replace_times(path: Path, times_s: np.ndarray) -> None:
    """`at_s`, seconds from the stretch's start, to the microsecond."""
    _replace(path, ["at_s", *(f"{at:.6f}" for at in times_s.tolist())])


def _replace(path: Path, lines: list[str]) -> None:
    """All of the file or nothing of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written ({error.strerror or error})") from error
