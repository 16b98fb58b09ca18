"""What the service said about itself in a run, per stage: for the summary and for the plan."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from measurements.rundir import RunDirectory
from profiles.rates import per_window

FILE = "server.parquet"


def server(directory: RunDirectory) -> dict[str, dict[str, Any]] | None:
    """stage → rates, gauges, quantiles (profiles.rates.per_window); None where nothing was scraped."""
    if not directory.has(FILE) or not directory.has("summary.json"):
        return None
    stages = directory.read_json("summary.json").get("stages") or []
    spans = [(stage["name"], stage["start_s"], stage["start_s"] + stage["duration_s"]) for stage in stages]
    return per_window(pq.read_table(directory.path / FILE), spans) or None


def in_brief(table: pa.Table, start_s: float, end_s: float) -> dict[str, Any]:
    """For summary.json: cache hit ratios, the upstream engine's load, and what could not be had."""
    found = per_window(table, [("run", start_s, end_s)])["run"]
    return {key: found[key] for key in ("cache_hit_ratio", "upstream", "refusals")}
