"""From rows to summary.json: who counts for what."""

import json
from pathlib import Path

import pytest
from made_rows import row, summary

from measurements.summary import Window

DISTRIBUTION_KEYS = {"n", "min", "mean", "p50", "p90", "p95", "p99", "p99_9", "max", "ci95", "bounds"}


def steady(count: int, response_ms: float = 10.0, **more: object) -> list[dict]:
    """`count` requests spread over ten seconds."""
    return [row(k * 10_000 / count, response_ms, **more) for k in range(count)]  # type: ignore[arg-type]


def test_error_rate_counts_every_intended_request_that_was_not_ok_whatever_the_reason(tmp_path: Path) -> None:
    failures = ["http_error", "rejected", "timeout", "connect_error", "protocol_error", "unexpected_body", "abandoned"]
    rows = [*steady(11), *(row(k, 5, name) for k, name in enumerate(failures))]
    rows += [row(50, None, "dropped"), row(51, None, "lost")]
    entry = summary(tmp_path, rows)["endpoints"]["generate"]
    assert (entry["count"], entry["ok"]) == (20, 11)
    assert entry["error_rate"] == pytest.approx(9 / 20)
    assert entry["success_rate"] == pytest.approx(11 / 20)
    assert entry["outcomes"] == {"ok": 11, **dict.fromkeys(failures, 1), "dropped": 1, "lost": 1}


def test_percentiles_are_over_ok_timeout_and_abandoned_and_fast_failures_are_left_out(tmp_path: Path) -> None:
    rows = [*steady(100, 200), *(row(k, 1, "rejected") for k in range(100))]
    rows += [row(k, 1, "connect_error") for k in range(50)]
    entry = summary(tmp_path, rows)["endpoints"]["generate"]
    assert entry["response_ms"]["n"] == 100
    assert entry["response_ms"]["p50"] == entry["response_ms"]["min"] == pytest.approx(200)
    assert entry["error_rate"] == pytest.approx(0.6)


def test_timeouts_and_abandoned_requests_count_at_no_less_than_the_timeout(tmp_path: Path) -> None:
    rows = [
        *steady(80, 10),
        *(row(k, 900, "abandoned") for k in range(10)),
        *(row(k, 2_050, "timeout") for k in range(10)),
    ]
    found = summary(tmp_path, rows, timeouts_s={"generate": 2.0})["endpoints"]["generate"]["response_ms"]
    assert found["n"] == 100
    assert found["max"] == pytest.approx(2_050)
    assert found["mean"] == pytest.approx((80 * 10 + 10 * 2_000 + 10 * 2_050) / 100)


def test_a_percentile_among_the_timeouts_is_only_a_lower_bound(tmp_path: Path) -> None:
    rows = [row(k * 100, 2_000 if k % 5 == 0 else 10, "timeout" if k % 5 == 0 else "ok") for k in range(100)]
    found = summary(tmp_path, rows, timeouts_s={"generate": 2.0})["endpoints"]["generate"]["response_ms"]
    assert found["bounds"]["p90"] == {"at_least": pytest.approx(2_000)}
    assert "p50" not in found["bounds"]


def test_offered_is_intended_arrivals_and_achieved_completed_responses_over_the_duration(tmp_path: Path) -> None:
    rows = [*steady(60), *(row(k, 3, "http_error") for k in range(20)), *(row(9_990, 500) for _ in range(15))]
    rows.append(row(5, None, "dropped"))
    rows += [row(20, 5, step=1, seq=0), row(30, 5, step=2, seq=0)]  # later steps of a journey are no arrivals
    found = summary(tmp_path, rows)
    assert found["offered_rps"] == pytest.approx(96 / 10)
    assert found["achieved_rps"] == pytest.approx((60 + 20 + 2) / 10)  # the fifteen came after the end
    assert found["duration_s"] == 10
    assert found["stages"][0]["ok_rps"] == pytest.approx(62 / 10)
    assert found["stages"][0]["dropped"] == 1


def test_a_timeout_or_a_refused_connection_is_no_completed_response(tmp_path: Path) -> None:
    rows = [*steady(10), row(100, 500, "timeout"), row(100, 1, "connect_error"), row(100, 1, "protocol_error")]
    assert summary(tmp_path, rows)["achieved_rps"] == pytest.approx(1.0)


def test_a_closed_loop_has_no_offered_rate(tmp_path: Path) -> None:
    found = summary(tmp_path, steady(100), loop="closed")
    assert found["offered_rps"] is None and found["stages"][0]["offered_rps"] is None
    assert found["achieved_rps"] == pytest.approx(10.0)


def test_only_a_declared_warm_up_is_left_out_of_the_statistics(tmp_path: Path) -> None:
    windows = [Window("warmup", 0, 5, warmup=True), Window("steady", 5, 10)]
    rows = [row(k * 50, 1_000, stage="warmup") for k in range(100)] + [row(5_000 + k * 50, 10) for k in range(98)]
    found = summary(tmp_path, rows, windows=windows)
    assert found["duration_s"] == 5
    assert found["all"]["count"] == 98 and found["all"]["response_ms"]["max"] == pytest.approx(10)
    assert [(stage["name"], stage["warmup"]) for stage in found["stages"]] == [("warmup", True), ("steady", False)]
    assert found["stages"][0]["all"]["count"] == 100


def test_response_service_and_lateness_are_told_apart(tmp_path: Path) -> None:
    rows = [row(k * 100, 50, late_ms=20, connect_ms=3 if k == 0 else None) for k in range(100)]
    entry = summary(tmp_path, rows)["endpoints"]["generate"]
    assert entry["response_ms"]["p50"] == pytest.approx(50)
    assert entry["service_ms"]["p50"] == pytest.approx(30)
    assert entry["lateness_ms"]["p50"] == pytest.approx(20)
    assert (entry["connect_ms"]["n"], entry["connect_ms"]["mean"]) == (1, pytest.approx(3))


def test_goodput_counts_answers_that_were_ok_and_fast_enough(tmp_path: Path) -> None:
    rows = [*steady(50, 10), *steady(30, 400), *(row(k, 1, "http_error") for k in range(20))]
    found = summary(tmp_path, rows, limits={"generate": {"p95_ms": 100.0}})
    assert found["endpoints"]["generate"]["goodput_rps"] == pytest.approx(5.0)
    assert summary(tmp_path, rows)["endpoints"]["generate"]["goodput_rps"] == pytest.approx(8.0)


def test_the_mix_and_every_stage_have_the_entries_of_an_endpoint(tmp_path: Path) -> None:
    windows = [Window("step-01", 0, 5), Window("step-02", 5, 10)]
    rows = [row(k * 50, 10, stage="step-01", endpoint="search") for k in range(100)]
    rows += [row(5_000 + k * 50, 30, stage="step-02") for k in range(100)]
    found = summary(tmp_path, rows, windows=windows)
    assert set(found["endpoints"]) == {"search", "generate"} and found["all"]["count"] == 200
    second = found["stages"][1]
    assert set(second["endpoints"]) == {"generate"}
    assert (second["offered_rps"], second["achieved_rps"]) == (pytest.approx(20.0), pytest.approx(20.0))
    assert second["in_flight_mean"] == pytest.approx(20 * 0.030, rel=0.02)  # Little's law
    assert found["all"].keys() == second["all"].keys() == second["endpoints"]["generate"].keys()


def test_a_null_percentile_has_its_reason_under_its_own_path(tmp_path: Path) -> None:
    found = summary(tmp_path, steady(100))
    entry = found["endpoints"]["generate"]["response_ms"]
    assert entry.keys() >= DISTRIBUTION_KEYS
    assert entry["p99"] is None and entry["bounds"]["p99"]["at_least"] > 0
    assert found["why_null"]["endpoints.generate.response_ms.p99"] == (
        "needs 368 samples, has 100: 27 more seconds at this rate"
    )
    assert "stages.steady.endpoints.generate.response_ms.p99" in found["why_null"]
    assert entry["p95"] is not None and "endpoints.generate.response_ms.p95" not in found["why_null"]


def test_a_run_without_any_row_is_described_and_can_be_written_as_json(tmp_path: Path) -> None:
    found = summary(tmp_path, [], limits={"all": {"p95_ms": 100.0}})
    assert found["all"]["count"] == 0 and found["all"]["error_rate"] is None
    assert found["slo"][0]["state"] == "unknown"
    json.dumps(found, allow_nan=False)


def test_a_run_that_was_cut_before_its_first_stage_ended_has_no_windows_and_no_rates(tmp_path: Path) -> None:
    found = summary(tmp_path, steady(3), windows=[])
    assert (found["duration_s"], found["achieved_rps"], found["stages"]) == (0, 0.0, [])
    json.dumps(found, allow_nan=False)


def test_setup_requests_of_users_count_for_nothing(tmp_path: Path) -> None:
    rows = [*steady(20), row(0, 500, seq=-1, stage="setup", endpoint="login")]
    found = summary(tmp_path, rows)
    assert found["all"]["count"] == 20 and "login" not in found["endpoints"]
