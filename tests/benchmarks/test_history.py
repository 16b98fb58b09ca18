"""The history: one file, change points that are there and none that are not, the week as Markdown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from benchmarks.history.changes import change_points
from benchmarks.history.store import Store, host_key
from benchmarks.history.trend import alarms, trends, weekly
from measurements.errors import FormatError, UsageError

HOST = {"cpu_model": "x", "cores": 2, "memory_mib": 4096, "architecture": "x86_64"}
START = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)


def gate(night: int, value: float, verdict: str = "PASS") -> dict[str, Any]:
    comparison = {"endpoint": "ask", "metric": "mean_ms", "primary": True, "verdict": verdict, "baseline": 20.0,
                  "candidate": value, "ratio": value / 20, "ci95": [value / 20 - 0.01, value / 20 + 0.01]}  # fmt: skip
    return {"run": f"night-{night:02d}", "at": (START + timedelta(days=night)).isoformat(), "target": "s", "verdict": verdict,
            "host": HOST, "git_commit": f"c{night:039d}", "baseline": {"label": "v1"}, "comparisons": [comparison]}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "deep" / "history.duckdb")
    random = np.random.default_rng(5)
    for night in range(24):
        found.add_gate(gate(night, (20.0 if night < 14 else 23.0) * (1 + 0.01 * random.standard_normal())))
    return found


def test_a_step_is_found_where_it_is_and_with_its_commits(store: Store) -> None:
    [trend] = trends(store.series("s"))
    [change] = trend.changes
    assert change.index == 14
    assert change.relative == pytest.approx(0.15, abs=0.02)
    assert trend.where(change) == "c000000000 .. c000000000"
    assert [p.run for p in trend.points[13:15]] == ["night-13", "night-14"]


def test_failed_gates_are_counted_with_their_interval(store: Store) -> None:
    assert alarms(store.entries("s")) == "Of all 24 gates 0 failed (0.0% to 14.2% at 95 %), 24 passed, 0 were unsure."
    store.add_gate(gate(24, 30.0, "FAIL"))
    store.add_gate(gate(25, 20.0, "BLIND"))
    assert "Of all 26 gates 1 failed" in weekly(
        "s", store.entries("s"), [], (START + timedelta(days=25)).replace(tzinfo=None)
    )
    assert "1 were unsure" in alarms(store.entries("s"))
    assert alarms([]) == ""


def test_noise_alone_changes_rarely() -> None:
    random = np.random.default_rng(11)
    found = sum(bool(change_points(list(20 * np.exp(0.03 * random.standard_normal(40))))) for _ in range(100))
    assert found <= 5
    assert change_points([1.0] * 30) == []
    assert change_points([1.0, 2.0]) == []


def test_the_same_gate_twice_is_one_entry_and_other_machines_stand_apart(store: Store) -> None:
    store.add_gate(gate(23, 99.0))
    assert len(store.entries("s")) == 24
    assert store.series("s", host=host_key(HOST)).keys() == {("ask", "mean_ms")}
    assert store.series("s", host=host_key(HOST | {"cores": 64})) == {}
    assert store.targets() == ["s"]


def test_a_pinned_release_shows_creep_and_the_week_says_what_changed(store: Store) -> None:
    store.pin("night-00")
    [trend] = found = trends(store.series("s"))
    assert trend.creep == pytest.approx(1.15, abs=0.04)
    now = (START + timedelta(days=18)).replace(tzinfo=None)
    text = weekly("s", store.entries("s"), found, now)
    assert "| ask mean\\_ms |" in text
    assert "between c000000000 .. c000000000" in text
    assert "PASS" in text
    with pytest.raises(UsageError, match="no entry nobody"):
        store.pin("nobody")


def test_three_unsure_nights_are_counted(tmp_path: Path) -> None:
    found = Store(tmp_path / "h.duckdb")
    for night, verdict in enumerate(["BLIND", "PASS", "BLIND", "INCONCLUSIVE", "BLIND"]):
        found.add_gate(gate(night, 20.0, verdict))
    assert found.unsure_streak("s") == 3
    found.add_gate(gate(9, 20.0, "PASS"))
    assert found.unsure_streak("s") == 0


def test_figures_that_cannot_be_written_are_told(store: Store, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "no" / "all.parquet"):
        with pytest.raises(UsageError, match="cannot be written; name a file in a folder"):
            store.export(place)


def test_figures_leave_as_parquet(store: Store, tmp_path: Path) -> None:
    assert store.export(tmp_path / "all.parquet") == 24
    assert duckdb.sql(f"select count(*) from '{tmp_path / 'all.parquet'}'").fetchall() == [(24,)]


def test_plain_runs_are_kept_too(tmp_path: Path) -> None:
    found = Store(tmp_path / "h.duckdb")
    entry = {"response_ms": {"mean": 5.0, "p50": 4.0, "p95": 9.0, "p99": None}, "error_rate": 0.0}
    found.add_run(
        {"run": "r1", "name": "s", "host": HOST}, {"valid": True, "all": entry, "endpoints": {"ask": entry}}, START
    )
    assert set(found.series("s", "run")) >= {("ask", "p95_ms"), ("all", "error_rate")}


def test_a_damaged_or_foreign_file_is_a_sentence(tmp_path: Path) -> None:
    damaged = tmp_path / "h.duckdb"
    damaged.write_bytes(b"not a database at all" * 50)
    with pytest.raises(FormatError, match="move it away"):
        Store(damaged).add_gate(gate(1, 20.0))
    with pytest.raises(UsageError, match="there is no history"):
        Store(tmp_path / "none.duckdb").targets()
