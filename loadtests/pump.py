"""Hands out arrivals when they are due: a timerfd on gevent's loop, all that is due at each wake-up.

Deadlines are absolute, so the schedule neither drifts nor is it re-anchored after a backlog. Event-loop timers come in
steps of a millisecond; a timerfd wakes within some 50 µs. Under load a wake-up is held back by `BATCH_NS`, so that one
wake-up serves several arrivals. A long backlog goes out in pieces with a turn of the loop between them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from time import monotonic_ns as now

import numpy as np
from gevent import get_hub
from gevent.event import Event

BATCH_NS = 100_000
MOST_AT_ONCE = 16  # then answers are read, else each arrival of a backlog opens a connection, and the backlog grows

Give = Callable[[int, int, int], None]  # seq, intended_ns, stage


class _Timespec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns")]


class AbsoluteTimer:
    """Calls `callback` from the loop at an absolute monotonic time."""

    def __init__(self, callback: Callable[[], None]) -> None:
        loop = get_hub().loop
        self._fd = -1
        if sys.platform.startswith("linux"):
            libc = ctypes.CDLL(None, use_errno=True)
            self._settime = libc.timerfd_settime
            self._fd = libc.timerfd_create(1, os.O_NONBLOCK | os.O_CLOEXEC)  # CLOCK_MONOTONIC
        if self._fd >= 0:
            self._spec = _Timespec()
            self._watcher = loop.io(self._fd, 1)
            self._watcher.start(callback)
        else:
            self._callback, self._watcher = callback, loop.timer(0)

    def wake_at(self, at_ns: int) -> None:
        """Replaces the wake-up before it. Setting it also clears the descriptor, so nothing needs to be read."""
        if self._fd >= 0:
            self._spec.value_s, self._spec.value_ns = divmod(max(at_ns, 1), 1_000_000_000)
            self._settime(self._fd, 1, ctypes.byref(self._spec), None)  # TFD_TIMER_ABSTIME
        else:
            self._watcher.stop()
            self._watcher = get_hub().loop.timer(max(at_ns - now(), 0) / 1e9)
            self._watcher.start(self._callback)

    def close(self) -> None:
        self._watcher.stop()
        self._watcher.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Pump:
    """Walks this worker's stripe of the schedule (arrival k goes to worker k mod n) and gives each arrival in time."""

    def __init__(
        self, blocks: Iterator[tuple[np.ndarray, np.ndarray]], worker: int, workers: int, start_ns: int, give: Give
    ) -> None:
        self._blocks, self._worker, self._workers = blocks, worker, workers
        self._start_ns, self._give = start_ns, give
        self._base = 0
        self._times: list[int] = []
        self._stages: list[int] = []
        self._seqs: list[int] = []
        self._next = 0
        self.given = 0
        self.done = Event()
        self._timer = AbsoluteTimer(self._due)
        self._load()

    def start(self) -> None:
        if self._times:
            self._timer.wake_at(self._times[0])
        else:
            self._finish()

    def stop(self) -> None:
        """No further arrival is given; those already given go on."""
        if not self.done.is_set():
            self._times.clear()
            self._finish()

    def _load(self) -> bool:
        """The next block with arrivals of this stripe; False at the schedule's end."""
        for times, stages in self._blocks:
            first = (self._worker - self._base) % self._workers
            seqs = np.arange(self._base + first, self._base + len(times), self._workers)
            mine = slice(first, None, self._workers)
            self._base += len(times)
            if len(seqs):
                self._times = (self._start_ns + np.rint(times[mine] * 1e9)).astype(np.int64).tolist()
                self._stages, self._seqs, self._next = stages[mine].tolist(), seqs.tolist(), 0
                return True
        self._times = []
        return False

    def _due(self) -> None:
        at = now()
        give = self._give
        while True:
            times, stages, seqs, k = self._times, self._stages, self._seqs, self._next
            end = min(len(times), k + MOST_AT_ONCE)
            while k < end and times[k] <= at:
                self._next = k + 1
                self.given += 1
                give(seqs[k], times[k], stages[k])
                k += 1
            if not self._times:
                return  # stopped by what it gave
            if k < end:
                self._timer.wake_at(max(times[k], at + BATCH_NS))
                return
            if k < len(times):
                self._timer.wake_at(times[k])  # after one turn of the loop
                return
            if not self._load():
                self._finish()
                return

    def _finish(self) -> None:
        self._timer.close()
        self.done.set()
