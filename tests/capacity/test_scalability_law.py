"""The scalability law's fit: parameters back, intervals that cover, silence beyond the horizon."""

from __future__ import annotations

import numpy as np
import pytest

from capacity import usl
from measurements.interval import Interval, Refusal

LEVELS = [1.0, 2, 4, 8, 12, 16, 24, 32]


def law(n: np.ndarray, one: float = 100.0, contention: float = 0.03, coherency: float = 0.0005) -> np.ndarray:
    return one * n / (1 + contention * (n - 1) + coherency * n * (n - 1))


def test_parameters_and_peak_come_back_from_exact_data() -> None:
    found = usl.fit(LEVELS, law(np.array(LEVELS)).tolist())
    assert isinstance(found, usl.Scalability)
    assert (found.one_rps.mid, found.contention.mid, found.coherency.mid) == pytest.approx(
        (100, 0.03, 0.0005), rel=1e-6
    )
    assert found.best_level == pytest.approx((0.97 / 0.0005) ** 0.5, rel=1e-6)


def test_intervals_of_a_prediction_inside_the_horizon_cover_what_is_measured_there() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for trial in range(60):
        x = law(np.array(LEVELS)) * (1 + rng.normal(0, 0.03, len(LEVELS)))
        found = usl.fit(LEVELS, x.tolist(), seed=trial)
        assert isinstance(found, usl.Scalability)
        predicted = found.throughput(40)
        assert isinstance(predicted, Interval)
        inside += predicted.contains(float(law(np.array([40.0]))[0] * (1 + rng.normal(0, 0.03))))
    assert inside / 60 >= 0.8


def test_beyond_one_and_a_half_times_the_range_there_is_no_number() -> None:
    found = usl.fit(LEVELS, law(np.array(LEVELS)).tolist())
    assert isinstance(found, usl.Scalability)
    assert isinstance(found.throughput(48), Interval)
    refused = found.throughput(49)
    assert isinstance(refused, Refusal) and "1.5 times" in refused.reason
    assert "plimsoll run CONTRACT --users 33" in refused.remedy


def test_five_levels_are_too_few() -> None:
    refused = usl.fit(LEVELS[:5], law(np.array(LEVELS[:5])).tolist())
    assert isinstance(refused, Refusal) and "6 levels" in refused.reason
