"""What is counted over time is what lies in the Parquet files, for any number of rows."""

import json
import resource
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic_run

from measurements.rundir import RunDirectory
from measurements.sample import batch
from reports.charts.chart import Column, Table
from reports.render import render
from reports.series import MOST_METRICS, Series, bin_width_s


@pytest.fixture
def series(run: RunDirectory) -> Series:
    return Series(run, run.read_json("run.json"))


def test_every_intended_request_is_in_one_bin(run: RunDirectory, series: Series) -> None:
    counted: Counter[str] = Counter()
    for _, outcome, requests in series.outcomes().rows:
        counted[outcome] += requests
    assert dict(counted) == run.read_json("summary.json")["all"]["outcomes"]


def test_every_timed_request_is_in_one_cell_of_the_heatmap(run: RunDirectory, series: Series) -> None:
    found = series.latencies()
    assert sum(row[3] for row in found.rows) == run.read_json("summary.json")["all"]["response_ms"]["n"]
    assert all(low < high for _, low, high, _ in found.rows)


def test_percentiles_of_a_moment_are_numpys_and_stand_only_where_an_interval_could(
    run: RunDirectory, series: Series
) -> None:
    rows = run.table("samples", ["intended_ns", "done_ns", "outcome", "endpoint"]).to_pandas()
    rows = rows[rows["outcome"].isin(["ok", "timeout", "abandoned"])]
    found = series.percentiles()
    seen = 0
    for start_s, endpoint, p50, p95 in found.rows:
        inside = rows[(rows["intended_ns"] / 1e9 >= start_s) & (rows["intended_ns"] / 1e9 < start_s + found.bin_s)]
        inside = inside[inside["endpoint"] == endpoint]
        times_ms = (inside["done_ns"] - inside["intended_ns"]).to_numpy() / 1e6
        assert len(times_ms) >= 6 and p50 == pytest.approx(np.quantile(times_ms, 0.5))
        assert (p95 is not None) == (len(times_ms) >= 72)
        if p95 is not None:
            seen += 1
            assert p95 == pytest.approx(np.quantile(times_ms, 0.95))
    assert 0 < seen < len(found.rows)


def test_in_flight_is_littles_law(run: RunDirectory, series: Series) -> None:
    found = series.in_flight(most_bins=1_000)
    measured = run.read_json("summary.json")["stages"]
    for stage in measured[:6]:
        inside = [v for start, v in found.rows if stage["start_s"] <= start < stage["start_s"] + stage["duration_s"]]
        assert sum(inside) / len(inside) == pytest.approx(stage["in_flight_mean"], rel=0.25, abs=0.5)
    assert found.rows[-1][1] == 0


def test_cores_over_time_are_the_cpu_seconds_that_were_used(series: Series) -> None:
    found = series.resources(most_bins=10_000)
    target = [row[2] for row in found.rows if row[1] == "target" and row[2] is not None]
    assert sum(target) * found.bin_s == pytest.approx(66.8, rel=0.02)  # Σ of 0.05 + 0.9·load over ten 10-s stages


def test_workers_that_start_later_are_shifted_by_how_much_later(run: RunDirectory) -> None:
    workers = [{"worker": 0, "boot_id": "b", "start_monotonic_ns": 5_000_000_000}]
    alone = Series(run, {"workers": workers}).span_s
    workers.append({"worker": 1, "boot_id": "b", "start_monotonic_ns": 2_000_000_000})
    assert Series(run, {"workers": workers}).span_s == pytest.approx(alone + 3)


@pytest.mark.parametrize(("span_s", "width"), [(10, 0.5), (90, 1), (100, 2), (86_400, 1800)])
def test_bins_are_round_and_few(span_s: float, width: float) -> None:
    assert bin_width_s(span_s, 90) == width


def server_rows(run: RunDirectory, *rows: tuple[str, str, dict[str, str], str, list[float]]) -> None:
    """(source, name, labels, kind, a value per second)."""
    told = [
        (int(second * 1e9), source, name, json.dumps(labels, sort_keys=True), kind, value)
        for source, name, labels, kind, values in rows
        for second, value in enumerate(values)
    ]
    names = ["at_ns", "source", "name", "labels", "kind", "value"]
    table = pa.table({name: [row[i] for row in told] for i, name in enumerate(names)})
    pq.write_table(table, run.path / "server.parquet")


def test_traffic_adds_up_to_the_bytes_of_all_answered_requests(run: RunDirectory, series: Series) -> None:
    rows = run.table("samples", ["bytes_in", "bytes_out", "done_ns", "sent_ns"]).to_pandas()
    answered = rows[rows["done_ns"].notna() & rows["sent_ns"].notna()]
    found = series.traffic()
    for column, name in ((1, "bytes_in"), (2, "bytes_out")):
        total = sum(row[column] or 0.0 for row in found.rows) * found.bin_s
        assert total == pytest.approx(answered[name].sum()) and total > 0


def test_axes_of_time_tell_the_time_of_day_that_they_begin_at(run: RunDirectory, series: Series) -> None:
    assert series.began == "14:13:20"
    assert "time since 14:13:20 UTC, s" in render(run).read_text(encoding="utf-8")


RISING = [float(second) for second in range(10)]


def test_the_services_own_gauges_rates_quantiles_and_ratios_become_lines(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[5], stage_s=10)
    server_rows(
        run,
        ("/metrics", "app_queue_waiting", {}, "gauge", RISING),
        ("/metrics", "cache_operations_total", {"operation": "hit"}, "rate", [4.0] * 10),
        ("/metrics", "cache_operations_total", {"operation": "miss"}, "rate", [0.0] * 10),
        ("/metrics", "cache_operations_total", {"operation": "hit"}, "counter", RISING),
        ("/metrics", "cache:hit_ratio", {}, "ratio", [0.9] * 10),
        ("/metrics", "request_seconds", {"path": "/ask", "quantile": "0.95"}, "quantile", RISING),
        ("/metrics", "request_seconds", {"path": "/ask", "quantile": "0.99"}, "quantile", RISING),
        ("/metrics", "process_open_pool", {}, "gauge", RISING),
        ("/metrics", "queue_limit", {}, "gauge", [10.0] * 10),
        ("/metrics", "http_request_seconds", {}, "gauge", RISING),
    )
    found = Series(run, {}).server().rows
    assert list(dict.fromkeys((row[1], row[3]) for row in found)) == [
        ("app_queue_waiting", ""), ("cache:hit_ratio", ""), ("request_seconds", "/ask p95"),
        ("cache_operations_total", "hit"),
    ]  # fmt: skip
    page = render(run).read_text(encoding="utf-8")
    for name in ("cache_operations_total", "cache:hit_ratio", "request_seconds", "app_queue_waiting"):
        assert name in page


def test_values_that_the_contract_asks_for_by_path_come_first_whatever_they_are_called(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[5], stage_s=10)
    many = [("/metrics", f"queue_{n}_waiting", {}, "gauge", RISING) for n in range(MOST_METRICS)]
    server_rows(run, *many, ("/status", "workers.0.busy", {}, "gauge", RISING))
    contract = {"contract": {"target": {"observe": {"json": {"/status": ["workers.0.busy"]}}}}}
    names = list(dict.fromkeys(row[1] for row in Series(run, contract).server().rows))
    assert names[0] == "workers.0.busy"
    assert len(names) == MOST_METRICS


def test_a_download_holds_the_unrounded_figures_and_no_formula() -> None:
    table = Table((Column("=SUM(A1)"), Column("p95")), [["@cmd", 1.23456789], ["-1+2", None], ["plain", -5.0]])
    assert table.csv().splitlines() == ["'=SUM(A1),p95", "'@cmd,1.23456789", "'-1+2,", "plain,-5.0"]


@pytest.mark.prove
def test_ten_million_rows_render_in_ten_seconds_with_bounded_memory(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[20], stage_s=50)
    small = synthetic_run.rows_of([20], 50)
    rows = np.concatenate([small] * (500_000 // len(small) + 1))[:500_000]
    rows["intended_ns"] = np.sort(np.random.default_rng(1).integers(0, int(3.6e12), len(rows)))
    rows["done_ns"] = rows["intended_ns"] + np.random.default_rng(2).lognormal(17, 1, len(rows)).astype(np.int64)
    table = pa.Table.from_batches([batch(rows, 0, ["step-01"], list(synthetic_run.ENDPOINTS))])
    for shard in range(20):
        pq.write_table(table, run.path / f"samples/worker-{shard + 1:03d}.parquet")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began_s = time.process_time()  # of all threads, so that neighbours on the machine do not count
    page = render(run)
    assert time.process_time() - began_s <= 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 1_000_000
    assert page.stat().st_size < 2_000_000
