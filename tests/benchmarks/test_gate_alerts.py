"""Alert rules: thresholds over windows, so many running, on the metrics that the teams name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from benchmarks.gate.alerts import READERS, Measured, breaches
from targets.contract import AlertRule

GIB = 2**30


def measured(errors_from_s: float = 1e9, slow_from_s: float = 1e9, **words: Any) -> Measured:
    at_s = np.arange(0, 600, 0.1)
    took_s = np.where(at_s >= slow_from_s, 6.0, 0.2)
    outcome = np.where((at_s >= errors_from_s) & (np.arange(len(at_s)) % 5 == 0), "http_error", "ok")
    rows = pd.DataFrame({"intended_ns": at_s * 1e9, "done_ns": (at_s + took_s) * 1e9, "outcome": outcome})
    seconds = np.arange(0, 600)
    host = pd.DataFrame(
        {"at_ns": seconds * 1e9, "role": "host", "host_cpu_busy_s": seconds * 1.8, "host_cores": 2.0,
         "host_memory_used_bytes": 3.0 * GIB, "host_memory_total_bytes": 4.0 * GIB, "host_disk_used_share": 0.95,
         "host_disk_free_bytes": 0.5 * GIB, "rss_bytes": np.nan}
    )  # fmt: skip
    service = host.assign(role="target", rss_bytes=1.5 * GIB)
    return Measured(rows, pd.concat([host, service], ignore_index=True), 600.0, **words)


def rule(metric: str, window_s: float = 300, times: int = 1, **side: float) -> AlertRule:
    return AlertRule.model_validate({"metric": metric, "window_s": window_s, "times": times, **side})


def test_errors_over_a_window_breach_where_they_are() -> None:
    [found] = breaches([rule("error_rate", above=0.10)], measured(errors_from_s=300))
    assert (found.value, found.from_s) == (pytest.approx(0.2), 300.0)
    assert "error_rate 0.2 was above 0.1 over 300 s" in found.sentence
    assert breaches([rule("error_rate", above=0.25)], measured(errors_from_s=300)) == []


@pytest.mark.parametrize(
    ("metric", "side", "value"),
    [
        ("response_ms", {"above": 5000}, 6000),
        ("response_p95_ms", {"above": 5000}, 6000),
        ("cpu_percent", {"above": 80}, 90),
        ("memory_percent", {"above": 70}, 75),
        ("memory_mib", {"above": 1024}, 1536),
        ("disk_percent", {"above": 90}, 95),
        ("disk_free_gib", {"below": 1}, 0.5),
    ],
)
def test_every_metric_of_the_teams_is_read(metric: str, side: dict[str, float], value: float) -> None:
    [found] = breaches([rule(metric, **side)], measured(slow_from_s=0))
    assert found.value == pytest.approx(value, rel=0.01)


def test_a_run_that_is_shorter_than_the_window_says_how_long_it_was() -> None:
    short = measured(errors_from_s=0)
    [found] = breaches([rule("error_rate", above=0.10)], replace(short, duration_s=90.0))
    assert found.sentence == "error_rate 0.2 was above 0.1 over all its 90 s (the rule looks at 300 s)"


def test_so_many_windows_have_to_breach_running() -> None:
    wanted = rule("error_rate", window_s=60, times=3, above=0.1)
    assert breaches([wanted], measured(errors_from_s=480)) == []
    [found] = breaches([wanted], measured(errors_from_s=420))
    assert (found.windows, found.from_s) == (3, 420.0)


def test_health_checks_count_only_where_they_were_asked() -> None:
    wanted = rule("health_failed", window_s=60, above=0)
    assert breaches([wanted], measured()) == []
    assert breaches([wanted], measured(health_failed_s=[])) == []
    assert breaches([wanted], measured(health_failed_s=[130.0]))[0].from_s == 120.0


def test_a_contract_may_name_exactly_the_metrics_that_can_be_read() -> None:
    assert set(get_args(AlertRule.model_fields["metric"].annotation)) == set(READERS)
