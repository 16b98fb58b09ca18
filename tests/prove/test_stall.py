"""Coordinated omission: the open loop shows the pause as it was; a closed loop must come out wrong (negative control)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from loadtests.arrivals import Process
from tests.prove import harness
from tests.prove.conftest import Parameters

pytestmark = pytest.mark.prove


@contextmanager
def stalling(truth: Parameters, folder: Path) -> Iterator[harness.Served]:
    with harness.served(
        folder,
        kind="stall",
        service_s=truth.stall_service_ms / 1000,
        first_s=0.45 * truth.stall_every_s,
        every_s=truth.stall_every_s,
        pause_s=truth.stall_s,
    ) as served:
        yield served


def true_ms(q: float, truth: Parameters) -> float:
    """p_q = S + max(0, P − (1 − q)·T) for a server that works in parallel; between two arrivals it is a step."""
    return truth.stall_service_ms + 1000 * max(0.0, truth.stall_s - (1 - q) * truth.stall_every_s)


def test_an_open_loop_sees_the_whole_pause(truth: Parameters, row: Callable[..., None], tmp_path: Path) -> None:
    """Truth is the server's own stamp of each answer; beside it the closed form, which knows no single arrivals."""
    with stalling(truth, tmp_path) as served:
        run = harness.load(
            served.url, tmp_path, rate_rps=truth.stall_rate, duration_s=truth.stall_every_s, process=Process("constant")
        )
    table = harness.rows(run, served)
    response = table["done_ms"] - table["intended_ms"]
    stamped = table["server_done_ms"] - table["intended_ms"]
    one_arrival_ms = 1000 / truth.stall_rate
    for q in (0.9, 0.98, 0.99, 0.999):
        true, found, formula = float(np.quantile(stamped, q)), float(np.quantile(response, q)), true_ms(q, truth)
        holds = abs(found - true) <= 1.0 and abs(found - formula) <= one_arrival_ms + 2
        beside = f"{found - true:+.2f} (closed form {formula:.0f}, a step is {one_arrival_ms:.0f})"
        row("stall, open loop", f"p{100 * q:g}", true, found, beside, holds)


def test_a_closed_loop_hides_it(truth: Parameters, row: Callable[..., None], tmp_path: Path) -> None:
    """As few users as give the same rate: each waits through the pause once, so that few requests show it."""
    users = ceil(1.25 * truth.stall_rate * truth.stall_service_ms / 1000) + 1
    think_s = users / truth.stall_rate - truth.stall_service_ms / 1000
    with stalling(truth, tmp_path) as served:
        run = harness.load(served.url, tmp_path, users=users, think_s=think_s, duration_s=truth.stall_every_s)
    response = harness.rows(run).eval("done_ms - intended_ms")
    assert run.summary["loop"] == "closed"
    q = 1 - truth.stall_s / (2 * truth.stall_every_s)  # in the middle of what the pause delays
    true, found = true_ms(q, truth), float(np.quantile(response, q))
    row("stall, closed loop (must be wrong)", f"p{100 * q:g}", true, found, "under half", found < true / 2)
