"""How long a search waits before its next trial: what the last one left behind is worked off first."""

import numpy as np
import pytest

from loadtests.arrivals import Process, Stage
from loadtests.plan import LoadPlan
from loadtests.search.trial import NEVER, Rows
from measurements.sample import Outcome
from plimsoll.trials import worked_off_s

PLAN = LoadPlan("r", [], [], [Stage("t01", 4.0, 10.0, 10.0)], Process("poisson"), 1, "n")


def cut(answered: int, open_: int) -> Rows:
    """Four seconds, then half a minute of waiting in which so many were answered and so many were not."""
    n = answered + open_
    at_s, nothing = np.linspace(0.0, 4.0, n), np.full(n, np.nan)
    done_s = np.r_[np.full(answered, 5.0), np.full(open_, NEVER)]
    outcome = np.r_[np.full(answered, int(Outcome.ok)), np.full(open_, int(Outcome.abandoned))]
    return Rows(at_s, at_s, done_s, outcome, np.full(n, 200), np.zeros(n, dtype=int), nothing, nothing, ["ask"], 4.0,
                cut="in-flight grew out of hand")  # fmt: skip


def test_nothing_left_behind_is_not_waited_for() -> None:
    assert worked_off_s(cut(40, 0), PLAN) == 0.0


def test_what_was_given_up_is_worked_off_as_fast_as_answers_came() -> None:
    assert worked_off_s(cut(400, 100), PLAN) == pytest.approx(100 / (400 / PLAN.drain_s))


def test_a_slow_service_is_given_as_long_as_a_client_waits_for_an_answer() -> None:
    assert worked_off_s(cut(0, 100), PLAN) == worked_off_s(cut(2, 1_000), PLAN) == PLAN.drain_s == 30.0
