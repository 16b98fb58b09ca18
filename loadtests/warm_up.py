"""What a load process grows to only over hours, grown before the first arrival: imports, stocks of freed blocks, pools.

Each has an end, but comes near it by ever rarer events (a longer answer, one more connection): a slow growth that would
look like a leak, and page faults while the load runs.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from time import monotonic_ns as now

import gevent
import numpy as np
from gevent import monkey

from loadtests.origin import Origin
from loadtests.transport import Connection, Limits
from measurements import sample

NUMPY_KEEPS_BELOW_BYTES, NUMPY_KEEPS_OF_EACH = 1_024, 7  # numpy/_core/src/multiarray/alloc.c
CONNECTIONS = 64
PATIENCE_NS = 1_000_000_000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def warm_up() -> None:
    recording()
    numpys_cache()
    connections()


def recording() -> None:
    """Imports what the first flush would import, while nobody waits."""
    sample.batch(np.zeros(1, dtype=sample.PACKED), 0, [""], [""])


def numpys_cache() -> None:
    """NumPy keeps up to seven freed blocks of each size below a KiB. Each second's number of rows makes blocks of another
    size: 3.6 MiB in the end."""
    for size in range(1, NUMPY_KEEPS_BELOW_BYTES):
        held = [np.empty(size, dtype=np.uint8) for _ in range(NUMPY_KEEPS_OF_EACH)]
        del held


def connections(count: int = CONNECTIONS) -> None:
    """One exchange on each of `count` connections at once, with a door of our own. Without a loopback there are none."""
    plain = monkey.get_original("socket", "socket")
    with plain() as door, contextlib.suppress(OSError):
        door.bind(("127.0.0.1", 0))
        door.listen(count)
        door.setblocking(False)
        origin = Origin.of(0, f"http://127.0.0.1:{door.getsockname()[1]}", "127.0.0.1")
        ours = [Connection(origin) for _ in range(count)]
        for connection in ours:
            connection.start(b"GET / HTTP/1.1\r\n\r\n", Limits(PATIENCE_NS))
        theirs: list[socket.socket] = []
        until_ns = now() + PATIENCE_NS
        try:
            while any(connection.busy for connection in ours) and now() < until_ns:
                theirs += _answered(door)
                gevent.sleep(0.001)
        finally:
            for end in theirs:
                end.close()
            for connection in ours:
                connection.abandon("") if connection.busy else connection.close()


def _answered(door: socket.socket) -> list[socket.socket]:
    """Whoever is at the door, each with an answer. They close with a reset, which keeps no port waiting."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            end, _ = door.accept()
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.send(ANSWER)
            found.append(end)
    return found
