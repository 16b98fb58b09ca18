"""Steady, not steady or saturated: what a stage's own rows say about it."""

import numpy as np
import pytest

from measurements import steadiness

SECOND = 1e9


def judged(starts_s: np.ndarray, response_s: np.ndarray, dropped: int = 0, duration_s: float = 20.0) -> str:
    starts, ends = starts_s * SECOND, (starts_s + response_s) * SECOND
    return steadiness.judge(starts, ends, response_s * 1_000, 0.0, duration_s * SECOND, len(starts_s), dropped)


def poisson(rate_rps: float, seed: int = 1, duration_s: float = 20.0) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).uniform(0, duration_s, int(rate_rps * duration_s)))


def test_constant_load_with_independent_times_is_steady() -> None:
    states = []
    for seed in range(30):
        starts = poisson(50, seed)
        states.append(judged(starts, np.random.default_rng(seed).exponential(0.05, len(starts))))
    assert states.count("steady") == 30


def test_a_backlog_that_grows_is_saturated() -> None:
    starts = poisson(50)
    served = np.arange(1, len(starts) + 1) / 40  # 40 a second of 50
    assert judged(starts, np.maximum(served - starts, 0.02)) == "saturated"


def test_any_arrival_that_met_a_full_pool_makes_the_stage_saturated() -> None:
    assert judged(poisson(50), np.full(1_000, 0.02), dropped=1) == "saturated"


def test_a_response_time_that_creeps_up_without_a_backlog_is_not_steady() -> None:
    starts = poisson(50)
    assert judged(starts, 0.010 + 0.002 * starts) == "not_steady"


def test_a_response_time_that_falls_while_caches_fill_is_not_steady_either() -> None:
    starts = poisson(50)
    assert judged(starts, 0.060 - 0.0025 * starts) == "not_steady"


def test_one_stall_in_the_middle_is_no_trend() -> None:
    starts = poisson(50)
    stalled = np.where((starts > 9) & (starts < 10), 10.5 - starts, 0.02)
    assert judged(starts, stalled) == "steady"


def test_a_stage_with_few_requests_is_steady_for_want_of_evidence() -> None:
    assert judged(np.array([1.0, 2.0, 3.0]), np.full(3, 0.05)) == "steady"
    assert judged(np.array([]), np.array([])) == "steady"


def test_the_number_in_flight_counts_half_open_intervals() -> None:
    starts, ends = np.array([0, 10, 20]), np.array([15, 20, 40])
    level = steadiness.in_flight(starts, ends, np.array([0, 9, 10, 14, 15, 20, 39, 40]))
    assert level.tolist() == [1, 1, 2, 2, 1, 1, 1, 0]


def test_the_mean_in_flight_is_the_time_average_over_the_window_alone() -> None:
    starts, ends = np.array([0, 50]), np.array([100, 70])
    assert steadiness.mean_in_flight(starts, ends, 0, 100) == pytest.approx(1.2)
    assert steadiness.mean_in_flight(starts, ends, 50, 70) == pytest.approx(2.0)
    assert steadiness.mean_in_flight(starts, ends, 100, 200) == 0.0
    assert steadiness.mean_in_flight(starts, ends, 100, 100) == 0.0


def test_the_trend_test_finds_a_trend_and_lets_noise_be() -> None:
    p, direction = steadiness.trend_p(np.arange(20.0))
    assert p < 1e-6 and direction == 1.0
    found = [steadiness.trend_p(np.random.default_rng(seed).normal(size=20))[0] < 0.05 for seed in range(400)]
    assert 0.02 < np.mean(found) < 0.09
    assert steadiness.trend_p(np.full(20, 3.0)) == (1.0, 0.0)
    assert steadiness.trend_p(np.array([1.0, 2.0])) == (1.0, 0.0)
