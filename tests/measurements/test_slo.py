"""Limits against a summary: met, missed, or unknown where the sample cannot tell."""

from pathlib import Path
from typing import Any

import pytest
from made_rows import row, summary

from measurements import slo


def finding(folder: Path, rows: list[dict[str, Any]], metric: str, limit: float, **facts: Any) -> dict[str, Any]:
    found = summary(folder, rows, limits={"generate": {metric: limit}}, **facts)["slo"]
    assert len(found) == 1 and found[0]["metric"] == metric and found[0]["limit"] == limit
    return found[0]


def spread(count: int, low_ms: float = 10.0, high_ms: float = 100.0) -> list[dict[str, Any]]:
    """Response times evenly between the two, in an order that has no trend."""
    step = (high_ms - low_ms) / count
    return [row(k * 10_000 / count, low_ms + step * ((k * 7_919) % count)) for k in range(count)]


def test_a_percentile_under_its_limit_is_met_and_over_it_missed(tmp_path: Path) -> None:
    met = finding(tmp_path, spread(400), "p95_ms", 500)
    assert (met["state"], met["sure"]) == ("met", True)
    assert met["value"] == pytest.approx(95.5, abs=1)
    missed = finding(tmp_path, spread(400), "p95_ms", 50)
    assert (missed["state"], missed["sure"]) == ("missed", True)


def test_a_limit_inside_the_interval_is_judged_but_not_sure(tmp_path: Path) -> None:
    found = finding(tmp_path, spread(200), "p95_ms", 96)
    assert found["state"] == "met" and found["sure"] is False


@pytest.mark.parametrize(("metric", "value"), [("mean_ms", 55), ("p50_ms", 55), ("p90_ms", 91), ("error_rate", 0)])
def test_every_metric_finds_its_figure(tmp_path: Path, metric: str, value: float) -> None:
    assert finding(tmp_path, spread(400), metric, 1)["value"] == pytest.approx(value, abs=0.5)


def test_too_few_samples_are_unknown_unless_a_bound_already_decides(tmp_path: Path) -> None:
    assert finding(tmp_path, spread(50), "p95_ms", 96)["state"] == "unknown"
    beyond = finding(tmp_path, spread(50), "p95_ms", 20)
    assert (beyond["state"], beyond["value"]) == ("missed", None) and beyond["at_least"] > 20
    below = finding(tmp_path, spread(60), "p95_ms", 101)
    assert (below["state"], below["value"]) == ("met", None) and below["at_most"] <= 101


def test_five_percent_of_errors_are_allowed_where_the_contract_states_nothing(tmp_path: Path) -> None:
    def rows(failures: int) -> list[dict[str, Any]]:
        return [*spread(100 - failures), *(row(k, 5, "http_error") for k in range(failures))]

    assert summary(tmp_path, rows(5))["slo"][0]["state"] == "met"
    found = summary(tmp_path, rows(6))["slo"]
    assert [(f["endpoint"], f["metric"], f["limit"], f["state"]) for f in found] == [
        ("all", "error_rate", 0.05, "missed")
    ]
    assert slo.missed(found)


def test_a_limit_on_the_first_token_is_judged_on_streams(tmp_path: Path) -> None:
    rows = [row(k * 50, 900, token_ms=[(200, 1), (230, 1)]) for k in range(100)]
    assert finding(tmp_path, rows, "ttft_p95_ms", 150)["state"] == "missed"
    assert finding(tmp_path, rows, "ttft_p95_ms", 250)["state"] == "met"
    assert finding(tmp_path, rows, "tpot_p95_ms", 29)["state"] == "missed"


def test_a_limit_on_the_first_token_of_plain_answers_is_unknown(tmp_path: Path) -> None:
    assert finding(tmp_path, spread(100), "ttft_p95_ms", 150)["state"] == "unknown"


def test_goodput_is_missed_below_its_limit(tmp_path: Path) -> None:
    assert finding(tmp_path, spread(100), "min_goodput_rps", 11)["state"] == "missed"
    assert finding(tmp_path, spread(100), "min_goodput_rps", 9)["state"] == "met"


def test_an_endpoint_without_a_request_is_unknown(tmp_path: Path) -> None:
    found = summary(tmp_path, spread(100), limits={"search": {"p95_ms": 10.0}})["slo"][0]
    assert (found["state"], found["value"], found["why"]) == ("unknown", None, "no request was made")
    assert not slo.missed([found])


def test_a_latency_limit_beyond_the_timeout_is_unknown_when_the_percentile_timed_out(tmp_path: Path) -> None:
    """2 s is all that is known of a request that timed out after 2 s: it may have taken three, or nine."""
    rows = [row(k * 50, 2_000 if k % 5 == 0 else 10, "timeout" if k % 5 == 0 else "ok") for k in range(200)]
    at_timeout = finding(tmp_path, rows, "p95_ms", 1_500, timeouts_s={"generate": 2.0})
    assert at_timeout["state"] == "missed"
    beyond = finding(tmp_path, rows, "p95_ms", 3_000, timeouts_s={"generate": 2.0})
    assert beyond["state"] == "unknown"


def test_a_service_that_answers_nothing_well_misses_its_latency_limits(tmp_path: Path) -> None:
    """Fast failures are in no percentile, so without this a dead service would pass."""
    rows = [row(k * 50, 1, "http_error") for k in range(200)]
    for metric in ("p95_ms", "mean_ms", "ttft_p95_ms"):
        assert finding(tmp_path, rows, metric, 100)["state"] == "missed"
