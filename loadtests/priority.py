"""A load process on a core of its own, ahead of whatever else the machine puts there.

Measured on a busy two-core machine at 200 rps: lateness p99 over 100 ms under the ordinary scheduler, 0.3 ms with
round-robin real-time priority 1 on the same core (docs/decisions/0003-realtime.md). Where the right is missing, or
PLIMSOLL_REALTIME=0 forbids it, the process asks for a short time slice, which needs no right, and validity judges what
the rest cost.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Sequence

SLICE_NS = 100_000  # the shortest that Linux takes
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # system call numbers


class _Attributes(ctypes.Structure):
    """struct sched_attr of linux/sched/types.h, its first version."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    ]


def own_core(cpus: Sequence[int]) -> str:
    """Pins the calling process to `cpus` and asks for real-time priority; returns what it got, for run.json."""
    if not hasattr(os, "sched_setaffinity"):
        return "shared"
    os.sched_setaffinity(0, cpus)
    if os.environ.get("PLIMSOLL_REALTIME", "1") != "0":
        try:
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        except (OSError, AttributeError):
            pass
        else:
            return "pinned, round-robin real-time"
    return "pinned, short slices" if _short_slices() else "pinned"


def _short_slices() -> bool:
    """Linux 6.12 on: of two ordinary tasks that wait, the one with the shorter slice has the earlier deadline."""
    number = SCHED_SETATTR.get(platform.machine())
    if number is None:
        return False
    wanted = _Attributes(size=ctypes.sizeof(_Attributes), nice=os.nice(0), runtime_ns=SLICE_NS)
    return ctypes.CDLL(None, use_errno=True).syscall(number, 0, ctypes.byref(wanted), 0) == 0
