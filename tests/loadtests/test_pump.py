"""The pump gives every arrival in order, and lets answers be read between the pieces of a backlog."""

import json
import subprocess
import sys

CHILD = """
import json
import gevent
import numpy as np
from loadtests.pump import Pump, now

given, bursts = [], []
def schedule():
    for _ in range(2):
        yield np.zeros(500), np.zeros(500, dtype=int)

def reader():
    while len(given) < 1_000:
        before = len(given)
        gevent.sleep(0)
        bursts.append(len(given) - before)

pump = Pump(schedule(), 0, 1, now() - 1_000_000_000, lambda seq, intended_ns, stage: given.append(seq))
reading = gevent.spawn(reader)
pump.start()
reading.join(timeout=10)
print(json.dumps({"given": given, "largest": max(bursts), "done": pump.done.is_set()}))
"""


def test_a_backlog_of_a_second_goes_out_in_order_and_in_pieces_between_which_the_loop_turns() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert found["given"] == list(range(1_000)) and found["done"]
    assert 0 < found["largest"] <= 2 * 16  # a piece of each of two blocks at the most
