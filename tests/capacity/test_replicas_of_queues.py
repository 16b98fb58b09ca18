"""How many replicas a queue takes at a demand is what predictions say of so many; clients that try again are in both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import model, queue_rate, queue_replicas, slowing
from capacity.batching import Engine
from capacity.engine import EngineModel
from capacity.engine_fit import Costs
from capacity.model import Model
from capacity.plan import make_plan
from capacity.prediction import Prediction, Variation, predict
from measurements.interval import Refusal

QUEUE = Service(servers=2, service_ms=100, cpu_ms=2, queue=10, timeout_s=30)
SETTING = {"work": {"max_concurrent": 2, "max_queue_size": 10, "timeout_s": 30}}
SLO = {"all": {"p95_ms": 800.0, "error_rate": 0.02}}
STEPS = tuple(float(rate) for rate in range(4, 28, 2))
ENGINE = Engine(2, 10, 10**9, 0.0, 0.0, 10**9, 0.010, 0.001)
ENDPOINT = {"name": "work", "path": "/work", "retries": 2, "timeout_s": 5.0}


def fitted(calm_s: float | None = None, **contract: Any) -> Model:
    """`calm_s`: mean service time where nobody else is served; None: as at the plateau."""
    measured = run(QUEUE, Bench(rates=STEPS, stage_s=60, slo=SLO, contract={"limits": {"queue": SETTING}, **contract}))
    if calm_s is not None:
        calm = np.random.default_rng(4).exponential(calm_s, 2_000).tolist()
        measured = replace(measured, service_times_s={"work": calm})
    found = model.fit([measured])
    assert isinstance(found, Model) and found.bottleneck.kind == "concurrency_limit"
    return found


def line(found: Model, replicas: int) -> float:
    predicted = predict(found, Variation(replicas=replicas, routing="least_outstanding"))
    assert isinstance(predicted, Prediction)
    return predicted.capacity_rps.mid


@pytest.mark.parametrize("calm_s", [None, 0.07], ids=["flat service times", "service times that grow with the load"])
def test_the_replicas_for_a_demand_are_the_fewest_whose_predicted_line_reaches_it(calm_s: float | None) -> None:
    found = fitted(calm_s)
    assert bool(slowing.of(found, found.queues[0]).per_running_s) == (calm_s is not None)
    needed = queue_replicas.needed(found, found.queues[0], 70.0)
    assert not isinstance(needed, Refusal)
    survivors = round(needed["needed"].mid) - 1
    assert line(found, survivors) >= 70.0 > line(found, survivors - 1)
    assert needed["recommended"] == needed["needed"].high >= needed["needed"].mid


def test_an_engine_whose_places_share_every_step_is_what_both_simulate() -> None:
    found = fitted()
    engine = EngineModel(replace(ENGINE, alpha_s=0, beta_s=0), [], np.full(500, 20), {("ttft", 0.95): 0.5}, 0.02)
    engine.__dict__["costs"] = Costs(ENGINE, ENGINE, ENGINE, off=0.0)
    found = replace(found, queues=[replace(found.queues[0], engine=engine)])
    needed = queue_replicas.needed(found, found.queues[0], 50.0)
    assert not isinstance(needed, Refusal)
    survivors = round(needed["needed"].mid) - 1
    assert line(found, survivors) >= 50.0 > line(found, survivors - 1)
    assert list(needed["by_routing"]) == ["round_robin"]


def test_an_engine_that_no_simulation_resembles_takes_no_number_of_replicas_but_a_search() -> None:
    found = fitted()
    odd = EngineModel(ENGINE, [], np.full(500, 20), {}, 0.02)
    odd.__dict__["costs"] = Costs(ENGINE, ENGINE, ENGINE, off=0.5)
    found = replace(found, queues=[replace(found.queues[0], engine=odd)])
    refused = queue_replicas.needed(found, found.queues[0], 50.0)
    assert isinstance(refused, Refusal) and refused.remedy.startswith("plimsoll search planted.toml")


class TestClientsThatTryAgain:
    def test_the_contracts_retries_and_timeout_are_those_of_the_simulation(self) -> None:
        discipline = fitted(endpoint=[ENDPOINT]).queues[0].discipline
        assert (discipline.retries, discipline.patience_s) == (2, 5.0)
        assert (discipline.retry_after_s, discipline.retry_growth) == (0.1, 2.0)
        assert not discipline.retries_timeouts and not discipline.cancels_running

    def test_a_locustfiles_users_do_not(self) -> None:
        target = {"name": "planted", "base_url": "http://127.0.0.1:8000", "locustfile": "users.py"}
        assert fitted(endpoint=[ENDPOINT], target=target).queues[0].discipline.retries == 0

    def test_a_queue_with_few_places_loses_less_to_them_and_carries_more(self) -> None:
        full = {"queue": {"work": {"max_concurrent": 2, "max_queue_size": 0, "timeout_s": 30}}}
        bench = Bench(rates=STEPS, stage_s=60, slo=SLO, contract={"limits": full, "endpoint": [ENDPOINT]})
        again = model.fit([run(replace(QUEUE, queue=0), bench)])
        assert isinstance(again, Model)
        once = replace(again, queues=[replace(again.queues[0], retries=0, carried={})])
        carried = [
            queue_rate.carried(found, found.queues[0], found.queues[0].setting, 1, "round_robin", (1,), 1.0)[0]
            for found in (once, again)
        ]
        assert carried[1] > 1.2 * carried[0]

    def test_the_plan_and_its_predictions_say_so(self) -> None:
        bench = Bench(rates=STEPS, stage_s=60, slo=SLO,
                      contract={"limits": {"queue": SETTING}, "endpoint": [ENDPOINT]})  # fmt: skip
        plan = make_plan([run(QUEUE, bench)], 40.0).as_json()
        told = [plan["scale_out"][0]["assumptions"], plan["predictions"][1]["assumptions"]]
        for assumptions in told:
            assert any("clients of work repeat a refusal up to 2 times" in said for said in assumptions)
            assert any("work that has begun goes on when its client leaves" in said for said in assumptions)
