"""Where the load is spread over many clients, the next user is made before its arrival is due."""

from __future__ import annotations

import subprocess
import sys

CHILD = """
import sys
from types import SimpleNamespace
import gevent
from locust import User
from loadtests.arrivals import Stage
from loadtests.clock import StageClock
from loadtests.pacing import AHEAD_S, Pace

class Visitor(User):
    pass

class Told(Pace):
    def spawn(self, user_class, journey):
        print("ahead" if journey is None else "arrival")
        self.users += 1

clients, arrivals = map(int, sys.argv[1:])
clock = StageClock([Stage("steady", 60.0, 1, 1)], 0, 0, 1)
pace = Told(SimpleNamespace(user_classes=[Visitor]), None, clock, seed=1, cap=10, clients=clients)
for seq in range(arrivals):
    pace.give(seq, 0, 0)
    gevent.sleep(10 * AHEAD_S)
"""


def made(clients: int, arrivals: int) -> list[str]:
    """What each user was made for, the arrivals being a while apart."""
    command = [sys.executable, "-P", "-c", CHILD, str(clients), str(arrivals)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def test_one_user_is_made_ahead_of_the_next_arrival() -> None:
    assert made(clients=4, arrivals=1) == ["arrival", "ahead"]


def test_no_more_are_made_than_the_load_is_spread_over() -> None:
    assert made(clients=3, arrivals=2) == ["arrival", "ahead", "arrival"]


def test_a_load_of_one_client_makes_nobody_ahead() -> None:
    assert made(clients=1, arrivals=2) == ["arrival", "arrival"]
