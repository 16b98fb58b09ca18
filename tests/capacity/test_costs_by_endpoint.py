"""What a request of each endpoint costs, from seconds that differ in their mix by chance."""

from __future__ import annotations

import numpy as np
import pytest

from capacity import mix
from capacity.mix import Windows
from measurements.interval import Interval, Refusal

TRUE_S = {"generate": 0.012, "search": 0.004}


def seconds(seed: int, bend: float = 0.0, stages: int = 10, each: int = 8, noise: float = 0.01) -> Windows:
    """Stages of rising rate, 30 % generate; `bend`: CPU per request falls by so much from the first stage to the last."""
    rng = np.random.default_rng(seed)
    stage = np.repeat(np.arange(stages), each)
    rate = 5.0 * (1 + stage)
    work = np.column_stack([rng.poisson(0.3 * rate), rng.poisson(0.7 * rate)]).astype(float)
    true = work @ np.array(list(TRUE_S.values())) * (1 - bend * stage / stages)
    cpu = 0.05 + true + rng.normal(0, noise, len(stage))
    return Windows(1.0, list(TRUE_S), stage, work, work, {"cpu_s": cpu}, {"bytes_in": work * [900.0, 200.0]})


def test_chance_in_the_mix_tells_a_dear_endpoint_from_a_cheap_one() -> None:
    found = mix.per_endpoint(seconds(1), seconds(1).used["cpu_s"], Interval(0.0062, 0.0064, 0.0066, 0.9), "c.toml")
    dear, cheap = found["generate"], found["search"]
    assert isinstance(dear, Interval) and isinstance(cheap, Interval)
    assert dear.mid == pytest.approx(0.012, rel=0.2) and cheap.mid == pytest.approx(0.004, rel=0.2)
    assert dear.low > cheap.high


def test_nine_of_ten_intervals_hold_the_truth() -> None:
    inside = 0
    for seed in range(30):
        made = seconds(seed)
        found = mix.per_endpoint(made, made.used["cpu_s"], Interval(0.0062, 0.0064, 0.0066, 0.9), "c.toml")
        inside += sum(isinstance(one, Interval) and one.contains(TRUE_S[name]) for name, one in found.items())
    assert 0.8 <= inside / 60 <= 0.99


def test_a_cost_that_falls_with_the_load_makes_no_endpoint_dear() -> None:
    """Both cost the same; only the level bends."""
    rng = np.random.default_rng(5)
    stage = np.repeat(np.arange(10), 8)
    rate = 5.0 * (1 + stage)
    work = np.column_stack([rng.poisson(0.3 * rate), rng.poisson(0.7 * rate)]).astype(float)
    cpu = work.sum(axis=1) * 0.006 * (1 - 0.5 * stage / 10) + rng.normal(0, 0.005, 80)
    made = Windows(1.0, list(TRUE_S), stage, work, work, {"cpu_s": cpu}, {})
    found = mix.per_endpoint(made, cpu, None, "c.toml")
    one, other = found.values()
    assert isinstance(one, Interval) and isinstance(other, Interval)
    assert one.low <= other.high and other.low <= one.high


def test_what_cannot_be_told_apart_is_refused_with_the_run_that_would() -> None:
    made = seconds(1, noise=1.0)
    found = mix.per_endpoint(made, made.used["cpu_s"], None, "c.toml")["generate"]
    assert isinstance(found, Refusal) and "--endpoint generate" in found.remedy


def test_what_was_counted_request_by_request_needs_no_regression() -> None:
    costs = mix.of(seconds(1), None, "c.toml")
    assert costs["generate"]["bytes_in"]["per_request"]["mid"] == pytest.approx(900)
    assert costs["search"]["bytes_in"]["per_request"]["mid"] == pytest.approx(200)


def test_the_line_of_the_mix_holds_its_truth_nine_times_of_ten() -> None:
    inside = 0
    for seed in range(50):
        made = seconds(seed)
        found = mix.line(made, made.used["cpu_s"])
        assert found is not None
        inside += found[1].contains(0.3 * 0.012 + 0.7 * 0.004)
    assert 38 <= inside <= 49
