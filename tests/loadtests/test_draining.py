"""The end of a run: what is still open comes to its own timeout."""

from __future__ import annotations

import subprocess
import sys

CHILD = """
import sys
from time import monotonic
from types import SimpleNamespace
from loadtests.worker import Worker

drain_s, open_s, stopping = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
worker = Worker.__new__(Worker)
worker._plan, worker._stopping = SimpleNamespace(drain_s=drain_s, drain_stopped_s=0.1), stopping
began_s = monotonic()

class Session:
    in_flight = property(lambda self: int(monotonic() < began_s + open_s))

worker._drain(Session(), SimpleNamespace(journeys=0))
print(monotonic() - began_s)
"""


def waited(drain_s: float, open_s: float, stopping: str = "") -> float:
    """Seconds that a load process waits for a request that is open for `open_s`."""
    command = [sys.executable, "-P", "-c", CHILD, str(drain_s), str(open_s), stopping]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def test_what_was_sent_last_and_late_comes_to_its_timeout_before_it_is_given_up() -> None:
    """The drain is the longest timeout; what was sent a tenth of a second after the last moment is open for longer."""
    assert waited(drain_s=0.2, open_s=0.3) >= 0.3


def test_what_never_ends_is_given_up() -> None:
    assert waited(drain_s=0.2, open_s=1e9) >= 0.2


def test_once_somebody_asked_to_stop_the_wait_is_short() -> None:
    assert waited(drain_s=3600, open_s=1e9, stopping="asked to stop") >= 0.1
