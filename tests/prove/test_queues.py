"""Open-loop runs against queues: each response equals what Lindley's recursion gives on the server's own draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.prove import harness, truth_server
from tests.prove.conftest import Parameters

pytestmark = pytest.mark.prove
QUANTILES = (0.5, 0.95, 0.99)


@pytest.mark.parametrize(
    ("case", "servers", "law"),
    [("M/M/inf", 0, "exponential"), ("M/M/1", 1, "exponential"), ("M/D/1", 1, "constant"), ("M/M/4", 4, "exponential")],
)
def test_every_response_is_what_the_queue_gave(
    case: str, servers: int, law: str, truth: Parameters, row: Callable[..., None], tmp_path: Path
) -> None:
    """Truth is when the server sent each answer, by its own stamp; beside it what Lindley's recursion gives on the
    server's draws, judged where the host let the server keep its schedule (p99 of its delay under half a millisecond)."""
    service_s = truth.service_ms / 1000
    rate = truth.rho * (servers or 2) / service_s
    with harness.served(
        tmp_path, kind="queue", servers=servers, service_s=service_s, law=law, seed=truth.seed
    ) as served:
        run = harness.load(served.url, tmp_path, rate_rps=rate, duration_s=truth.n / rate, seed=truth.seed)
    table = harness.rows(run, served)
    assert (table["outcome"] == "ok").all()
    config = {"service_s": service_s, "law": law, "seed": truth.seed}
    work = np.array([truth_server.service_s(config, int(seq)) for seq in table.index])
    intended = table["intended_ms"].to_numpy()
    recursion = harness.lindley(intended / 1000, work, servers) * 1000
    measured, stamped = table["done_ms"].to_numpy() - intended, table["server_done_ms"].to_numpy() - intended
    held_up = float(np.quantile(table["held_up_ms"], 0.99))
    for q in QUANTILES:
        true, found, by_recursion = (float(np.quantile(x, q)) for x in (stamped, measured, recursion))
        formula = closed_form_ms(case, q, truth)
        beside = f"{found - true:+.2f} (Lindley {by_recursion:.1f}" + (
            f", closed form {formula:.1f})" if formula else ")"
        )
        near = abs(found - by_recursion) <= max(1.0, 0.02 * by_recursion) or held_up > 0.5
        row(case, f"p{100 * q:g} of {len(table)}", true, found, beside, abs(found - true) <= 1.0 and near)
    worst = float(np.quantile(measured - stamped, 0.99))
    row(case, "client − server's stamp, p99", 0.0, worst, "<= 1", worst <= 1.0)


def closed_form_ms(case: str, q: float, truth: Parameters) -> float:
    """Stationary quantiles (truth for n to infinity; a run of n differs by luck): M/M/1, M/M/inf, M/M/c; else 0."""
    service, rho = truth.service_ms, truth.rho
    if case == "M/M/inf":
        return -service * math.log(1 - q)
    if case == "M/M/1":
        return -service * math.log(1 - q) / (1 - rho)
    if case == "M/M/4":
        return _erlang_quantile(4, service, rho, q)
    return 0.0


def _erlang_quantile(c: int, service: float, rho: float, q: float) -> float:
    """Solves P(T > t) = 1 − q for M/M/c by bisection; C is Erlang's, mu = 1/service, theta = c·mu − lambda."""
    mu, load = 1 / service, c * rho
    tail = load**c / math.factorial(c) / (1 - rho)
    erlang = tail / (sum(load**k / math.factorial(k) for k in range(c)) + tail)
    theta = c * mu * (1 - rho)
    low, high = 0.0, 100 * service
    for _ in range(100):
        t = (low + high) / 2
        over = (1 - erlang) * math.exp(-mu * t) + erlang * (theta * math.exp(-mu * t) - mu * math.exp(-theta * t)) / (
            theta - mu
        )
        low, high = (t, high) if over > 1 - q else (low, t)
    return (low + high) / 2
