"""How late this load process reads what has arrived: a byte to itself over loopback, some twenty times a second.

An answer is timed when the loop gets to it. The echo goes the same way as an answer does (timer, loop, the kernel's
loopback, loop), so its delay after the set time is what reading costs; `measurements.reading` judges it.
"""

from __future__ import annotations

import socket
from array import array
from time import monotonic_ns as now
from typing import Any

from gevent import get_hub, monkey

from loadtests.pump import AbsoluteTimer

PERIOD_NS = 50_000_000
STEPS = (0.618, 0.382, 0.854, 0.236, 0.764, 0.146, 0.5)  # of a period: no rhythm that a schedule could share


class Echo:
    """`take` returns the delays since the last call in microseconds. Without a loopback it stays silent."""

    def __init__(self) -> None:
        self._late_us = array("i")
        self._count = 0
        self._due_ns = 0
        self._watcher: Any = None
        try:
            self._ours, self._theirs = loopback_pair()
        except OSError:
            return
        self._watcher = get_hub().loop.io(self._theirs.fileno(), 1)
        self._watcher.start(self._heard)
        self._timer = AbsoluteTimer(self._call)
        self._again()

    def take(self) -> list[int]:
        taken, self._late_us = self._late_us.tolist(), array("i")
        return taken

    def close(self) -> None:
        if self._watcher is None:
            return
        self._watcher.stop()
        self._watcher.close()
        self._timer.close()
        self._ours.close()
        self._theirs.close()
        self._watcher = None

    def _again(self) -> None:
        self._due_ns = now() + int(PERIOD_NS * (0.5 + STEPS[self._count % len(STEPS)]))
        self._count += 1
        self._timer.wake_at(self._due_ns)

    def _call(self) -> None:
        self._timer.wake_at(now() + 3_600_000_000_000)  # rung: quiet until the echo was heard
        self._ours.send(b".")

    def _heard(self) -> None:
        if self._theirs.recv(16):
            self._late_us.append(min((now() - self._due_ns) // 1000, 2**31 - 1))
            self._again()


def loopback_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, neither of which waits: plain sockets, for they are made in callbacks of the loop too."""
    plain = monkey.get_original("socket", "socket")
    with plain() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(1)
        ours = plain()
        ours.connect(door.getsockname())
        theirs, _ = door.accept()
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs
