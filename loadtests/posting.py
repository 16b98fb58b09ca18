"""Requests of one turn of the loop, sent together at its end.

The first send wakes the server's process; those that follow at once find it awake. Sent one by one between the answers,
each would wake it anew, which on a virtual machine cost a quarter of our time.
"""

from __future__ import annotations

from typing import Protocol

from gevent import get_hub


class Posted(Protocol):
    def send_posted(self) -> None: ...


_posted: list[Posted] = []


def post(connection: Posted) -> None:
    """Its `send_posted` is called at the end of this turn."""
    if not _posted:
        get_hub().loop.run_callback(_send_posted)
    _posted.append(connection)


def _send_posted() -> None:
    turn = _posted.copy()
    _posted.clear()
    for connection in turn:
        connection.send_posted()
