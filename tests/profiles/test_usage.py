"""Resources of windows, from observations whose truth is known because they were made up."""

import pyarrow as pa
import pytest

from profiles.resources import RESOURCES
from profiles.usage import intervals, per_window


def rows(*readings: dict) -> pa.Table:
    full = [{"role": "target", "name": "python", "cpu_system_s": 0.0, "cpu_reaped_s": 0.0, **row} for row in readings]
    return pa.Table.from_pylist([{**row, "at_ns": round(row.pop("s") * 1e9)} for row in full], RESOURCES)


def steady(pid: int, cores: float, seconds: int, rss: int = 100 << 20, base_s: float = 50.0) -> list[dict]:
    return [
        {"s": s, "pid": pid, "cpu_user_s": base_s + cores * s, "rss_bytes": rss, "threads": 3, "fds": 7}
        for s in range(seconds + 1)
    ]


def test_a_window_between_sweeps_is_charged_with_its_own_part_of_the_counters() -> None:
    used = per_window(rows(*steady(1, 0.5, 10)), [("stage", 2.25, 4.75)])["stage"]["target"]
    assert used["cpu_s"] == pytest.approx(0.5 * 2.5)
    assert used["cpu_cores_mean"] == pytest.approx(0.5)
    assert used["cpu_cores_max"] == pytest.approx(0.5)


def test_a_tree_is_the_sum_of_its_processes_and_the_busiest_stands_beside_it() -> None:
    table = rows(*steady(1, 0.2, 10), *steady(2, 0.9, 10, rss=300 << 20))
    used = per_window(table, [("stage", 0, 10)])["stage"]["target"]
    assert used["cpu_cores_mean"] == pytest.approx(1.1)
    assert used["busiest_process_cores"] == pytest.approx(0.9)
    assert (used["rss_mib_mean"], used["rss_mib_max"]) == pytest.approx((400, 400))
    assert (used["processes"], used["threads_max"], used["fds_max"]) == (2, 6, 14)


def test_a_process_that_dies_keeps_what_it_used() -> None:
    used = per_window(rows(*steady(1, 0.1, 10), *steady(2, 1.0, 4)), [("stage", 0, 10)])["stage"]["target"]
    assert used["cpu_s"] == pytest.approx(0.1 * 10 + 1.0 * 4)


def test_children_too_short_lived_to_be_seen_count_through_the_parent_that_reaped_them() -> None:
    parent = steady(1, 0.0, 10)
    for second, row in enumerate(parent):
        row["cpu_reaped_s"] = 3.0 + 0.7 * second
    assert per_window(rows(*parent), [("stage", 0, 10)])["stage"]["target"]["cpu_s"] == pytest.approx(7.0)


def test_a_child_that_was_seen_and_then_reaped_counts_once() -> None:
    parent, child = steady(1, 0.0, 10), steady(2, 1.0, 4, base_s=0.0)
    for row in parent[5:]:
        row["cpu_reaped_s"] = 4.5
    assert per_window(rows(*parent, *child), [("stage", 0, 10)])["stage"]["target"]["cpu_s"] == pytest.approx(4.5)


def test_a_process_born_during_the_run_counts_from_its_birth() -> None:
    born = [{**row, "cpu_user_s": row["s"] - 5.0} for row in steady(2, 1.0, 10) if row["s"] >= 6]
    used = per_window(rows(*steady(1, 0.0, 10), *born), [("stage", 0, 10)])["stage"]["target"]
    assert used["cpu_s"] == pytest.approx(5.0)


def test_a_spike_of_one_second_shows_as_the_highest_interval_not_in_the_mean() -> None:
    readings = steady(1, 0.0, 10)
    for row in readings[6:]:
        row["cpu_user_s"] += 0.8
    used = per_window(rows(*readings), [("stage", 0, 10)])["stage"]["target"]
    assert used["cpu_cores_max"] == pytest.approx(0.8)
    assert used["cpu_cores_mean"] == pytest.approx(0.08)


def test_a_last_sweep_a_few_milliseconds_after_the_one_before_makes_no_peak() -> None:
    readings = [*steady(1, 0.2, 10), {**steady(1, 0.2, 10)[-1], "s": 10.01, "cpu_user_s": 52.01}]
    assert per_window(rows(*readings), [("run", 0, 10.01)])["run"]["target"]["cpu_cores_max"] == pytest.approx(0.2)


def test_memory_that_grows_is_averaged_over_time() -> None:
    readings = [{**row, "rss_bytes": (100 + 10 * row["s"]) << 20} for row in steady(1, 0.0, 10)]
    used = per_window(rows(*readings), [("stage", 2.5, 7.5)])["stage"]["target"]
    assert used["rss_mib_mean"] == pytest.approx(150)
    assert used["rss_mib_max"] == pytest.approx(175)


def test_run_queue_delay_is_a_rate_and_null_where_the_kernel_keeps_none() -> None:
    with_delay = [{**row, "run_delay_s": 0.25 * row["s"]} for row in steady(1, 0.1, 10)]
    windows = [("stage", 1, 9)]
    assert per_window(rows(*with_delay), windows)["stage"]["target"]["run_delay_s_per_s"] == pytest.approx(0.25)
    assert per_window(rows(*steady(1, 0.1, 10)), windows)["stage"]["target"]["run_delay_s_per_s"] is None


def test_the_host_is_a_share_of_all_its_cores() -> None:
    host = [
        {
            "s": s, "role": "host", "name": "host", "pid": None, "cpu_system_s": None, "cpu_reaped_s": None,
            "host_cpu_busy_s": 1000 + 3.0 * s, "host_cores": 4, "host_steal_s": 0.4 * s, "host_load1": 2.0 + s,
            "host_memory_used_bytes": (8 << 30) + s, "host_memory_total_bytes": 16 << 30,
            "host_disk_used_share": 0.91, "host_disk_free_bytes": (5 - s) << 20,
        }
        for s in range(5)
    ]  # fmt: skip
    used = per_window(rows(*host), [("stage", 0, 4)])["stage"]["host"]
    assert used["cpu_share_mean"] == pytest.approx(0.75)
    assert used["steal_share"] == pytest.approx(0.1)
    assert (used["cores"], used["load1"], used["memory_total_mib"]) == (4, 6.0, 16384)
    assert (used["disk_used_share"], used["disk_free_mib"]) == pytest.approx((0.91, 1))
    assert used["psi_cpu_share"] is None


def test_a_window_that_nobody_watched_has_no_figures() -> None:
    found = per_window(rows(*steady(1, 0.5, 10)), [("before", -5, -1), ("after", 11, 12), ("empty", 3, 3)])
    assert found == {"before": {}, "after": {}, "empty": {}}


def test_every_interval_of_every_process_can_be_looked_at() -> None:
    found = intervals(rows(*steady(1, 0.25, 3), *steady(2, 0.85, 2)), "target")
    assert found.groupby("pid")["cores"].agg(["count", "max"]).to_dict("index") == {
        1: {"count": 3, "max": pytest.approx(0.25)},
        2: {"count": 2, "max": pytest.approx(0.85)},
    }
    assert intervals(rows(*steady(1, 0.25, 3)), "generator").empty
