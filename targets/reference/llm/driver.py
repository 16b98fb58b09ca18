"""Runs a scheduler in real time: wakes at its absolute deadlines and hands out the tokens that are due.

An event loop's own timers are whole milliseconds late on Linux (epoll), so the alarm is a timerfd where there is one.
"""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable

from targets.reference.llm.scheduler import Job, Scheduler

clock_ns = time.perf_counter_ns  # CLOCK_MONOTONIC on Linux: one clock for all processes of a host
# Waking up costs more than a token does: under load, what falls due within this time is sent together, late by no more.
MIN_RINGS_APART_NS = 200_000
_TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_TIMER_ABSTIME = 0o4000, 0o2000000, 1


class _TimerSpec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns")]


class Alarm:
    """Calls back at absolute monotonic times, one at a time; about 50 µs late with a timerfd, 1 ms without."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop, self._callback = loop, callback
        self._handle: asyncio.TimerHandle | None = None
        self._fd = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd >= 0:
            self._spec = _TimerSpec(0, 0, 0, 0)
            self._spec_at = ctypes.byref(self._spec)
            loop.add_reader(self._fd, self._ring)

    def set(self, at_ns: int) -> None:
        """Ring at this time instead of any time set before; a past time rings at once."""
        if self._fd >= 0:
            self._spec.value_s, self._spec.value_ns = divmod(max(1, at_ns), 1_000_000_000)
            self._libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, self._spec_at, None)
            return
        if self._handle:
            self._handle.cancel()
        self._handle = self._loop.call_later(max(0.0, (at_ns - clock_ns()) / 1e9), self._callback)

    def close(self) -> None:
        if self._handle:
            self._handle.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _ring(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew after it had rung
            return
        self._callback()


class Lateness:
    """How far the driver falls behind its own schedule: the emulator's doubt about itself."""

    def __init__(self) -> None:
        self.steps = 0
        self.sum_ns = 0
        self.max_ns = 0
        self.over_1ms = 0

    def add(self, late_ns: int) -> None:
        self.steps += 1
        self.sum_ns += late_ns
        if late_ns > 1_000_000:
            self.over_1ms += 1
        self.max_ns = max(self.max_ns, late_ns)


class Driver:
    """One engine: a scheduler, its alarm, and the jobs' sinks, which are told of every token when it is due."""

    def __init__(self, loop: asyncio.AbstractEventLoop, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.lateness = Lateness()
        self.tokens = 0
        self._alarm = Alarm(loop, self._run)
        self._armed_ns: int | None = None
        self._rang_ns = 0

    def submit(self, job: Job, received_ns: int) -> bool:
        """Take a job that was received at this time; False: the engine is full."""
        self._catch_up(received_ns)
        taken = self.scheduler.submit(job, received_ns)
        self._arm()
        return taken

    def cancel(self, job: Job) -> None:
        now_ns = clock_ns()
        self._catch_up(now_ns)
        self.scheduler.cancel(job, now_ns)
        self._arm()

    def close(self) -> None:
        self._alarm.close()

    def _run(self) -> None:
        self._armed_ns = None
        self._rang_ns = clock_ns()
        self._catch_up(self._rang_ns)
        self._arm()

    def _catch_up(self, until_ns: int) -> None:
        scheduler = self.scheduler
        while (due_ns := scheduler.next_ns) is not None and due_ns <= until_ns:
            self.lateness.add(clock_ns() - due_ns)
            gained = scheduler.step()
            self.tokens += len(gained)
            for job in gained:
                job.sink.token()  # type: ignore[union-attr]  # every job given to a driver has one

    def _arm(self) -> None:
        due_ns = self.scheduler.next_ns
        if due_ns is not None and due_ns != self._armed_ns:
            self._armed_ns = due_ns
            self._alarm.set(max(due_ns, self._rang_ns + MIN_RINGS_APART_NS))
