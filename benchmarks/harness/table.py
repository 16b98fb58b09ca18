"""Rows for a terminal: pytest-benchmark's columns, the percentiles and the memory beside them."""

from collections.abc import Sequence
from typing import Any

from benchmarks.harness.comparison import Compared
from benchmarks.harness.results import Row

HEADINGS = ("benchmark", "rounds", "min", "median", "mean", "stddev", "iqr", "p95", "p99", "per second", "peak MiB")
TOKENS = ("ttft", "gap", "tpot")


def rows(found: Sequence[Row]) -> list[str]:
    """Times in ms; of a percentile that its rounds cannot carry the bound that they can, or a dash."""
    cells = [list(HEADINGS)]
    for row in found:
        stats = [row.stats[key] for key in ("min", "median", "mean", "stddev", "iqr")]
        tail = [quantile(row, "p95"), quantile(row, "p99"), figure(row.ops), figure(row.peak_mib)]
        cells.append([row.name, str(row.rounds), *map(figure, stats), *tail])
    return _aligned(cells)


def tokens(found: Sequence[Row]) -> list[str]:
    """Token timings of streams."""
    lines = []
    for row in found:
        told = [
            f"{name} {quantile(row, f'{name}_p50')} / {quantile(row, f'{name}_p95')}"
            for name in TOKENS
            if f"{name}_p50_ms" in row.extra
        ]
        if told:
            lines.append(f"{row.name}: {', '.join(told)} ms (p50 / p95)")
    return lines


def growth(found: Sequence[dict[str, Any]]) -> list[str]:
    if not found:
        return []
    cells = [["how cost grows", "three sizes", "median ms", "time ~ size^", "one more"]]
    for one in found:
        sizes = " ".join(f"{size:,}" for size in one["sizes"])
        times = " ".join(figure(value) for value in one["median_ms"])
        each = f"{one['each_us']:.3g} us per {one['unit']}"
        cells.append([one["family"], sizes, times, f"{one['slope']:.2f}", each])
    return _aligned(cells, left=5)


def compared(found: Sequence[Compared]) -> list[str]:
    cells = [["against the saved set", "median", "peak memory", ""]]
    for one in found:
        ratio = "-" if one.ratio is None else f"x{one.ratio:.2f}"
        memory = "-" if one.memory_ratio is None else f"x{one.memory_ratio:.2f}"
        cells.append([one.name, ratio, memory, one.state])
    return _aligned(cells)


def quantile(row: Row, name: str) -> str:
    value, bound = row.extra.get(f"{name}_ms"), row.extra.get(f"{name}_ms_at_least")
    return f">= {figure(bound)}" if value is None and bound is not None else figure(value)


def figure(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _aligned(cells: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
