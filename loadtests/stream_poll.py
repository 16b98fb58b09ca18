"""Token streams read together, each token timed by the kernel's own stamp of its arrival (SO_TIMESTAMPNS).

A load process reads a token when it gets to it, and a task that computes for some milliseconds moves what came meanwhile: so
the kernel says when it came. Then nothing is lost by looking at all streams together, at most once each half millisecond,
in place of a wake-up for nearly every token. While tokens come less often than that, each is read at once. On Linux over
TCP; elsewhere, and over TLS, a stream is read as any answer is.
"""

from __future__ import annotations

import socket
import struct
import sys
from functools import cache
from time import monotonic_ns as now
from time import time_ns
from typing import Any, Protocol

from gevent import get_hub, monkey

from loadtests.echo import loopback_pair
from loadtests.pump import AbsoluteTimer

PERIOD_NS = 500_000
MOST_AT_ONCE = 32  # then arrivals that are due are sent, before the next
NEVER_NS = 3_600_000_000_000
EPOLLIN = 1
SO_TIMESTAMPNS = 35  # asm-generic/socket.h
STAMP_ROOM = socket.CMSG_SPACE(16) if hasattr(socket, "CMSG_SPACE") else 0
TRIES = 20
_kept: list[socket.socket] = []
_layout = struct.Struct("@qq")
timespec = _layout.unpack  # the note that comes with what was asked for: seconds, ns


class Polled(Protocol):
    def on_polled(self, wall_to_monotonic_ns: int) -> None: ...


class StreamPoll:
    """Of one load process. A connection joins while an answer streams in, with its own watcher stopped."""

    def __init__(self, poll: Any) -> None:
        self._poll = poll
        self._streams: dict[int, Polled] = {}
        self._watcher = get_hub().loop.io(poll.fileno(), 1)
        self._timer = AbsoluteTimer(self._look)
        self._steady = False  # looked at by the clock, not whenever something comes
        self._looked_ns = 0

    def join(self, connection: Polled, stream: socket.socket) -> None:
        stream.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        number = stream.fileno()
        self._poll.register(number, EPOLLIN)
        self._streams[number] = connection
        if not self._watcher.active and not self._steady:
            self._watcher.start(self._look)

    def leave(self, number: int) -> None:
        """Before that descriptor is closed."""
        del self._streams[number]
        self._poll.unregister(number)

    def _look(self) -> None:
        at = now()
        offset_ns = at - time_ns()
        before_ns, self._looked_ns = self._looked_ns, at
        found = self._poll.poll(0, MOST_AT_ONCE)
        if not found:
            self._be_steady(False)
        elif self._steady or at - before_ns < PERIOD_NS:
            self._be_steady(True)
            self._timer.wake_at(at if len(found) == MOST_AT_ONCE else at + PERIOD_NS)
        for number, _ in found:
            connection = self._streams.get(number)
            if connection is not None:
                connection.on_polled(offset_ns)

    def _be_steady(self, steady: bool) -> None:
        if steady == self._steady:
            return
        self._steady = steady
        if steady:
            self._watcher.stop()
        else:
            self._timer.wake_at(now() + NEVER_NS)
            self._watcher.start(self._look)


@cache
def shared() -> StreamPoll | None:
    """This process's, once it was seen that the kernel stamps; else None. Takes some milliseconds the first time."""
    if not sys.platform.startswith("linux") or not _stamps():
        return None
    return StreamPoll(monkey.get_original("select", "epoll")())


def _stamps() -> bool:
    """Also keeps the kernel stamping: it does while any socket asks for it, and begins a moment after the first has."""
    pause = monkey.get_original("time", "sleep")
    try:
        ours, theirs = loopback_pair()
        theirs.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        _kept.append(theirs)
        for _ in range(TRIES):
            ours.send(b".")
            pause(0.001)
            notes = theirs.recvmsg(1, STAMP_ROOM)[1]
            if notes and notes[0][:2] == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(notes[0][2]) == _layout.size:
                return True
    except OSError:
        pass
    return False
