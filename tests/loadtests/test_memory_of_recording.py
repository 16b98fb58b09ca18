"""What a load process keeps of each second does not add up: not a leak, and nothing that looks like one over hours."""

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import ctypes, random, sys
from loadtests import worker
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


worker._warm_up_recording()
if sys.argv[1] == "filled":
    worker._fill_numpys_cache()
seconds(20)
before = libc.mallinfo2().uordblks
seconds(2_000)
print(libc.mallinfo2().uordblks - before)
"""


def grown_bytes(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, how], capture_output=True, text=True, timeout=120, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    if done.stdout.strip() == "none":
        pytest.skip("this C library does not say how much memory is in use")
    return int(done.stdout)


def test_seconds_with_ever_other_numbers_of_rows_take_no_more_memory() -> None:
    assert grown_bytes("filled") < 30_000
    assert grown_bytes("empty") > 100_000, "NumPy keeps no blocks any more: then worker._fill_numpys_cache has no use"
