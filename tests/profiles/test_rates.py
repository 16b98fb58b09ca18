"""Counters, gauges and histograms per window, from scrapes whose truth is known because they were made up."""

import math

import pyarrow as pa
import pytest

from profiles.rates import per_window, quantile, restarts
from profiles.scrape import SERVER


def scraped(*series: tuple[str, str, str, dict[float, float]]) -> pa.Table:
    rows = [
        {"at_ns": round(s * 1e9), "source": "/metrics", "name": name, "labels": labels, "kind": kind, "value": value}
        for name, labels, kind, values in series
        for s, value in values.items()
    ]
    return pa.Table.from_pylist(rows, SERVER)


def rising(per_s: float, seconds: int = 10, start: float = 1000.0) -> dict[float, float]:
    return {float(s): start + per_s * s for s in range(seconds + 1)}


def test_a_counter_is_a_rate_interpolated_at_the_edges() -> None:
    found = per_window(scraped(("hits_total", "{}", "counter", rising(7))), [("stage", 1.5, 4.0)])["stage"]
    assert found["counters"][0]["per_s"] == pytest.approx(7)
    assert found["counters"][0]["increase"] == pytest.approx(17.5)


def test_a_restart_sets_a_counter_to_zero_and_loses_nothing_after_it() -> None:
    values = {0.0: 100.0, 1.0: 110.0, 2.0: 4.0, 3.0: 14.0}
    found = per_window(scraped(("c_total", "{}", "counter", values)), [("stage", 0, 3)])["stage"]
    assert found["counters"][0]["increase"] == pytest.approx(10 + 4 + 10)


def test_a_service_restarted_when_most_of_its_counters_fell_at_once() -> None:
    falls = {0.0: 100.0, 1.0: 110.0, 2.0: 4.0, 3.0: 14.0}
    table = scraped(("a_total", "{}", "counter", falls), ("b_total", "{}", "counter", falls))
    assert restarts(table) == [2.0]
    one_of_three = scraped(
        ("a_total", "{}", "counter", falls), *((f"{name}_total", "{}", "counter", rising(1, 3)) for name in "bc")
    )
    assert restarts(one_of_three) == []
    gauge = scraped(("a", "{}", "gauge", falls))
    assert restarts(gauge) == []


def test_workers_that_answer_in_turn_are_no_restarts() -> None:
    values = {float(s): 100.0 + s if s % 2 else 50.0 + s for s in range(11)}
    assert restarts(scraped(("c_total", "{}", "counter", values))) == []


def test_a_counter_of_whichever_worker_answered_is_refused_with_the_remedy() -> None:
    values = {float(s): 100.0 + s if s % 2 else 50.0 + s for s in range(11)}
    found = per_window(scraped(("c_total", "{}", "counter", values)), [("stage", 0, 10)])["stage"]
    assert found["counters"] == []
    assert found["refusals"][0]["field"] == "c_total"
    assert "PROMETHEUS_MULTIPROC_DIR" in found["refusals"][0]["remedy"]


def test_a_series_that_appears_with_its_first_event_began_at_zero() -> None:
    table = scraped(
        ("old_total", "{}", "counter", rising(1)), ("new_total", "{}", "counter", {5.0: 3.0, 6.0: 3.0, 10.0: 3.0})
    )
    counters = per_window(table, [("stage", 0, 10)])["stage"]["counters"]
    assert {counter["name"]: counter["increase"] for counter in counters} == {"old_total": 10, "new_total": 3}


def test_a_gauge_has_mean_highest_and_last() -> None:
    values = {0.0: 1.0, 1.0: 9.0, 2.0: 2.0, 3.0: float("nan")}
    (gauge,) = per_window(scraped(("g", "{}", "gauge", values)), [("stage", 0, 3)])["stage"]["gauges"]
    assert (gauge["mean"], gauge["max"], gauge["last"]) == (4.0, 9.0, 2.0)


def test_a_histogram_has_quantiles_and_says_how_wide_its_buckets_are() -> None:
    counts = {"0.1": 50, "0.5": 90, "1.0": 99, "+Inf": 100}
    table = scraped(
        *(
            ("t_bucket", f'{{"le": "{le}", "route": "/"}}', "histogram", {0.0: 7.0, 10.0: 7.0 + n})
            for le, n in counts.items()
        ),
        ("t_sum", '{"route": "/"}', "histogram", {0.0: 1.0, 10.0: 21.0}),
        ("t_count", '{"route": "/"}', "histogram", {0.0: 7.0, 10.0: 107.0}),
    )
    (found,) = per_window(table, [("stage", 0, 10)])["stage"]["histograms"]
    assert (found["name"], found["labels"], found["count"], found["per_s"]) == ("t", {"route": "/"}, 100, 10)
    assert found["mean"] == pytest.approx(0.2)
    assert found["p50"] == pytest.approx(0.1)
    assert found["p95"] == pytest.approx(0.5 + 0.5 * 5 / 9)
    assert found["bounds"]["p95"] == {"at_least": 0.5, "at_most": 1.0}


def test_a_quantile_above_the_last_bucket_is_only_bounded_from_below() -> None:
    assert quantile({1.0: 10.0, math.inf: 100.0}, 0.95) == (None, {"at_least": 1.0})
    assert quantile({}, 0.95) == (None, None)
    assert quantile({1.0: 0.0, math.inf: 0.0}, 0.5) == (None, None)


@pytest.mark.parametrize(
    ("series", "ratio"),
    [
        ((("cache_ops_total", '{"operation": "hit"}', 3), ("cache_ops_total", '{"operation": "miss"}', 1)), 0.75),
        ((("page_cache_hits_total", "{}", 1), ("page_cache_misses_total", "{}", 4)), 0.2),
        ((("vllm:prefix_cache_hits_total", "{}", 3), ("vllm:prefix_cache_queries_total", "{}", 10)), 0.3),
    ],
)  # fmt: skip
def test_the_cache_hit_ratio_is_read_from_the_usual_names(series: tuple, ratio: float) -> None:
    table = scraped(*((name, labels, "counter", rising(per_s)) for name, labels, per_s in series))
    (found,) = per_window(table, [("stage", 0, 10)])["stage"]["cache_hit_ratio"]
    assert found["ratio"] == pytest.approx(ratio)


def test_what_the_upstream_engine_runs_and_queues_is_read_from_its_gauges() -> None:
    table = scraped(
        ("vllm:num_requests_running", '{"model_name": "m"}', "gauge", {0.0: 4.0, 1.0: 8.0}),
        ("vllm:num_requests_waiting", '{"model_name": "m"}', "gauge", {0.0: 0.0, 1.0: 2.0}),
    )
    found = per_window(table, [("stage", 0, 1), ("later", 5, 6)])
    assert found["stage"]["upstream"] == {"running_mean": 6, "running_max": 8, "waiting_mean": 1, "waiting_max": 2}
    assert found["later"]["upstream"] is None


def test_nothing_scraped_gives_empty_windows() -> None:
    found = per_window(SERVER.empty_table(), [("stage", 0, 1)])["stage"]
    assert (found["counters"], found["gauges"], found["histograms"]) == ([], [], [])
