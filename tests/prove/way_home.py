"""What it costs master and host to bring rows home over the line, or by a shared place: CPU-seconds of the two processes that
do it, for one journal that is there already.

    python -m tests.prove.way_home [--write docs/distributed.md] [--mib 256]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.published import written
from loadtests.children import Line, listen
from loadtests.hosts.shipping import KINDS
from measurements.rundir import RunDirectory

TRIES = 3
LIMIT_S = 300.0
WAYS = ("over the line", "by a shared directory")


def until(line: Line, event: str) -> dict[str, Any]:
    for _, message in listen([line], LIMIT_S):
        assert message is not None, line.last_words()
        if message["event"] == event:
            return message
    raise AssertionError(f"{event} did not come within {LIMIT_S:g} s")


def carried(folder: Path, way: str, data: bytes) -> tuple[float, float]:
    """CPU-seconds of the master's process and of the host's."""
    here, there = RunDirectory.create(folder / "host", "run"), RunDirectory.create(folder / "master", "run")
    place = None if way == WAYS[0] else str(folder / "place")
    KINDS["samples"](here, 0).write_bytes(data)
    hub = Line("loadtests.hosts.hub", folder / "hub.log")
    hub.tell(token="", host="127.0.0.1", port=0, run_dir=str(there.path), place=place)
    link = Line("loadtests.hosts.link", folder / "link.log")
    try:
        link.tell(host="127.0.0.1", port=until(hub, "listening")["port"], token="")
        until(link, "connected")
        link.tell(order="ask", offer={})
        hub.tell(order="expect", host=until(hub, "said")["host"], ranks=[0])
        before = [sum(psutil.Process(line.pid).cpu_times()[:2]) for line in (hub, link)]
        if place:
            link.tell(order="carry", run_dir=str(here.path), ranks=[0], place=place, run=there.identity)
            until(link, "place")
        link.tell(order="ship", run_dir=str(here.path), ranks=[0])
        link.tell(order="finish", message={})
        until(hub, "done")
        after = [sum(psutil.Process(line.pid).cpu_times()[:2]) for line in (hub, link)]
        assert KINDS["samples"](there, 0).read_bytes() == data
    finally:
        link.end()
        hub.end()
    return after[0] - before[0], after[1] - before[1]


def table(mib: int) -> str:
    data = np.random.default_rng(1).bytes(mib << 20)
    lines = [
        f"{mib} MiB of random bytes as one load process's journal, on loopback and one local disk; medians of {TRIES} tries, in "
        "turn.",
        "",
        "| way | CPU-seconds of the master's process per GiB | of the host's |",
        "|---|---|---|",
    ]
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(TRIES):
        for way in WAYS:
            with tempfile.TemporaryDirectory(prefix="plimsoll-way-") as folder:
                found[way].append(carried(Path(folder), way, data))
            print(f"{way}: CPU of master and host {found[way][-1][0]:.2f} and {found[way][-1][1]:.2f} s", flush=True)
    for way in WAYS:
        master_s, host_s = (statistics.median(values) for values in zip(*found[way], strict=True))
        lines.append(f"| {way} | {master_s / mib * 1024:.1f} | {host_s / mib * 1024:.1f} |")
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="Markdown file to put the table into, between its marks")
    parser.add_argument("--mib", type=int, default=256)
    given = parser.parse_args(words)
    text = table(given.mib)
    print(text)
    if given.write:
        written(given.write, "way", text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
