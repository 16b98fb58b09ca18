"""A load process on a core of its own, ahead of whatever else the machine puts there.

Measured on a busy two-core machine at 200 rps: lateness p99 over 100 ms under the ordinary scheduler, 0.3 ms with
round-robin real-time priority 1 on the same core (docs/decisions/0003-realtime.md). Where the right is missing, or
PLIMSOLL_REALTIME=0 forbids it, the process stays ordinary and validity judges what that cost.
"""

from __future__ import annotations

import os
from collections.abc import Sequence


def own_core(cpus: Sequence[int]) -> str:
    """Pins the calling process to `cpus` and asks for real-time priority; returns what it got, for run.json."""
    if not hasattr(os, "sched_setaffinity"):
        return "shared"
    os.sched_setaffinity(0, cpus)
    if os.environ.get("PLIMSOLL_REALTIME", "1") == "0":
        return "pinned"
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (OSError, AttributeError):
        return "pinned"
    return "pinned, round-robin real-time"
