"""The table of faults is printed at the end and kept in docs/reliability.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fault_table import HEADINGS, LINES


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults", "the table of make prove-faults")
    group.addoption("--write-faults", metavar="FILE", help="write the table between its marks <!-- faults -->")
    group.addoption("--fault-seed", type=int, default=9, help="of the random schedule (default 9)")
    group.addoption("--fault-runs", type=int, default=40, help="runs of the random schedule (default 40)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = [line.cells(fault) for fault, line in LINES.items()]
    if not rows:
        return
    terminalreporter.section("faults put into real runs")
    widths = [max(len(cells[k]) for cells in [HEADINGS, *rows]) for k in range(len(HEADINGS))]
    for cells in [HEADINGS, *rows]:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)))
    if target := config.getoption("--write-faults", default=None):
        from benchmarks.published import written

        lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---:|---:|---|---|"]
        lines += ["| " + " | ".join(re.sub(r"\|", r"\\|", cell) for cell in cells) + " |" for cells in rows]
        written(Path(target), "faults", "\n".join(lines))
