"""`make engine`: runs the load engine at its limits against servers on the other core, and prints what it did."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.engine.cases import CASES, Figure
from benchmarks.published import between, written
from measurements.errors import PlimsollError


def main() -> int:
    parser = argparse.ArgumentParser(prog="make engine", description=__doc__)
    parser.add_argument("--only", choices=CASES, action="append", help="one case; may be repeated")
    parser.add_argument("--seconds", type=int, default=30, help="of load in each case (default 30)")
    parser.add_argument("--write-accuracy", metavar="FILE", type=Path, help="write the table between its marks")
    words = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        print("the engine's figures need two cores: one for the server, one for the load", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="plimsoll-engine-") as name:
        for case in words.only or CASES:
            print(f"{case} ...", file=sys.stderr, flush=True)
            try:
                figures += CASES[case](Path(name), words.seconds)
            except PlimsollError as error:
                print(f"{case}: {error}", file=sys.stderr)
                return int(error.exit_code)
    _show(figures)
    if words.write_accuracy:
        written(words.write_accuracy, "engine", _markdown(figures, _kept(words.write_accuracy, figures)))
    return 0


def _show(figures: list[Figure]) -> None:
    table = Table(title="one load process on one core, the server on another")
    for heading in ("case", "figure", "value"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for figure in figures:
        table.add_row(figure.case, figure.name, figure.value)
    Console(width=110).print(table)


def _markdown(figures: list[Figure], kept: list[str]) -> str:
    rows = [f"| {figure.case} | {figure.name} | {figure.value} |" for figure in figures]
    return "\n".join(["| case | figure | value |", "|---|---|---|", *kept, *rows])


def _kept(target: Path, figures: list[Figure]) -> list[str]:
    """Rows of cases that were not run this time: the table may be recorded in pieces."""
    made = {figure.case.split(", ")[0] for figure in figures}
    lines = between(target, "engine").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| case ")]
    return [row for row in rows if row[2:].split(" | ")[0].split(", ")[0] not in made]


if __name__ == "__main__":
    raise SystemExit(main())
