"""A short line with little patience: slots stand empty at times even in overload, and the longest work is given up."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from planted import Bench, Service, run, with_rows

from capacity import full_slots, model, queue_options, service_times, slowing
from capacity.documents import stages_of
from capacity.model import Model
from capacity.prediction import Prediction, Variation, predict
from capacity.queue_settings import QueueSetting
from capacity.replica_search import Goal, highest_rate
from capacity.simulation import Discipline
from measurements.sample import Outcome

SHORT = Service(servers=3, service_ms=70, cpu_ms=3, queue=2, timeout_s=0.28)
LIMITS = {"work": {"max_concurrent": 3, "max_queue_size": 2, "timeout_s": 0.28}}
BENCH = Bench(
    rates=tuple(np.linspace(5, 52, 10).tolist()), stage_s=24, contract={"limits": {"queue": LIMITS}},
    slo={"all": {"p95_ms": 350.0, "error_rate": 0.05}},
)  # fmt: skip


@cache
def fitted(seed: int) -> Model:
    documents, rows = with_rows(SHORT, replace(BENCH, seed=seed))
    stages = stages_of([documents])
    times_s = service_times.from_rows(rows, stages, queue_options.timeouts_s(documents, stages))["work"]
    found = model.fit([replace(documents, service_times_s={"work": times_s.tolist()})])
    assert isinstance(found, Model)
    return found


def test_slots_before_a_short_line_are_not_full_in_overload_and_their_work_takes_no_longer_for_it() -> None:
    seen = []
    for seed in range(1, 9):
        found = fitted(seed)
        full = full_slots.of(found.queues[0], found.plateau, found.bottleneck, 1)
        if full is None:
            continue
        assert found.plateau is not None
        seen.append((full.full_s, 3 / found.plateau.rate_rps.mid))
        assert slowing.of(found, found.queues[0]).per_running_s == 0
    each_s, as_if_full_s = np.mean(seen, axis=0)
    assert len(seen) >= 6
    assert each_s == pytest.approx(0.070, rel=0.06) and as_if_full_s > 0.080


def test_behind_a_long_line_in_overload_every_slot_is_full() -> None:
    patient = replace(SHORT, queue=1000, timeout_s=30.0)
    limits = {"work": {"max_concurrent": 3, "max_queue_size": 1000, "timeout_s": 30}}
    found = model.fit([run(patient, replace(BENCH, contract={"limits": {"queue": limits}}))])
    assert isinstance(found, Model) and found.plateau is not None
    full = full_slots.of(found.queues[0], found.plateau, found.bottleneck, 1)
    assert full is not None and full.full_s == pytest.approx(3 / found.plateau.rate_rps.mid, rel=0.01)


@pytest.mark.parametrize("outcome", [Outcome.timeout, Outcome.http_error, Outcome.rejected])
def test_work_that_a_queues_timeout_ended_counts_as_a_mean_longer_than_that(outcome: Outcome) -> None:
    documents, rows = with_rows(SHORT, BENCH)
    stages = stages_of([documents])
    ended = replace(rows, outcome=np.where(rows.outcome == Outcome.timeout, outcome, rows.outcome))
    times_s = service_times.from_rows(ended, stages, queue_options.timeouts_s(documents, stages))["work"]
    answered = service_times.from_rows(ended, stages)["work"]
    assert answered.max() < 0.28, "without a queue's timeout nobody knows what an error worked for"
    assert times_s.max() == pytest.approx(0.28 + answered.mean())
    assert np.mean(times_s > 0.28) == pytest.approx(np.exp(-4), abs=0.015)


@pytest.mark.parametrize(("change", "servers", "queue", "replicas"), [
    (Variation(replicas=2), 3, 2, 2),
    (Variation(queues={"work": QueueSetting(4, 3, 0.28)}), 4, 3, 1),
    (Variation(replicas=4), 3, 2, 4),
])  # fmt: skip
def test_what_changes_of_a_short_line_are_worth_is_right_within_a_tenth(
    change: Variation, servers: int, queue: int, replicas: int
) -> None:
    work_s = np.random.default_rng(11).exponential(0.070, 20_000)
    truth = highest_rate(
        Discipline(servers, queue, 0.28, replicas=replicas, routing="round_robin"),
        work_s,
        Goal(0.05, 0.95, 0.35),
        window_s=24,
    )
    found = [predict(fitted(seed), change) for seed in range(1, 9)]
    lines = [one.capacity_rps for one in found if isinstance(one, Prediction)]
    assert len(lines) >= 6
    assert np.median([line.mid for line in lines]) == pytest.approx(truth, rel=0.05)
    assert sum(line.low <= truth <= line.high for line in lines) >= len(lines) - 1
