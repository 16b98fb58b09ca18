"""What it costs to read a run that memory does not hold: `measurements.out_of_core` over made rows, by number of rows.

    python -P -m benchmarks.rows [--rows 50_000_000] [--write docs/distributed.md]

Each size is read by a process of its own, so that its peak memory is its own; needs some 60 bytes of disk per row.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.published import written

PART_ROWS = 6_250_000
MEMORY_MIB = 1_024
BILLION = 1_000_000_000

# lognormal by the inverse of a logistic approximation: the shape hardly matters here, that all values differ does
MADE = """
COPY (
  SELECT {part}::SMALLINT AS worker, i AS seq, 0::INTEGER AS step,
    ('step-' || (i % 4)) AS stage, ('endpoint-' || (i % 5)) AS endpoint, (i % 1000)::INTEGER AS "user", 0::SMALLINT AS replica,
    i * 1000 AS intended_ns, i * 1000 + 20000 AS sent_ns, NULL::BIGINT AS connect_ns, i * 1000 + 9000000 AS first_byte_ns,
    NULL::BIGINT AS first_token_ns,
    i * 1000 + (20e6 * exp(0.6 * ln(u / (1 - u))))::BIGINT AS done_ns,
    200::SMALLINT AS status, CASE WHEN i % 200 = 0 THEN 'timeout' WHEN i % 300 = 0 THEN 'http_error' ELSE 'ok' END AS outcome,
    NULL::INTEGER AS error_id, 180 AS bytes_out, 900 AS bytes_in, NULL::INTEGER AS tokens_in, NULL::INTEGER AS tokens_out,
    'none' AS tokens_source, 1::SMALLINT AS attempt
  FROM (SELECT range AS i, (hash(range) % 1000000007 + 0.5) / 1000000008.0 AS u FROM range({first}, {last}))
) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""


def make(folder: Path, rows: int) -> None:
    (folder / "samples").mkdir(parents=True)
    with duckdb.connect() as database:
        for part, first in enumerate(range(0, rows, PART_ROWS)):
            path = folder / "samples" / f"worker-{part:03d}.parquet"
            database.execute(MADE.format(part=part, first=first, last=min(first + PART_ROWS, rows), path=path))


def read(folder: Path) -> None:
    """In a process of its own."""
    from measurements.out_of_core import totals

    began_s = time.perf_counter()
    found = totals(folder, memory_mib=MEMORY_MIB)
    took_s = time.perf_counter() - began_s
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counted = sum(entry["count"] for entry in found)
    print(json.dumps({"rows": counted, "seconds": took_s, "peak_mib": peak_mib, "groups": len(found)}))


def measure(most: int) -> list[dict[str, Any]]:
    found = []
    with tempfile.TemporaryDirectory(prefix="plimsoll-rows-") as place:
        for share in (8, 4, 2, 1):
            folder = Path(place) / f"{share}"
            make(folder, most // share)
            disk_mib = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 2**20
            words = [sys.executable, "-P", "-m", "benchmarks.rows", "--read", str(folder)]
            done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=600)
            found.append({**json.loads(done.stdout), "disk_mib": disk_mib})
            if found[-1]["rows"] != most // share:
                raise AssertionError(f"{found[-1]['rows']} rows counted of {most // share}")
            print(found[-1], file=sys.stderr, flush=True)
            for path in (folder / "samples").iterdir():
                path.unlink()
    return found


def table(found: list[dict[str, Any]]) -> str:
    first, last = found[0], found[-1]
    slope_s = (last["seconds"] - first["seconds"]) / (last["rows"] - first["rows"]) * 1e6
    growth_mib = (last["peak_mib"] - first["peak_mib"]) / (last["rows"] - first["rows"]) * 1e6
    disk_gib = last["disk_mib"] / last["rows"] * BILLION / 1024
    cells = [
        f"{f['rows']:,} | {f['disk_mib']:,.0f} | {f['seconds']:.1f} | {f['peak_mib']:,.0f} | {f['seconds'] / f['rows'] * 1e6:.2f}"
        for f in found
    ]
    lines = [
        f"{os.cpu_count()} cores, DuckDB {duckdb.__version__} limited to {MEMORY_MIB:,} MiB, {last['groups']} groups (stage and "
        "endpoint), counts by outcome and exact p50, p90, p95, p99, p99.9 with their ranks' intervals:",
        "",
        "| rows | Parquet MiB | seconds | peak memory MiB | seconds per million rows |",
        "|---|---|---|---|---|",
        *(f"| {line} |" for line in cells),
        "",
        f"Slope: {slope_s:.2f} s and {growth_mib:+.1f} MiB of peak memory for every million rows more. Drawn on to a billion rows "
        f"(not measured): {slope_s * 1_000 / 60:.0f} minutes on these {os.cpu_count()} cores, {disk_gib:.0f} GiB of such Parquet.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--write", type=Path, help="Markdown file to put the table into, between its marks")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read(given.read)
        return
    text = table(measure(given.rows))
    print(text)
    if given.write:
        written(given.write, "rows", text)


if __name__ == "__main__":
    main()
