"""What two process trees used between given moments: for blocks of a duet, read for both within the same millisecond.

CPU is read from the processes' own clocks (nanoseconds; `/proc` counts in steps of 10 ms, which over a short block of a
light service is more than what a gate looks for). Linux; elsewhere CPU is None.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil

from profiles import processes

EVERY_S = 0.5
CPUCLOCK_SCHED = 2  # linux/posix-timers.h: the clock of another process is ~pid << 3 | kind
MIB = 2**20


def cpu_s(pids: Sequence[int]) -> float | None:
    """CPU-seconds so far of these processes, ended threads included; None where this system has no such clocks."""
    if not sys.platform.startswith("linux"):
        return None
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)
    return total


def rss_mib(pids: Sequence[int]) -> float:
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(pid).memory_info().rss
    return total / MIB


class BlockClock:
    """`roots`: version → root pids. `ends_s`: when each block ends, since the start; the first block begins at 0.

    `at_boundary(block)` is called as each block begins (0, 1, …), right after the readings.
    """

    def __init__(
        self, roots: Mapping[str, Sequence[int]], names: Sequence[str], ends_s: Sequence[float],
        at_boundary: Callable[[int], None] = lambda block: None,
    ) -> None:  # fmt: skip
        self._roots = {side: list(pids) for side, pids in roots.items() if pids}
        self._names, self._ends_s, self._at_boundary = list(names), list(ends_s), at_boundary
        self.readings: list[dict[str, Any]] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, start_ns: int) -> None:
        self._thread = threading.Thread(target=self._watch, args=(start_ns,), name="block-clock", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, start_ns: int) -> None:
        if self._until(start_ns):
            return
        self._at_boundary(0)
        before = {side: self._read(side) for side in self._roots}
        for number, (name, end_s) in enumerate(zip(self._names, self._ends_s, strict=True)):
            end_ns = start_ns + round(end_s * 1e9)
            peaks = {side: before[side][1] for side in self._roots}
            stopped = False
            while time.monotonic_ns() < end_ns and not stopped:
                stopped = self._until(min(end_ns, time.monotonic_ns() + int(EVERY_S * 1e9)))
                for side in self._roots:
                    peaks[side] = max(peaks[side], rss_mib(self._tree(side)))
            now = {side: self._read(side) for side in self._roots}
            for side, (cpu, rss) in now.items():
                spent = None if cpu is None or before[side][0] is None else cpu - (before[side][0] or 0.0)
                self.readings.append(
                    {"block": name, "side": side, "cpu_s": spent, "rss_peak_mib": max(peaks[side], rss),
                     "rss_rise_mib": rss - before[side][1]}
                )  # fmt: skip
            if stopped:
                return
            before = now
            if number + 1 < len(self._names):
                self._at_boundary(number + 1)

    def _until(self, at_ns: int) -> bool:
        """Waits; True when it was stopped meanwhile."""
        return self._ended.wait(max(0.0, (at_ns - time.monotonic_ns()) / 1e9))

    def _tree(self, side: str) -> list[int]:
        return processes.tree(self._roots[side])

    def _read(self, side: str) -> tuple[float | None, float]:
        pids = self._tree(side)
        return cpu_s(pids), rss_mib(pids)


def pin(roots: Sequence[int], cores: Sequence[int]) -> None:
    """Every thread of these trees to `cores`; what has ended meanwhile is passed over."""
    for pid in processes.tree(roots):
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - a name is all that is needed, at every block
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(task), cores)
