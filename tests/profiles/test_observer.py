"""The observer against processes whose use of CPU, memory and threads is set by the test."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiles import processes
from profiles.observer import Observer
from profiles.resources import RESOURCES
from profiles.usage import per_window

BURN = "import time\nwhile True: sum(range(2000))"
SLEEP = "import time; time.sleep(60)"


@contextlib.contextmanager
def python(code: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def watch(roots: dict[str, list[int]], seconds: float, period_s: float = 0.2) -> Observer:
    observer = Observer(roots, time.monotonic_ns(), period_s)
    observer.start()
    time.sleep(seconds)
    observer.stop()
    return observer


def kernel_cpu_s(pid: int, with_children: bool) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11 : 15 if with_children else 13])) / os.sysconf("SC_CLK_TCK")


def test_the_cpu_of_a_process_is_what_the_kernel_says_it_used() -> None:
    with python(BURN) as burner:
        before_s = kernel_cpu_s(burner.pid, with_children=False)
        observer = watch({"target": [burner.pid]}, 2.0)
        truth_s = kernel_cpu_s(burner.pid, with_children=False) - before_s
    table = observer.table()
    assert table.schema.equals(RESOURCES)
    used = per_window(table, [("run", 0, 10)])["run"]
    assert used["target"]["cpu_s"] == pytest.approx(truth_s, abs=0.1)
    assert used["target"]["run_delay_s_per_s"] is not None
    assert 0 < used["host"]["cpu_share_mean"] <= 1.01


def test_children_born_later_belong_to_the_tree_and_grandchildren_too() -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
    code = f"import subprocess, sys, time; time.sleep(0.5); subprocess.run([sys.executable, '-c', {child!r}])"
    with python(code) as root:
        observer = watch({"target": [root.pid]}, 2.0)
    counts = [
        sum(row["role"] == "target" for row in observer.table().to_pylist() if row["at_ns"] == at_ns)
        for at_ns in sorted(set(observer.table()["at_ns"].to_pylist()))
    ]
    assert counts[0] == 1
    assert max(counts) == 3


def test_short_lived_children_are_charged_to_the_tree() -> None:
    child = "import time; t = time.process_time()\nwhile time.process_time() - t < 0.05: pass"
    code = f"import subprocess, sys\nwhile True: subprocess.run([sys.executable, '-S', '-c', {child!r}])"
    with python(code) as root:
        before_s = kernel_cpu_s(root.pid, with_children=True)
        observer = watch({"target": [root.pid]}, 2.0, period_s=0.5)
        truth_s = kernel_cpu_s(root.pid, with_children=True) - before_s
    assert truth_s > 0.1
    assert per_window(observer.table(), [("run", 0, 10)])["run"]["target"]["cpu_s"] == pytest.approx(truth_s, abs=0.25)


def test_a_process_that_vanishes_keeps_its_rows_and_stops_nothing() -> None:
    with python(SLEEP) as lives, python(SLEEP) as dies:
        observer = Observer({"target": [lives.pid], "llm": [dies.pid, 2**22 - 3]}, time.monotonic_ns(), 0.1)
        observer.start()
        time.sleep(0.35)
        dies.kill()
        dies.wait()
        time.sleep(0.35)
        observer.stop()
    rows = observer.table().to_pylist()
    seen = {role: sum(row["role"] == role for row in rows) for role in ("target", "llm", "host")}
    assert seen["target"] == seen["host"] > seen["llm"] >= 3
    assert observer.failures == 0


def test_a_tree_inside_another_tree_is_counted_under_its_own_role_only() -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
    with python(code) as outer:
        deadline_s = time.monotonic() + 5
        while not (inner := Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        observer = watch({"generator": [outer.pid], "target": [int(inner[0])]}, 0.3, 0.1)
    pids = {(row["role"], row["pid"]) for row in observer.table().to_pylist() if row["pid"]}
    assert pids == {("generator", outer.pid), ("target", int(inner[0]))}


def test_the_live_reading_shows_the_last_interval() -> None:
    with python(BURN) as burner:
        observer = Observer({"target": [burner.pid]}, time.monotonic_ns(), 0.2)
        observer.start()
        time.sleep(1.0)
        latest = observer.latest()
        observer.stop()
    assert latest["target"]["cpu_cores"] > 0
    assert latest["target"]["processes"] == 1
    assert 0 < latest["host"]["cpu_share"] <= 1.05


def sweeps_with(column: str, observer: Observer, pid: int) -> tuple[int, int]:
    rows = [row for row in observer.table().to_pylist() if row["pid"] == pid]
    return sum(row[column] is not None for row in rows), len(rows)


def test_unique_memory_that_is_cheap_to_read_is_read_at_every_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cheap by decree: how long a real reading takes is the machine's affair, and the next test's."""
    with python(SLEEP) as process:
        real = watch({"target": [process.pid]}, 0.1).table().to_pylist()
        monkeypatch.setattr(processes.TrackedProcess, "uss_bytes", lambda self: 1)
        observer = watch({"target": [process.pid]}, 2.0, period_s=0.5)
        found, sweeps = sweeps_with("uss_bytes", observer, process.pid)
    assert any(row["uss_bytes"] and 0 < row["uss_bytes"] <= row["rss_bytes"] for row in real if row["pid"])
    assert sweeps >= 4
    assert found >= sweeps - 1


@pytest.mark.parametrize("column", ["uss_bytes", "run_delay_s"])
def test_what_is_dear_to_read_of_a_large_service_is_read_as_often_as_its_budget_allows(
    monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    """Ten milliseconds of CPU a reading: a read every 5 to 10 s, however many sweeps there are."""

    def costly(self: processes.TrackedProcess) -> int:
        until_s = time.thread_time() + 0.01
        while time.thread_time() < until_s:
            pass
        return 1

    monkeypatch.setattr(processes.TrackedProcess, column, costly)
    with python(SLEEP) as process:
        observer = watch({"target": [process.pid]}, 3.0, period_s=0.1)
        found, sweeps = sweeps_with(column, observer, process.pid)
    assert sweeps > 20
    assert 1 <= found <= 3
