"""Locust shows whole milliseconds: its statistics without that rounding, so that 1.4 ms is not shown as 1.

Times go into buckets of 1 % width instead of Locust's two digits (`bucketed`); CSV, console and UI then show what the
buckets hold, which is within half a percent.
"""

from __future__ import annotations

from typing import Any

import locust.stats
from locust.stats import StatsCSV, StatsEntry

from loadtests.buckets import bucketed


def without_rounding() -> None:
    """For the life of this process; once is enough."""
    if locust.stats.bucket_response_time is bucketed:
        return
    locust.stats.bucket_response_time = bucketed
    StatsCSV._percentile_fields = _percentile_fields
    StatsEntry.to_dict = _to_dict(StatsEntry.to_dict)
    StatsEntry.to_string = _to_string
    StatsEntry.percentile = _percentile


def _percentile_fields(csv: StatsCSV, entry: StatsEntry, use_current: bool = False) -> list[Any]:
    if not entry.num_requests:
        return csv.percentiles_na
    current = use_current and entry.use_response_times_cache
    ask = entry.get_current_response_time_percentile if current else entry.get_response_time_percentile
    return [ask(q) or 0 for q in csv.percentiles_to_report]


def _to_dict(own: Any) -> Any:
    def to_dict(entry: StatsEntry, escape_string_values: bool = False) -> dict[str, Any]:
        ends = {"min_response_time": entry.min_response_time or 0, "max_response_time": entry.max_response_time}
        exact = {name: round(ms, 2) for name, ms in ends.items()}  # as Locust's page shows the percentiles beside them
        return {**own(entry, escape_string_values), **exact}

    return to_dict


def _to_string(entry: StatsEntry, current: bool = True) -> str:
    rps = entry.current_rps if current else entry.total_rps
    failures = entry.current_fail_per_sec if current else entry.total_fail_per_sec
    times = [entry.avg_response_time, entry.min_response_time or 0, entry.max_response_time, entry.median_response_time]
    shown = [f"{_ms(time):>7}" for time in times]
    name_width = locust.stats.STATS_NAME_WIDTH - locust.stats.STATS_TYPE_WIDTH + 4
    return (
        f"{entry.method or '':<{locust.stats.STATS_TYPE_WIDTH}} {entry.name:<{name_width}} {entry.num_requests:>7} "
        f"{f'{entry.num_failures}({entry.fail_ratio:.2%})':>12} |{shown[0]} {shown[1]} {shown[2]}{shown[3]} | "
        f"{rps or 0:7.2f} {failures or 0:11.2f}"
    )


def _percentile(entry: StatsEntry) -> str:
    """Name, percentiles, number: the columns of Locust's heading, which is wider by two at its first."""
    first, *others = (_ms(entry.get_response_time_percentile(q)) for q in locust.stats.PERCENTILES_TO_REPORT)
    shown = " ".join([f"{first:>8}", *(f"{text:>6}" for text in [*others, str(entry.num_requests)])])
    method, name = locust.stats.STATS_TYPE_WIDTH, locust.stats.STATS_NAME_WIDTH
    return f"{entry.method or '':<{method}} {entry.name:<{name}} {shown}"


def _ms(time_ms: float) -> str:
    """Three digits at least: 0.482, 3.21, 48.2, 482, 4821."""
    return f"{time_ms:.0f}" if time_ms >= 100 else f"{time_ms:.3g}"
