"""A change is predicted from one deployment's run and then measured on the changed service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import cpu_ends, crowds, model
from capacity.batching import Engine
from capacity.engine import EngineModel
from capacity.engine_fit import Costs
from capacity.model import Model
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


def _dearer_in_crowds(model_: Model, each_s: float, more_s: float) -> Model:
    """The same stages, with an engine on a core that takes so long an answer, and more for each one that runs at once."""
    stages = []
    for stage in model_.stages:
        running = min(stage.in_flight_mean or 0.0, 2.0)
        cores = min(1.0, (each_s + more_s * running) * stage.completed_rps)
        engine = {"cpu_cores_mean": cores, "busiest_process_cores": cores}
        stages.append(replace(stage, resources={**stage.resources, "llm": engine}))
    return replace(model_, stages=stages)


def test_a_third_connection_to_a_full_engine_gains_nothing_and_may_lose_by_larger_batches() -> None:
    beside = replace(QUEUE, llm_cpu_ms=50.0)
    found = _dearer_in_crowds(fitted(beside, bench(STEPS, upstream={"kind": "real"})), 0.03, 0.01)
    dearer = crowds.cost(found, "llm", 1.5)
    assert dearer.mid == pytest.approx(0.06 / 0.05, rel=0.05) and dearer.low < dearer.mid < dearer.high
    as_now, third = cpu_ends.of(found, 1), cpu_ends.of(found, 1, 1.5)
    assert third[-1].rps.mid == pytest.approx(as_now[-1].rps.mid / dearer.mid)
    predicted = predict(found, Variation(queues={"work": QueueSetting(3, 15, 30)}))
    assert isinstance(predicted, Prediction)
    assert any("with 1.5 times as many at once" in said for said in predicted.assumptions)


def test_a_line_that_leads_to_answers_for_nothing_says_nothing_of_crowds() -> None:
    """Slots that were never full, and answers that got cheaper by chance while one or two ran: the line ends below zero."""
    calm = fitted(replace(QUEUE, llm_cpu_ms=50.0), bench(STEPS[:4], upstream={"kind": "real"}))
    cheaper = _dearer_in_crowds(calm, 0.06, -0.01)
    wide = replace(cheaper, queues=[replace(cheaper.queues[0], setting=QueueSetting(100, 10, 30))])
    unknown = crowds.cost(wide, "llm", 1.5)
    assert (unknown.low, unknown.mid, unknown.high) == (pytest.approx(1 / 1.5), 1.0, 1.5)


def test_what_a_crowd_costs_a_full_engine_that_nobody_has_seen_is_refused_not_guessed() -> None:
    found = fitted(replace(QUEUE, llm_cpu_ms=50.0), bench(STEPS, upstream={"kind": "real"}))
    for change in (Variation(queues={"work": QueueSetting(6, 30, 30)}), Variation(replicas=2)):
        refused = predict(found, change)
        assert isinstance(refused, Refusal) and "larger batches may cost each one more" in refused.reason
        assert "max_concurrent = " in refused.remedy
    free = fitted(QUEUE, bench(STEPS, upstream={"kind": "real"}))
    assert isinstance(predict(free, Variation(queues={"work": QueueSetting(6, 30, 30)})), Prediction)


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
