"""A slow service in short stages: its line all the same, marked indicative, and no more than was seen."""

from __future__ import annotations

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import edge
from capacity.documents import stages_of

RATES = tuple(np.linspace(0.6, 6.0, 10).tolist())
SLO = {"ask": {"p95_ms": 5000.0}, "find": {"p95_ms": 5000.0}, "all": {"error_rate": 0.05}}
HALVES = {"ask": 1.0, "find": 1.0}


def measured(service: Service, seed: int = 3) -> edge.Edge:
    return edge.find(stages_of([run(service, Bench(RATES, 6.0, seed, slo=SLO, endpoints=HALVES))]))


@pytest.mark.parametrize("seed", range(1, 7))
def test_the_first_stages_of_a_minute_pass_by_what_the_busier_ones_did(seed: int) -> None:
    found = measured(Service(servers=30, service_ms=800, cpu_ms=1), seed)
    assert found.judged[0].stage.count < edge.ENOUGH
    assert found.judged[0].verdict == "pass" and not found.judged[0].sure
    assert (found.at_least_rps or 0.0) > RATES[2]


def test_a_stage_with_few_requests_below_a_miss_stays_unclear() -> None:
    found = measured(Service(servers=1, service_ms=900, cpu_ms=1, variation="constant"))
    assert found.judged[0].verdict in ("pass", "unclear") and found.indicative
    lowest_miss = min(one.stage.rate_rps for one in found.judged if one.verdict == "miss")
    assert all(one.stage.rate_rps < lowest_miss for one in found.judged if one.verdict == "pass")


def test_one_slow_answer_among_few_says_nothing_good_of_its_stage() -> None:
    stage = measured(Service(servers=30, service_ms=800, cpu_ms=1)).judged[0].stage
    slow = {"n": 3, "max": 9000.0, "bounds": {}}
    stage.endpoints["ask"]["response_ms"].update(slow, p95=None)
    assert edge.judge(stage, [stage] * 20).verdict == "unclear"


def test_a_refusal_says_how_many_requests_were_too_few_for_what() -> None:
    judged = edge.judge(measured(Service(servers=30, service_ms=800, cpu_ms=1)).judged[0].stage)
    count = judged.stage.endpoints["ask"]["count"]
    assert f"{count} requests of ask are too few to judge its p95" in judged.why
