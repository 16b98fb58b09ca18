"""Parameters of the proofs, and the table that they print at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.published import between, written

ROWS: list[tuple[str, ...]] = []
PROFILED: list[tuple[str, ...]] = []
PROFILES = "prove-profiles"  # a table of its own, whose proofs are also made a few at a time
HEADINGS = ("case", "figure", "truth", "measured", "error", "verdict")


@dataclass(frozen=True)
class Parameters:
    service_ms: float
    rho: float
    n: int
    seed: int
    stall_s: float
    stall_every_s: float
    stall_service_ms: float
    stall_rate: float
    burners: int
    ttft_ms: float
    gap_ms: float
    tokens: int
    leak_bytes: int
    leak_rate: float
    block_ms: float


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("prove", "parameters of the ground-truth proofs")
    for name, kind, default, text in (
        ("service-ms", float, 10.0, "mean service time of the queues"),
        ("rho", float, 0.7, "utilisation of the queues"),
        ("n", int, 2_000, "requests per queue"),
        ("seed", int, 11, "seed of both sides"),
        ("stall-s", float, 1.0, "length of the pause in the stall test"),
        ("stall-every-s", float, 20.0, "length of the stall test, in which one pause falls"),
        ("stall-service-ms", float, 20.0, "what a request takes outside the pause"),
        ("stall-rate", float, 100.0, "arrivals per second of the stall test"),
        ("burners", int, 4, "busy loops on the generator's core"),
        ("ttft-ms", float, 60.0, "first token of the SSE server"),
        ("gap-ms", float, 12.5, "gap between its tokens"),
        ("tokens", int, 40, "tokens of an answer"),
        ("leak-bytes", int, 1_024, "what the leaking service keeps of each request"),
        ("leak-rate", float, 250.0, "at so many requests a second; there are ten thousand"),
        ("block-ms", float, 150.0, "how long the blocking call blocks"),
    ):
        group.addoption(f"--truth-{name}", type=kind, default=default, help=f"{text} (default {default})")
    group.addoption("--search-runs", type=int, default=1, help="live searches of each kind (default 1)")
    group.addoption(
        "--write-accuracy", metavar="FILE", help="write the table into this Markdown file, between its marks"
    )


@pytest.fixture(scope="session")
def truth(request: pytest.FixtureRequest) -> Parameters:
    names = list(Parameters.__dataclass_fields__)
    return Parameters(**{name: request.config.getoption(f"truth_{name}") for name in names})


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Callable[..., None]:
    """row(case, figure, truth, measured, error, holds): a line of the table; fails the test when it does not hold."""

    def add(case: str, figure: str, truth: float, measured: float, error: str, holds: bool) -> None:
        rows = PROFILED if request.module.__name__.endswith(("test_profiles", "test_control_groups")) else ROWS
        rows.append((case, figure, f"{truth:.2f}", f"{measured:.2f}", error, "holds" if holds else "FAILS"))
        assert holds, f"{case}, {figure}: truth {truth:.2f}, measured {measured:.2f} ({error})"

    return add


def table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|---:|---:|---|---|"]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows]


def with_those_before(rows: list[tuple[str, ...]], before: str) -> list[tuple[str, ...]]:
    """The rows, and those of `before` that were not measured again."""
    found = {row[:2]: row for line in before.splitlines() if (row := tuple(line.strip("| ").split(" | ")))[2:]}
    kept = {place: row for place, row in found.items() if len(row) == len(HEADINGS) and place != HEADINGS[:2]}
    return list((kept | {row[:2]: row for row in rows}).values())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not ROWS + PROFILED:
        return
    terminalreporter.section("truth against measured (ms unless said otherwise)")
    widths = [max(len(cells[k]) for cells in [HEADINGS, *ROWS, *PROFILED]) for k in range(len(HEADINGS))]
    for cells in [HEADINGS, *ROWS, *PROFILED]:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)))
    target = config.getoption("--write-accuracy")
    if target and PROFILED:
        rows = with_those_before(PROFILED, between(Path(target), PROFILES))
        written(Path(target), PROFILES, "\n".join(table(rows)))
    if target and ROWS:
        path, begin, end = Path(target), "<!-- prove -->", "<!-- /prove -->"
        text = path.read_text(encoding="utf-8")
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        path.write_text(f"{head}{begin}\n" + "\n".join(table(ROWS)) + f"\n{end}{tail}", encoding="utf-8")
