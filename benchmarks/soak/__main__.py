"""`make soak`: a long run at a steady rate; prints how the generator's memory went and whether its files are whole."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.published import written
from benchmarks.soak.flatness import BLOCKS, slope
from measurements.rundir import RunDirectory
from targets.process import die_with_parent

EVERY_S = 5.0
MIB = 2**20
CONTRACT = """
[target]
name = "soak"
base_url = "http://127.0.0.1:{port}"
[[endpoint]]
name = "ask"
path = "/ask"
timeout_s = 5
expect = {{ contains = "answer" }}
"""


@dataclass
class Readings:
    """Of one process: seconds since the start, resident MiB, open descriptors."""

    at_s: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--rate", type=float, default=500.0, help="arrivals per second (default 500)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="of load (default 3600)")
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the table between its marks <!-- soak -->")
    words = parser.parse_args()
    if words.seconds < 2 * BLOCKS * EVERY_S:
        parser.error(f"--seconds {words.seconds:g}: a slope needs at least {2 * BLOCKS * EVERY_S:g}")
    with tempfile.TemporaryDirectory(prefix="plimsoll-soak-") as name, _server() as port:
        run, summary, readings = _soak(Path(name), port, words.rate, words.seconds)
        rows, holds = _figures(run, summary, readings)
    table = "\n".join(["| figure | value |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows)])
    print(table)
    if words.write:
        written(words.write, "soak", table)
    return 0 if holds else 1


@contextmanager
def _server() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-P", "-m", "benchmarks.soak.server"], stdout=subprocess.PIPE, text=True,
                               preexec_fn=die_with_parent)  # fmt: skip
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


def _soak(
    folder: Path, port: int, rate_rps: float, seconds: float
) -> tuple[RunDirectory, dict[str, Any], dict[str, Readings]]:
    contract = folder / "soak.toml"
    contract.write_text(CONTRACT.format(port=port), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "plimsoll.cli", "run", str(contract), "--rate", f"{rate_rps:g}",
               "--duration", f"{seconds:g}", "--shape", "soak", "--seed", "1", "--json", "--out", str(folder)]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
    readings = {"load process": Readings(), "command": Readings()}
    began_s = time.monotonic()
    while process.poll() is None:
        time.sleep(EVERY_S)
        at_s = time.monotonic() - began_s
        if at_s < seconds:  # what comes after the load is the reading of all rows at once
            _read(process.pid, at_s, readings)
    text = process.stdout.read() if process.stdout else ""
    summary = json.loads(text or "{}")
    if "error" in summary or not summary:
        raise SystemExit(f"make soak: the run came to no figures: {summary.get('error') or 'see above'}")
    return RunDirectory.open(folder / "latest"), summary, readings


def _read(pid: int, at_s: float, readings: dict[str, Readings]) -> None:
    try:
        command = psutil.Process(pid)
        load = [child for child in command.children() if "loadtests.worker" in child.cmdline()]
        for name, one in [("command", command), *(("load process", child) for child in load)]:
            found = one.memory_info().rss / MIB, one.num_fds()
            readings[name].at_s.append(at_s)
            readings[name].mib.append(found[0])
            readings[name].fds.append(found[1])
    except psutil.NoSuchProcess:
        return


def _figures(
    run: RunDirectory, summary: dict[str, Any], readings: dict[str, Readings]
) -> tuple[list[tuple[str, str]], bool]:
    rows = run.table("samples", ["seq"]).num_rows
    intended = round(summary["offered_rps"] * summary["duration_s"])
    left = [path.name for path in run.path.rglob("*") if path.suffix in (".arrows", ".partial", ".jsonl") and
            path.parent != run.path]  # fmt: skip
    size_bytes = sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    load, command = (slope(readings[name].at_s, readings[name].mib) for name in ("load process", "command"))
    fds = readings["load process"].fds
    whole = rows == intended and not left
    made = [
        ("load", f"{summary['offered_rps']:,.1f} arrivals/s for {summary['duration_s']:,.0f} s"),
        ("rows against intended arrivals", f"{rows:,} of {intended:,}"),
        ("outcomes", ", ".join(f"{name} {count:,}" for name, count in summary["all"]["outcomes"].items())),
        ("run", "VALID" if summary["valid"] else "INVALID: " + "; ".join(r["check"] for r in summary["reasons"])),
        ("memory of the load process", f"{load}: {'flat' if load.holds_zero else 'not flat'}"),
        ("memory of the command that watches", f"{command}: {'flat' if command.holds_zero else 'not flat'}"),
        ("open descriptors of the load process", f"{min(fds)} to {max(fds)}"),
        ("run directory", f"{size_bytes / MIB:,.1f} MiB, {size_bytes / max(rows, 1):.1f} bytes a row"),
        ("journals and half-written files left", f"{left or 'none'}"),
    ]  # fmt: skip
    return made, load.holds_zero and whole


if __name__ == "__main__":
    raise SystemExit(main())
