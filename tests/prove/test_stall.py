"""Coordinated omission: the open loop shows the pause as it was; a closed loop must come out wrong (negative control)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loadtests.arrivals import Process
from tests.prove import harness
from tests.prove.conftest import Parameters

pytestmark = pytest.mark.prove
RATE, EVERY_S, SERVICE_S = 100.0, 20.0, 0.02


def true_ms(q: float, pause_s: float) -> float:
    """p_q = S + max(0, P − (1 − q)·T) for a server that works in parallel."""
    return 1000 * (SERVICE_S + max(0.0, pause_s - (1 - q) * EVERY_S))


def test_an_open_loop_sees_the_whole_pause(truth: Parameters, row: Callable[..., None], tmp_path: Path) -> None:
    with harness.served(
        tmp_path, kind="stall", service_s=SERVICE_S, first_s=9, every_s=EVERY_S, pause_s=truth.stall_s
    ) as served:
        run = harness.load(served.url, tmp_path, rate_rps=RATE, duration_s=EVERY_S, process=Process("constant"))
    response = harness.rows(run).eval("done_ms - intended_ms")
    for q in (0.9, 0.98, 0.99, 0.999):
        true, found = true_ms(q, truth.stall_s), float(np.quantile(response, q))
        one_arrival = 1000 / RATE  # between two order statistics of the pause
        row(
            "stall, open loop",
            f"p{100 * q:g}",
            true,
            found,
            f"{found - true:+.1f}",
            abs(found - true) <= one_arrival + 2,
        )


def test_a_closed_loop_hides_it(truth: Parameters, row: Callable[..., None], tmp_path: Path) -> None:
    with harness.served(
        tmp_path, kind="stall", service_s=SERVICE_S, first_s=9, every_s=EVERY_S, pause_s=truth.stall_s
    ) as served:
        run = harness.load(served.url, tmp_path, users=10, think_s=0.08, duration_s=EVERY_S)
    response = harness.rows(run).eval("done_ms - intended_ms")
    assert run.summary["loop"] == "closed"
    true, found = true_ms(0.98, truth.stall_s), float(np.quantile(response, 0.98))
    row("stall, closed loop (must be wrong)", "p98", true, found, "under half", found < true / 2)
