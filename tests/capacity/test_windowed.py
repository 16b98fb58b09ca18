"""Lines are simulated as they were read: in stages of that length, and weighed against what was read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import model, queue_rate, windowed
from capacity.model import Model
from capacity.prediction import Prediction, Variation, predict
from capacity.replica_search import Goal, highest_rate
from capacity.simulation import Discipline, poisson
from measurements.interval import Interval

SLOW = Discipline(slots=2)
TIMES_S = np.random.default_rng(1).exponential(0.3, 2_000)
GOAL = Goal(loss=0.01, p=0.95, within_s=2.0)
QUEUE = Service(servers=2, service_ms=100, cpu_ms=2, queue=10, timeout_s=30)
CONTRACT = {"limits": {"queue": {"work": {"max_concurrent": 2, "max_queue_size": 10, "timeout_s": 30}}}}
STEPS = tuple(float(rate) for rate in range(4, 28, 2))


def carries(window_s: float | None) -> float:
    return float(np.mean([highest_rate(SLOW, TIMES_S, GOAL, seed, window_s=window_s) for seed in (1, 2, 3)]))


def fitted(stage_s: float = 60.0) -> Model:
    slo = {"all": {"p95_ms": 800.0, "error_rate": 0.02}}
    found = model.fit([run(QUEUE, Bench(rates=STEPS, stage_s=stage_s, slo=slo, contract=CONTRACT))])
    assert isinstance(found, Model) and found.bottleneck.kind == "concurrency_limit"
    return found


def test_a_short_stage_shows_a_queue_carry_more_than_it_does_for_good() -> None:
    short, longer, endless = carries(15.0), carries(60.0), carries(None)
    assert short > 1.08 * endless and short > longer > endless
    assert carries(1_500.0) == pytest.approx(endless, rel=0.03)


def test_windows_begin_idle_and_the_last_one_that_is_not_whole_does_not_count() -> None:
    windows = windowed.arrivals(poisson(1.0, 2_000, 1), 10.0, 20.0)
    counted = windows.window[windows.window >= 0]
    assert set(counted.tolist()) == set(range(int(windows.window.max()) + 1))
    assert np.bincount(counted).min() > 150  # of 200 each
    first_of_second = windows.at_s[windows.window == 1][0]
    assert first_of_second - windows.at_s[windows.window == 0][-1] > 0.9 * windowed.GAP_S


def test_figures_are_combined_as_a_line_is_read_between_logarithms() -> None:
    windows = windowed.Windowed(np.arange(6.0), np.array([-1, 0, 0, 1, 1, 1]))
    values = np.array([50.0, 1.0, 3.0, 8.0, 8.0, 8.0])
    assert windows.typical(values, np.full(6, True), np.mean) == pytest.approx(4.0)  # √(2 · 8)
    assert windows.typical(values, values < 5, np.mean) == pytest.approx(2.0)
    assert windowed.share(np.array([False] * 10)) == pytest.approx(0.05)


def test_the_window_is_that_of_the_stages_near_the_line() -> None:
    assert fitted(60.0).window_s == pytest.approx(60.0)
    assert fitted(30.0).window_s == pytest.approx(30.0)


def test_a_line_is_read_and_simulated_and_the_better_known_of_the_two_weighs_more() -> None:
    found = fitted()
    simulated = np.median([rate for (share, _), rate in queue_rate.as_measured(found).items() if share == 1.0])
    vague = Interval(0.8 * simulated, 1.08 * simulated, 1.4 * simulated, 0.9)
    sharp = Interval(1.07 * simulated, 1.08 * simulated, 1.09 * simulated, 0.9)
    of_vague, of_sharp = queue_rate.line(found, vague), queue_rate.line(found, sharp)
    assert simulated < of_vague.mid < 1.03 * simulated
    assert of_sharp.mid == pytest.approx(sharp.mid, rel=0.01)
    assert of_vague.relative_half_width < vague.relative_half_width


def test_a_simulation_on_few_service_times_is_known_no_better_than_their_mean() -> None:
    found = fitted()
    read = Interval(0.7 * 18, 18.0, 1.3 * 18, 0.9)
    few = replace(found, queues=[replace(found.queues[0], counted=40.0, carried={})])
    assert queue_rate.line(few, read).relative_half_width > 1.3 * queue_rate.line(found, read).relative_half_width


def test_a_line_that_a_search_gave_is_as_long_as_the_search_s_trials() -> None:
    found = fitted(60.0)
    searched = replace(found.run, search={"valid": True})
    trials = [
        replace(stage, run=searched, duration_s=16.0, overall={**stage.overall, "count": stage.count // 4})
        for stage in found.stages
    ]
    both = replace(found, stages=[*found.stages, *trials])
    assert both.window_s == pytest.approx(60.0)
    assert replace(both, from_search=True).window_s == 16.0


def test_a_line_that_no_simulation_explains_stays_as_it_was_read() -> None:
    found = fitted()
    twice = replace(found, queues=[replace(found.queues[0], service_s=2 * found.queues[0].service_s, carried={})])
    assert found.unscaled_rps is not None
    assert queue_rate.line(twice, found.unscaled_rps) is found.unscaled_rps
    told = predict(twice, Variation(replicas=2))
    assert isinstance(told, Prediction) and any("as it was read alone" in said for said in told.assumptions)
