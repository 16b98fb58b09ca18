"""The quarterly review: the newest run's capacity review, with what the quarter's runs show beside a pinned baseline."""

from collections.abc import Sequence
from dataclasses import dataclass

from measurements.rundir import RunDirectory
from reports import comparison, documents, periods
from reports.charts.chart import Chart
from reports.charts.history import history
from reports.wording import Words


@dataclass(frozen=True)
class Quarter:
    """`baseline`: the pinned run's name; `changes`: figures that can be told apart from its."""

    sentence: str
    baseline: str
    heads: tuple[str, ...]
    rows: list[list[str]]
    charts: list[Chart]
    changes: list[str]


def quarter(runs: Sequence[RunDirectory], baseline: RunDirectory | None, words: Words) -> tuple[RunDirectory, Quarter]:
    """(the run that is reviewed: the newest that has a plan, else the newest, what stands in its section)."""
    reads = periods.within(runs, "quarterly")
    by_name = {run.identity: run for run in runs}
    chosen = next((read for read in reversed(reads) if read.plan), reads[-1])
    last, pinned = by_name[chosen.identity], baseline or by_name[reads[0].identity]
    points = periods.points(reads)
    [base] = periods.points([documents.read(pinned)])
    rows = periods.rows(points if base.identity in {p.identity for p in points} else [base, *points], words)
    chart = history(points, base, words)
    key = "period.quarter_pinned" if baseline else "period.quarter_first"
    changes: list[str] = []
    if pinned.identity != last.identity:
        told_apart = {words("comparison.higher"), words("comparison.lower")}
        changes = [
            f"{row['stage']}, {row['endpoint']} {row['metric']}: {row['a']} → {row['b']}, {row['state']}"
            for row in comparison.rows(comparison.compare(pinned, last), words)
            if row["state"] in told_apart
        ] or [words("period.nothing_apart")]
    sentence = words(key, count=len(reads), run=pinned.identity)
    return last, Quarter(sentence, pinned.identity, periods.HEADS, rows, [chart] if chart else [], changes)
