"""Full slots tell how long their work takes: many answers beside the few of calm stages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import full_slots, model, queue_options, queue_rate, service_times
from capacity.model import Model
from capacity.prediction import Prediction, Variation, predict
from capacity.queue_settings import QueueSetting
from capacity.simulation import Discipline, poisson, simulate

SLOW = Service(servers=2, service_ms=400, cpu_ms=8, queue=10, timeout_s=30)
SLO = {"all": {"p95_ms": 2000.0, "error_rate": 0.02}}
SETTING = {"queue": {"work": {"max_concurrent": 2, "max_queue_size": 10, "timeout_s": 30}}}
STEPS = (0.8, 1.6, 2.4, 3.2, 4.0, 4.8, 5.6, 6.4, 7.2, 8.0)


def fitted(seed: int, service: Service = SLOW) -> Model:
    found = model.fit([run(service, Bench(rates=STEPS, stage_s=40, slo=SLO, seed=seed, contract={"limits": SETTING}))])
    assert isinstance(found, Model)
    return found


def calm_alone(found: Model) -> queue_options.QueueModel:
    return queue_options.models(found.run, found.stages, found.cost, found.run.service_times_s)[0]


def test_service_times_of_a_slow_service_rest_on_its_full_slots_too() -> None:
    models = [found for found in map(fitted, range(1, 17)) if found.bottleneck.kind == "concurrency_limit"]
    assert len(models) >= 12
    together = np.array([found.queues[0].service_s.mean() / 0.4 - 1 for found in models])
    alone = np.array([calm_alone(found).service_s.mean() / 0.4 - 1 for found in models])
    assert np.median(abs(together)) < 0.6 * np.median(abs(alone))
    better = [found for found in models if found.queues[0].unsure < calm_alone(found).unsure]
    assert len(better) > 0.7 * len(models)


def test_the_line_of_a_slow_service_is_known_better_for_it() -> None:
    models = [found for found in map(fitted, range(1, 17)) if found.bottleneck.kind == "concurrency_limit"]
    lines = np.array([queue_rate.line(found, found.unscaled_rps).mid for found in models if found.unscaled_rps])
    read = np.array([found.unscaled_rps.mid for found in models if found.unscaled_rps])
    assert np.log(lines).std() < 0.6 * np.log(read).std()


def test_work_that_takes_longer_in_full_slots_is_not_averaged_with_that_of_calm_ones() -> None:
    found = fitted(1)
    calm = calm_alone(found)
    quick = replace(calm, service_s=calm.service_s * 0.5)
    assert full_slots.pooled(quick, found.plateau, found.bottleneck, 1) is quick


@pytest.mark.parametrize("seed", range(1, 4))
def test_taking_the_waits_out_of_calm_times_leaves_their_mean_and_their_spread(seed: int) -> None:
    arrivals, work_s = poisson(2.0, 40_000, seed), np.random.default_rng(100 + seed).exponential(0.4, 40_000)
    seen_s = simulate(arrivals, work_s, Discipline(2)).response_s
    assert seen_s.mean() > 1.15 * 0.4 and seen_s.std() < 0.97 * seen_s.mean()
    service_s = queue_options.without_waiting(seen_s, QueueSetting(2, 10, 30.0), 2.0)
    assert service_s.mean() == pytest.approx(0.4, rel=0.02)
    assert service_s.std() == pytest.approx(0.4, rel=0.04)


def test_chance_among_few_requests_does_not_choose_which_stages_are_calm() -> None:
    calm = [[stage.name for stage in service_times.calm(fitted(seed).stages)] for seed in range(1, 17)]
    assert sum(names[:2] == ["step-01", "step-02"] for names in calm) >= 12


def test_other_bottlenecks_say_nothing_of_the_slots() -> None:
    found = fitted(1)
    other = replace(found.bottleneck, kind="upstream")
    calm = calm_alone(found)
    assert full_slots.of(calm, found.plateau, other, 1) is None
    assert full_slots.pooled(calm, found.plateau, other, 1) is calm
    seen = full_slots.of(calm, found.plateau, found.bottleneck, 1)
    assert seen is not None and seen.full_s == pytest.approx(0.4, rel=0.1)


def test_what_is_drawn_anew_moves_the_ends_of_a_prediction_and_not_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    one = predict(fitted(1), Variation(replicas=2))
    monkeypatch.setattr(queue_rate, "SEEDS", (queue_rate.SEEDS[0], 20, 30))
    other = predict(fitted(1), Variation(replicas=2))
    assert isinstance(one, Prediction) and isinstance(other, Prediction)
    assert (one.capacity_rps.low, one.capacity_rps.high) != (other.capacity_rps.low, other.capacity_rps.high)
    assert one.capacity_rps.mid == pytest.approx(other.capacity_rps.mid, rel=0.02)
