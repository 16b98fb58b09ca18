"""Watches process trees and the host from a thread of a parent process (one without gevent).

observer = Observer({"target": [4711], "generator": [4720]}, start_ns)
observer.start(); …; observer.stop()
run_table = observer.table()
"""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from profiles import cgroups, host, processes
from profiles.family import Family
from profiles.resources import HOST, RESOURCES
from profiles.spool import EVERY_S, Spool

NANOSECONDS = 1_000_000_000
# what the dear columns may cost to read, in cores: each second of a small service, less often of a large one
DEAR = {"run_delay_s": 0.002, "uss_bytes": 0.001}


class Observer:
    """`roots`: role → pids whose trees are followed, children born later included; no role is called "host".

    `start_ns` is the run's start on `time.monotonic_ns`. `disk`: the file system whose room is told. `spool`: a file for
    the rows of a long run. A process that vanishes keeps the rows it has; a root that was never there leaves its role
    without rows.
    """

    def __init__(
        self,
        roots: Mapping[str, Sequence[int]],
        start_ns: int,
        period_s: float = 1.0,
        disk: Path | None = None,
        spool: Path | None = None,
    ) -> None:
        self.roots = {role: list(pids) for role, pids in roots.items()}
        self.start_ns = start_ns
        self.period_s = period_s
        self.failures = 0
        self._disk = disk or Path.cwd()
        self._known: dict[str, dict[int, processes.TrackedProcess]] = {role: {} for role in roots}
        self._limits = {
            pid: limits for pids in self.roots.values() for pid in pids if (limits := cgroups.of_process(pid))
        }
        self._family = Family()
        self._ended_roots: set[int] = set()
        self._rows: list[dict[str, Any]] = []
        self._spool = Spool(spool, RESOURCES)
        self._packed_s = time.monotonic()
        self._recent: list[tuple[int, list[dict[str, Any]]]] = []
        self._sweeps = 0
        self._cpu_s = 0.0
        self._spent_s = dict.fromkeys(DEAR, 0.0)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Takes the first reading before it returns, so that counters have a base at the run's start."""
        self._sweep()
        self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Takes a last reading. A second call does nothing."""
        if self._thread is None or self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        self._sweep()

    def table(self) -> pa.Table:
        """All rows so far, in the order of time; schema `RESOURCES`."""
        with self._lock:
            self._pack()
            return self._spool.table()

    def forget(self) -> None:
        """The spool's file goes: its rows stand elsewhere."""
        self._spool.remove()

    def latest(self) -> dict[str, dict[str, float]]:
        """role → what the last interval showed: cpu_cores, rss_mib, processes, threads; host: cpu_share, load1, …"""
        with self._lock:
            recent = list(self._recent)
        if not recent:
            return {}
        (before_ns, before), (now_ns, now) = recent[0], recent[-1]
        elapsed_s = (now_ns - before_ns) / NANOSECONDS or 1.0
        used_s = {row["pid"]: _cpu_s(row) for row in before}
        shown: dict[str, dict[str, float]] = {}
        for row in now:
            cores = max(0.0, _cpu_s(row) - used_s.get(row["pid"], 0.0)) / elapsed_s if len(recent) > 1 else 0.0
            if row["role"] == HOST:
                shown[HOST] = {
                    "cpu_share": cores / row["host_cores"],
                    "memory_used_mib": row["host_memory_used_bytes"] / 2**20,
                    "load1": row.get("host_load1") or 0.0,
                }
                continue
            role = shown.setdefault(row["role"], {"cpu_cores": 0.0, "rss_mib": 0.0, "processes": 0, "threads": 0})
            role["cpu_cores"] += cores
            role["rss_mib"] += (row.get("rss_bytes") or 0) / 2**20
            role["processes"] += 1
            role["threads"] += row.get("threads") or 0
        return shown

    @property
    def cost_cores(self) -> float:
        """CPU that watching took, in cores: thread CPU time of all sweeps over the time watched."""
        with self._lock:
            return self._cpu_s / max(1e-9, self._sweeps * self.period_s)

    def _watch(self) -> None:
        due_s = time.monotonic() + self.period_s
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            self._sweep()
            due_s = max(due_s + self.period_s, time.monotonic())

    def _sweep(self) -> None:
        began_s = time.thread_time()
        watched_s = self._sweeps * self.period_s
        dear = [column for column, cores in DEAR.items() if self._spent_s[column] <= cores * watched_s]
        at_ns = time.monotonic_ns() - self.start_ns
        rows: list[dict[str, Any]] = []
        try:
            living = {"host_processes": self._family.look()}
            rows.append({"at_ns": at_ns, "role": HOST, "pid": None, "name": HOST, **host.read(self._disk), **living})
        except (psutil.Error, OSError, ValueError):
            self.failures += 1
        for role in self.roots:
            try:
                rows += self._sweep_role(role, at_ns, dear)
            except (psutil.Error, OSError, ValueError):
                self.failures += 1
        with self._lock:
            self._rows += rows
            if not self._recent or at_ns - self._recent[-1][0] > self.period_s * NANOSECONDS / 2:
                self._recent = [*self._recent[-1:], (at_ns, rows)]
            if time.monotonic() - self._packed_s >= EVERY_S:
                self._pack()
            self._sweeps += 1
            self._cpu_s += time.thread_time() - began_s

    def _sweep_role(self, role: str, at_ns: int, dear: Sequence[str]) -> list[dict[str, Any]]:
        known = self._known[role]
        roots = [pid for pid in self.roots[role] if pid not in self._ended_roots]
        others = {pid for other, pids in self.roots.items() if other != role for pid in pids}
        unknown = (pid for pid in roots if pid not in known)
        for pid in processes.tree([*known, *unknown], others, self._family.children):
            if pid not in known:
                try:
                    known[pid] = processes.TrackedProcess(pid)
                except psutil.Error:
                    continue
        rows: list[dict[str, Any]] = []
        seen: dict[cgroups.Limits, dict[str, Any]] = {}
        for pid, process in list(known.items()):
            reading = process.read()
            if reading is None:
                del known[pid]
                self._ended_roots |= {pid} & set(roots)  # the number may come back as somebody else's process
                continue
            for column in dear:
                began_s = time.thread_time()
                reading[column] = process.dear(column)
                self._spent_s[column] += time.thread_time() - began_s
            if pid in self._limits and pid in roots:
                limits = self._limits[pid]
                if limits not in seen:
                    seen[limits] = limits.read()
                reading.update(seen[limits])
            rows.append({"at_ns": at_ns, "role": role, **reading})
        return rows

    def _pack(self) -> None:
        if self._rows:
            self._spool.add(pa.RecordBatch.from_pylist(self._rows, RESOURCES))
            self._rows = []
        self._packed_s = time.monotonic()


def _cpu_s(row: Mapping[str, Any]) -> float:
    """Cumulative CPU seconds of a process, or of all cores in a host row."""
    return float(row["host_cpu_busy_s"] if row["role"] == HOST else row["cpu_user_s"] + row["cpu_system_s"])
