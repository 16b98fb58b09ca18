"""A change is predicted from one deployment's run and then measured on the changed service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import appendix, crowds, model, predictions
from capacity.ask import Ask
from capacity.batching import Engine
from capacity.engine import EngineModel
from capacity.engine_fit import Costs
from capacity.model import Model
from capacity.plateau import overloaded
from capacity.prediction import Prediction, Variation, predict
from capacity.queue_settings import QueueSetting
from measurements.interval import Refusal

QUEUE = Service(servers=2, service_ms=100, cpu_ms=2, queue=10, timeout_s=30)
ENGINE = Engine(2, 10, 10**9, 0.0, 0.0, 10**9, 0.010, 0.001)
SLO = {"all": {"p95_ms": 800.0, "error_rate": 0.02}}


def bench(rates: tuple[float, ...], settings: dict[str, Any] | None = None, **keys: Any) -> Bench:
    limits = {"queue": {"work": settings or {"max_concurrent": 2, "max_queue_size": 10, "timeout_s": 30}}}
    return Bench(rates=rates, stage_s=60, slo=SLO, contract={"limits": limits, **keys})


def fitted(service: Service, given: Bench) -> Model:
    found = model.fit([run(service, given)])
    assert isinstance(found, Model)
    return found


STEPS = tuple(float(rate) for rate in range(4, 28, 2))


def test_a_third_slot_and_a_longer_queue_are_predicted_within_ten_per_cent() -> None:
    predicted = predict(fitted(QUEUE, bench(STEPS)), Variation(queues={"work": QueueSetting(3, 20, 60)}))
    assert isinstance(predicted, Prediction)
    wider = bench(
        tuple(rate * 1.5 for rate in STEPS), {"max_concurrent": 3, "max_queue_size": 20, "timeout_s": 60}, seed=9
    )
    measured = fitted(replace(QUEUE, servers=3, queue=20, timeout_s=60), wider).capacity_rps
    assert measured is not None
    assert predicted.capacity_rps.mid == pytest.approx(measured.mid, rel=0.1)
    assert predicted.model == "queue_simulation"


def test_slots_gain_no_more_than_the_core_of_a_dependency_carries() -> None:
    beside = replace(QUEUE, llm_cpu_ms=45.0)  # 22.2 a second on its core; two slots reach 20
    found = fitted(beside, bench(STEPS))
    predicted = predict(found, Variation(queues={"work": QueueSetting(6, 30, 30)}))
    assert isinstance(predicted, Prediction)
    line = found.capacity_rps
    assert line is not None
    assert predicted.capacity_rps.low <= line.mid < predicted.capacity_rps.mid < predicted.capacity_rps.high
    assert any(said.startswith("llm stays as it is") for said in predicted.assumptions)
    free = predict(fitted(QUEUE, bench(STEPS)), Variation(queues={"work": QueueSetting(6, 30, 30)}))
    assert isinstance(free, Prediction) and free.capacity_rps.mid > 40


def test_a_core_that_service_and_dependency_share_ends_where_both_fill_it() -> None:
    found = fitted(replace(QUEUE, llm_cpu_ms=45.0), bench(STEPS))
    change = Variation(queues={"work": QueueSetting(6, 30, 30)})
    apart, together = (
        predict(replace(found, facts=replace(found.facts, placed_cores=cores)), change) for cores in (2.0, 1.0)
    )
    assert isinstance(apart, Prediction) and isinstance(together, Prediction)
    assert apart.capacity_rps.high == pytest.approx(1000 / 45, rel=0.02)
    assert together.capacity_rps.high == pytest.approx(1000 / 47, rel=0.02)


def test_what_a_crowd_costs_a_full_engine_that_nobody_has_seen_is_refused_not_guessed() -> None:
    found = fitted(replace(QUEUE, llm_cpu_ms=50.0), bench(STEPS, upstream={"kind": "real"}))
    for change in (Variation(queues={"work": QueueSetting(3, 15, 30)}), Variation(replicas=2)):
        refused = predict(found, change)
        assert isinstance(refused, Refusal) and "larger batches may cost each one more" in refused.reason
        assert "max_concurrent = " in refused.remedy
    free = fitted(QUEUE, bench(STEPS, upstream={"kind": "real"}))
    assert isinstance(predict(free, Variation(queues={"work": QueueSetting(6, 30, 30)})), Prediction)


def test_replicas_that_share_the_slots_of_one_crowd_a_full_engine_no_more_and_are_predicted() -> None:
    handed_on = {"control": {"start": "serve --slots {queue_work_max_concurrent}"}}
    found = fitted(replace(QUEUE, llm_cpu_ms=50.0), bench(STEPS, upstream={"kind": "real"}, target=handed_on))
    shared = Variation(replicas=2, queues={"work": QueueSetting(1, 5, 30)})
    assert shared in predictions.variations(found)
    predicted = predict(found, shared)
    assert isinstance(predicted, Prediction) and found.capacity_rps is not None
    assert 0.6 * found.capacity_rps.mid < predicted.capacity_rps.mid <= found.capacity_rps.mid
    assert not [one for one in predictions.variations(found) if one.replicas == 4 and one.queues], (
        "two slots are not four"
    )
    for free in (
        fitted(QUEUE, bench(STEPS, upstream={"kind": "real"}, target=handed_on)),
        fitted(replace(QUEUE, llm_cpu_ms=50.0), bench(STEPS, upstream={"kind": "real"})),
    ):
        assert not [one for one in predictions.variations(free) if one.replicas and one.queues]


def _an_engine_of_its_own(model_: Model, collapsed_s: float) -> Model:
    """The same stages before an engine without a limit: 0.03 s of its core an answer, so many where the service was behind."""
    stages = []
    for stage in model_.stages:
        each_s = collapsed_s if overloaded(stage) else 0.03
        calm = {**stage.resources, "llm": {"cpu_cores_mean": each_s * stage.completed_rps}}
        stages.append(replace(stage, resources=calm))
    return replace(model_, stages=stages)


def test_an_engine_without_a_limit_that_fell_over_once_is_predicted_for_no_change() -> None:
    beside = fitted(replace(QUEUE, queue=10**6, llm_cpu_ms=30.0), bench(STEPS, upstream={"kind": "real"}, limits={}))
    fell = _an_engine_of_its_own(beside, 0.07)
    for change in (Variation(replicas=2), Variation(workers=2)):
        refused = predict(fell, change)
        assert isinstance(refused, Refusal)
        assert "took 2.3 times as much of its core" in refused.reason and "max_concurrent" in refused.remedy
    as_it_is = predict(fell, Variation())
    assert isinstance(as_it_is, Prediction) and any("falls over" in said for said in as_it_is.assumptions)
    assert crowds.run_away(_an_engine_of_its_own(beside, 0.05)) is None, "batches that cost a little more are no fall"
    doubted = appendix.of(fell, Ask(), ())["doubts"]
    assert any("falls over" in one["reason"] and "max_concurrent" in one["remedy"] for one in doubted)
    bounded = fitted(replace(QUEUE, queue=10**6, llm_cpu_ms=30.0), bench(STEPS, upstream={"kind": "real"}))
    assert crowds.run_away(_an_engine_of_its_own(bounded, 0.07)) is None, "a queue bounds the crowd"


def test_an_upstream_that_binds_keeps_the_line_whatever_is_replicated() -> None:
    stages = {
        f"step-{k:02d}": {"upstream": {"running_mean": 2, "running_max": 2, "waiting_mean": 5}} for k in range(1, 13)
    }
    measured = replace(run(QUEUE, bench(STEPS, upstream={"kind": "emulated"}, limits={})), server=stages)
    found = model.fit([measured])
    assert isinstance(found, Model)
    predicted = predict(found, Variation(replicas=4))
    assert isinstance(predicted, Prediction) and predicted.capacity_rps == found.capacity_rps


def test_replicas_of_a_service_that_fills_its_core_multiply_the_line() -> None:
    found = fitted(Service(), Bench())
    predicted = predict(found, Variation(replicas=2))
    assert isinstance(predicted, Prediction) and found.capacity_rps is not None
    assert predicted.capacity_rps.mid == pytest.approx(2 * found.capacity_rps.mid)
    workers = predict(found, Variation(workers=4))
    assert isinstance(workers, Prediction)
    assert workers.capacity_rps.relative_half_width > predicted.capacity_rps.relative_half_width


def test_replicas_beyond_what_was_driven_widen_the_lower_end_only() -> None:
    found = fitted(Service(), Bench())
    line = found.capacity_rps
    assert line is not None
    near, far = predict(found, Variation(replicas=2)), predict(found, Variation(replicas=8))
    assert isinstance(near, Prediction) and isinstance(far, Prediction)
    assert near.capacity_rps.low == pytest.approx(2 * line.low)  # 88 a second; 100 were driven
    assert far.capacity_rps.low == pytest.approx(8 * line.low / 1.35) and far.capacity_rps.high == 8 * line.high
    assert any("what all replicas share was not seen at that" in said for said in far.assumptions)


def test_where_nothing_is_named_nothing_is_predicted() -> None:
    found = fitted(Service(servers=4, service_ms=100, cpu_ms=2), Bench())
    assert isinstance(predict(found, Variation(replicas=2)), Refusal)


def test_an_engine_that_no_simulation_resembles_gets_a_refusal_not_a_number() -> None:
    found = fitted(QUEUE, bench(STEPS))
    odd = EngineModel(ENGINE, [], np.full(500, 20), {}, 0.02)
    odd.__dict__["costs"] = Costs(ENGINE, ENGINE, ENGINE, off=0.5)
    model = replace(found, queues=[replace(found.queues[0], engine=odd)])
    refused = predict(model, Variation(queues={"work": QueueSetting(3, 20, 60)}))
    assert isinstance(refused, Refusal)
    assert "no engine whose streams share every step" in refused.reason
