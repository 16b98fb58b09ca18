"""The table of faults is printed at the end and kept in docs/reliability.md and SECURITY.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fault_table import HEADINGS, LINES


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults", "the table of make prove-faults")
    group.addoption(
        "--write-faults",
        metavar="FILE",
        action="append",
        default=[],
        help="write the table between its marks <!-- faults -->; more than once for several files",
    )
    group.addoption("--fault-seed", type=int, default=9, help="of the random schedule (default 9)")
    group.addoption("--fault-runs", type=int, default=40, help="runs of the random schedule (default 40)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = [line.cells(fault) for fault, line in LINES.items()]
    if not rows:
        return
    rows += _corpus(terminalreporter)
    terminalreporter.section("faults put into real runs")
    widths = [max(len(cells[k]) for cells in [HEADINGS, *rows]) for k in range(len(HEADINGS))]
    for cells in [HEADINGS, *rows]:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)))
    if targets := config.getoption("--write-faults", default=[]):
        from benchmarks.published import written

        lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---:|---:|---|---|"]
        lines += ["| " + " | ".join(re.sub(r"\|", r"\\|", cell) for cell in cells) + " |" for cells in rows]
        for target in targets:
            written(Path(target), "faults", "\n".join(lines))


CORPUS = {
    "test_run_hostile_servers": "hostile: answers of every wrong kind, in a run",
    "test_fuzzed_answers": "hostile: any bytes as an answer",
    "test_fuzzed_documents": "hostile: metrics, OpenAPI, status and contract files",
    "test_hostile_words": "hostile: words for terminal, page, Markdown, CSV",
    "test_secrets": "hostile: a service that echoes secrets",
    "test_where_load_may_go": "hostile: names and redirects that move",
}


def _corpus(reporter: pytest.TerminalReporter) -> list[tuple[str, ...]]:
    """Lines of the tests against hostile targets: none of them has rows of its own to lose."""
    ends = {end: [report.nodeid for report in reporter.stats.get(end, [])] for end in ("passed", "failed")}
    found = []
    for file, what in CORPUS.items():
        right, wrong = (sum(f"{file}.py::" in node for node in ends[end]) for end in ("passed", "failed"))
        if right + wrong:
            found.append((what, str(right + wrong), "–", f"{right} of {right + wrong}", "–"))
    return found
