"""`make peers`: the table. Rounds are interleaved, ratios are taken round by round, medians are shown."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.peers import streams
from benchmarks.peers.generators import Generator, generators
from benchmarks.peers.server import Server, front_run, nginx
from benchmarks.published import written
from measurements.errors import PlimsollError

STOCK = "locust FastHttpUser"
LIMIT = 0.95


def main() -> int:
    parser = argparse.ArgumentParser(prog="make peers", description=__doc__)
    parser.add_argument("--seconds", type=int, default=6, help="of load per generator and round (default 6)")
    parser.add_argument("--rounds", type=int, default=3, help="(default 3)")
    parser.add_argument("--only", choices=("requests", "streams"), help="one of the two tables")
    parser.add_argument("--stream-seconds", type=int, default=20, help="of load per generator of streams (default 20)")
    parser.add_argument(
        "--streams", type=int, action="append", help="open at a time; may be repeated (default 32, 256)"
    )
    parser.add_argument("--write-accuracy", metavar="FILE", type=Path, help="write the table between its marks")
    words = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("the comparison needs two cores: one for the server, one for the generator", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="plimsoll-peers-") as name:
        try:
            if words.only != "streams":
                _requests(Path(name), cores, words)
            if words.only != "requests":
                _streams(Path(name), words)
        except PlimsollError as error:
            print(f"peers: {error}", file=sys.stderr)
            return int(error.exit_code)
    return 0


def _requests(folder: Path, cores: list[int], words: argparse.Namespace) -> None:
    with nginx(folder, cores[0]) as server:
        found, absent = generators(server.url, words.seconds, folder)
        rounds = [[_run(g, server, cores[-1], words.seconds) for g in found] for _ in range(words.rounds)]
    comparison = Comparison(found, rounds, words.seconds)
    notes = [LIMITED] if comparison.any_limited else []
    _show(comparison.title, HEADINGS, comparison.rows(), notes, absent)
    if words.write_accuracy:
        text = _markdown(comparison.title, HEADINGS, comparison.rows(), notes, absent)
        written(words.write_accuracy, "peers", text)


def _streams(folder: Path, words: argparse.Namespace) -> None:
    rows, absent = streams.compare(folder, words.stream_seconds, tuple(words.streams or (32, 256)))
    title = f"closed loop, {streams.RATE} tokens/s in each stream, first token after {streams.FIRST_S * 1000:g} ms"
    _show(title, streams.HEADINGS, streams.cells(rows), [], absent)
    if words.write_accuracy:
        text = _markdown(title, streams.HEADINGS, streams.cells(rows), [], absent)
        written(words.write_accuracy, "peers-streams", text)


def _run(generator: Generator, server: Server, core: int, seconds: int) -> tuple[float, float]:
    """(requests per second, share of its core that the server used)."""
    print(f"{generator.name} ...", file=sys.stderr, flush=True)
    process = subprocess.Popen(generator.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if not generator.ours:  # ours places itself
        os.sched_setaffinity(process.pid, {core})
        front_run(process.pid)
    server.busy_share()
    peak = 0.0
    while True:
        try:
            text, _ = process.communicate(timeout=1.0)
            break
        except subprocess.TimeoutExpired:
            peak = max(peak, server.busy_share())
    return generator.rate(text), peak


HEADINGS = ("generator", "requests/s", "× stock Locust", "× k6", "of wrk")
LIMITED = ("server-limited: the server used over 95 % of its core, so the rate is a lower bound; a ratio to it is an "
           "upper bound (≤), and a ratio of it a lower bound (≥).")  # fmt: skip


class Comparison:
    """The table's cells: medians over the rounds (lowest and highest), ratios taken round by round."""

    def __init__(self, found: list[Generator], rounds: list[list[tuple[float, float]]], seconds: int) -> None:
        self.names = [generator.name for generator in found]
        self.title = f"{len(rounds)} rounds of {seconds} s, 32 connections, POST of 38 bytes, one core each side"
        self._rates = {name: [one[k][0] for one in rounds] for k, name in enumerate(self.names)}
        self._limited = {name: any(one[k][1] >= LIMIT for one in rounds) for k, name in enumerate(self.names)}

    @property
    def any_limited(self) -> bool:
        return any(self._limited.values())

    def rows(self) -> list[list[str]]:
        mark = {name: " (server-limited)" if self._limited[name] else "" for name in self.names}
        return [
            [
                name,
                f"{median(self._rates[name]):,.0f} ({min(self._rates[name]):,.0f}–{max(self._rates[name]):,.0f}){mark[name]}",
                *(self._ratio(name, p) for p in (STOCK, "k6", "wrk")),
            ]
            for name in self.names
        ]

    def _ratio(self, name: str, peer: str) -> str:
        rates, limited = self._rates, self._limited
        if peer not in rates:
            return "-"
        if name == peer:
            return "1"
        if limited[name] and limited[peer]:
            return "not quoted"
        value = median(a / b for a, b in zip(rates[name], rates[peer], strict=True))
        sign = "≥ " if limited[name] else "≤ " if limited[peer] else ""
        return f"{sign}{value:.2f}"


def _show(title: str, headings: Sequence[str], rows: list[list[str]], notes: list[str], absent: list[str]) -> None:
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "generator" else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(width=120)
    console.print(table)
    for note in [*notes, *_absent(absent)]:
        console.print(note)


def _markdown(title: str, headings: Sequence[str], rows: list[list[str]], notes: list[str], absent: list[str]) -> str:
    rule = ["---" if heading == "generator" else "---:" for heading in headings]
    lines = "\n".join("| " + " | ".join(line) + " |" for line in [headings, rule, *rows])
    return "\n\n".join([f"{title}.", lines, *notes, *_absent(absent)])


def _absent(names: list[str]) -> list[str]:
    how = {"guidellm": " (make peers STREAMS=1 installs it)", "aiperf": " (make peers STREAMS=1 installs it)"}
    return [f"{name} is not installed here and was left out{how.get(name, '')}" for name in names]


if __name__ == "__main__":
    raise SystemExit(main())
