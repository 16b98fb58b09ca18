"""Counts and exact quantiles of more rows than memory holds, in two scans of the Parquet files by DuckDB.

The first scan counts rows per stage, endpoint, outcome and log bucket of 0.1 % width, which tells in which bucket each
wanted rank lies; the second counts the distinct values inside those buckets alone. Both are sums over groups, which
DuckDB writes to disk when they outgrow `memory_mib`; a quantile aggregate would hold every value. The answer is the order
statistic itself, not an estimate. Intervals take the samples as independent (`quantiles.ranks`), so they are the narrowest
that can hold: correlation, which `summary.json` corrects for, needs the rows in order.
"""

from __future__ import annotations

from collections import defaultdict
from math import ceil, floor, log
from pathlib import Path
from typing import Any

import duckdb

from measurements.quantiles import QUANTILES, ranks
from measurements.sample import TIMED

GAMMA = 1.001
SOURCE = (
    "SELECT stage::VARCHAR AS stage, endpoint::VARCHAR AS endpoint, outcome::VARCHAR AS outcome, "
    "done_ns - intended_ns AS response_ns FROM read_parquet({files}) WHERE seq >= 0"
)
BUCKET = f"CASE WHEN response_ns < 1 THEN 0 ELSE ceil(ln(response_ns) / {log(GAMMA)!r})::INTEGER END"
TIMED_WORDS = ", ".join(f"'{word}'" for word in TIMED)

Group = tuple[str, str]


def totals(run: Path, memory_mib: int = 2_048, spill: Path | None = None, threads: int = 0) -> list[dict[str, Any]]:
    """A document per stage and endpoint: counts by outcome, and of the timed ones min, max, mean and quantiles in ms.

    `spill`: folder for what does not fit; absent: beside the run's samples, removed afterwards.
    """
    files = str(run / "samples" / "*.parquet").replace("'", "''")
    with duckdb.connect() as database:
        database.execute(f"SET memory_limit = '{memory_mib}MiB'")
        folder = str(spill or run / "samples" / ".spill").replace("'", "''")
        database.execute(f"SET temp_directory = '{folder}'")
        database.execute("SET preserve_insertion_order = false")
        if threads:
            database.execute(f"SET threads = {threads}")
        database.execute(f"CREATE VIEW rows AS {SOURCE.format(files=chr(39) + files + chr(39))}")
        outcomes = _outcomes(database)
        histograms, edges = _histograms(database)
        wanted = {group: _wanted(sum(h.values())) for group, h in histograms.items()}
        values = _values(database, histograms, wanted)
    found = []
    for group, counts in sorted(outcomes.items()):
        entry: dict[str, Any] = {
            "stage": group[0],
            "endpoint": group[1],
            "count": sum(counts.values()),
            "outcomes": counts,
        }
        if group in histograms:
            low, high, mean = edges[group]
            entry["response_ms"] = {"n": sum(histograms[group].values()), "min": low, "mean": mean, "max": high}
            entry["response_ms"] |= _quantiles(histograms[group], values[group])
        found.append(entry)
    return found


def _outcomes(database: duckdb.DuckDBPyConnection) -> dict[Group, dict[str, int]]:
    found: dict[Group, dict[str, int]] = defaultdict(dict)
    query = "SELECT stage, endpoint, outcome, count(*) FROM rows GROUP BY ALL ORDER BY ALL"
    for stage, endpoint, outcome, count in database.execute(query).fetchall():
        found[stage, endpoint][outcome] = count
    return found


def _histograms(
    database: duckdb.DuckDBPyConnection,
) -> tuple[dict[Group, dict[int, int]], dict[Group, tuple[float, float, float]]]:
    found: dict[Group, dict[int, int]] = defaultdict(dict)
    sums: dict[Group, list[float]] = {}
    query = (
        f"SELECT stage, endpoint, {BUCKET} AS bucket, count(*), min(response_ns), max(response_ns), sum(response_ns) "
        f"FROM rows WHERE outcome IN ({TIMED_WORDS}) AND response_ns IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )
    for stage, endpoint, bucket, count, low, high, total in database.execute(query).fetchall():
        group = (stage, endpoint)
        found[group][bucket] = count
        before = sums.get(group, [low, high, 0])
        sums[group] = [min(before[0], low), max(before[1], high), before[2] + int(total)]
    edges = {
        group: (low / 1e6, high / 1e6, total / sum(found[group].values()) / 1e6)
        for group, (low, high, total) in sums.items()
    }
    return found, edges


def _wanted(n: int) -> set[int]:
    """1-based ranks that are looked for: those of each quantile and of its interval."""
    found: set[int] = set()
    for p in QUANTILES.values():
        if interval := ranks(n, p):
            found |= {*interval, *_between(n, p)}
    return found


def _between(n: int, p: float) -> tuple[int, int]:
    """The two neighbours that numpy's default (linear, type 7) lies between."""
    at = (n - 1) * p
    return floor(at) + 1, ceil(at) + 1


def _values(
    database: duckdb.DuckDBPyConnection, histograms: dict[Group, dict[int, int]], wanted: dict[Group, set[int]]
) -> dict[Group, dict[int, float]]:
    """Group -> rank -> ms, from the buckets that hold a wanted rank."""
    holding = {
        (*group, bucket): first
        for group, histogram in histograms.items()
        for bucket, first, last in _spans(histogram)
        if any(first <= rank <= last for rank in wanted[group])
    }
    database.execute("CREATE TABLE wanted (stage VARCHAR, endpoint VARCHAR, bucket INTEGER)")
    if holding:
        database.executemany("INSERT INTO wanted VALUES (?, ?, ?)", list(holding))
    result = database.execute(
        f"SELECT stage, endpoint, bucket, response_ns, count(*) FROM (SELECT *, {BUCKET} AS bucket FROM rows "
        f"WHERE outcome IN ({TIMED_WORDS}) AND response_ns IS NOT NULL) SEMI JOIN wanted USING (stage, endpoint, bucket) "
        "GROUP BY ALL ORDER BY stage, endpoint, bucket, response_ns"
    )
    found: dict[Group, dict[int, float]] = {group: {} for group in histograms}
    at, upto = None, 0
    while rows := result.fetchmany(10_000):
        for stage, endpoint, bucket, response_ns, count in rows:
            key = (stage, endpoint, bucket)
            if key != at:
                at, upto = key, holding[key] - 1
            for rank in wanted[stage, endpoint]:
                if upto < rank <= upto + count:
                    found[stage, endpoint][rank] = response_ns / 1e6
            upto += count
    return found


def _spans(histogram: dict[int, int]) -> list[tuple[int, int, int]]:
    """(bucket, first rank, last rank) in order."""
    spans, upto = [], 0
    for bucket in sorted(histogram):
        spans.append((bucket, upto + 1, upto + histogram[bucket]))
        upto += histogram[bucket]
    return spans


def _quantiles(histogram: dict[int, int], values: dict[int, float]) -> dict[str, Any]:
    n = sum(histogram.values())
    found: dict[str, Any] = {"ci95_if_independent": {}}
    for name, p in QUANTILES.items():
        interval = ranks(n, p)
        if interval is None:
            found[name] = None
            continue
        low, high = _between(n, p)
        share = (n - 1) * p + 1 - low
        found[name] = values[low] + (values[high] - values[low]) * share
        found["ci95_if_independent"][name] = [values[interval[0]], values[interval[1]]]
    return found
