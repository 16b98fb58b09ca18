"""What a load process keeps of each second does not add up: not a leak, and nothing that looks like one over hours."""

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import ctypes, random, sys
from loadtests import warm_up
from loadtests.live import LiveView
from measurements import sample
import numpy as np


class Mallinfo(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]


libc = ctypes.CDLL(None)
if not hasattr(libc, "mallinfo2"):
    print("none")
    sys.exit()
libc.mallinfo2.restype = Mallinfo
view, draw = LiveView(["main"]), random.Random(1)


def seconds(number):
    for _ in range(number):
        rows = np.zeros(draw.randint(430, 570), dtype=sample.PACKED)
        sample.batch(rows, 0, ["main"], ["ask"])
        view(rows)
        view.snapshot(0, 0)


warm_up.recording()
if sys.argv[1] == "filled":
    warm_up.numpys_cache()
seconds(20)
before = libc.mallinfo2().uordblks
seconds(2_000)
print(libc.mallinfo2().uordblks - before)
"""


CONNECTIONS = """
import locust, gc, socket, sys
from pathlib import Path
import gevent
from gevent import monkey
from loadtests import warm_up
from loadtests.origin import Origin
from loadtests.transport import Connection, Limits


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def exchanges(number):
    for connection in (ours := [Connection(origin) for _ in range(number)]):
        connection.start(b"GET / HTTP/1.1\\r\\n\\r\\n", Limits(10**9))
    for _ in range(20):
        gevent.sleep(0.001)
        kept.extend(warm_up._answered(door))
    assert all(connection.status == 200 for connection in ours), [c.error for c in ours]
    kept.extend(ours)


kept = []
if sys.argv[1] == "warm":
    warm_up.connections()
gc.collect()
door = monkey.get_original("socket", "socket")()
door.bind(("127.0.0.1", 0))
door.listen(100)
door.setblocking(False)
origin = Origin.of(0, f"http://127.0.0.1:{door.getsockname()[1]}", "127.0.0.1")
exchanges(1)
before = resident_bytes()
exchanges(40)
print(resident_bytes() - before)
"""


def grown_bytes(how: str, script: str = CHILD) -> int:
    done = subprocess.run(
        [sys.executable, "-c", script, how], capture_output=True, text=True, timeout=120, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    if done.stdout.strip() == "none":
        pytest.skip("this C library does not say how much memory is in use")
    return int(done.stdout)


def test_seconds_with_ever_other_numbers_of_rows_take_no_more_memory() -> None:
    assert grown_bytes("filled") < 30_000
    assert grown_bytes("empty") > 100_000, "NumPy keeps no blocks any more: then warm_up.numpys_cache has no use"


def test_forty_more_connections_take_no_more_memory() -> None:
    cold = grown_bytes("cold", CONNECTIONS)
    assert cold > 60_000, "forty connections cost next to nothing: then warm_up.connections has no use"
    assert grown_bytes("warm", CONNECTIONS) < cold / 3
