"""Shapes are presets over stages, as the design gives them."""

from itertools import pairwise

import pytest

from loadtests.shapes import SHAPES, stages
from measurements.errors import UsageError


def rates(shape: str, rate: float = 100.0, duration: float = 60.0) -> list[tuple[float, float]]:
    return [(stage.start_rps, stage.end_rps) for stage in stages(shape, rate, duration)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("duration", [7.0, 60.0])
def test_every_shape_fills_the_duration_exactly_with_stages_of_different_names(shape: str, duration: float) -> None:
    made = stages(shape, 50.0, duration)
    assert sum(stage.duration_s for stage in made) == pytest.approx(duration)
    assert len({stage.name for stage in made}) == len(made)
    assert all(stage.duration_s > 0 and stage.start_rps >= 0 and stage.end_rps >= 0 for stage in made)


def test_a_breakpoint_has_ten_equal_steps_from_a_tenth_to_the_whole_rate() -> None:
    made = stages("breakpoint", 200.0, 50.0)
    assert [stage.start_rps for stage in made] == pytest.approx([20.0 * k for k in range(1, 11)])
    assert all(stage.start_rps == stage.end_rps for stage in made)
    assert {round(stage.duration_s, 9) for stage in made} == {5.0}
    assert made[0].name == "step-01" and made[9].name == "step-10"


def test_stress_goes_in_steps_to_one_and_a_half_times_the_rate() -> None:
    found = rates("stress")
    assert found[-1] == (150.0, 150.0)
    assert [low for low, _ in found] == sorted(low for low, _ in found) and len(found) >= 3


def test_a_spike_goes_from_a_tenth_to_the_whole_rate_at_once_and_back() -> None:
    assert rates("spike") == [(10.0, 10.0), (100.0, 100.0), (10.0, 10.0)]


@pytest.mark.parametrize("shape", ["load", "soak", "smoke"])
def test_load_soak_and_smoke_hold_one_rate(shape: str) -> None:
    assert rates(shape) == [(100.0, 100.0)]


def test_a_day_has_its_low_in_the_night_and_reaches_the_rate_in_the_afternoon() -> None:
    made = stages("daily", 100.0, 240.0)
    assert len(made) == 24
    assert max(range(24), key=lambda h: made[h].start_rps) == 15
    assert min(range(24), key=lambda h: made[h].start_rps) == 3
    assert max(stage.start_rps for stage in made) == pytest.approx(100.0)
    assert all(before.end_rps == pytest.approx(after.start_rps) for before, after in pairwise(made))


def test_a_warm_up_comes_first_at_the_first_stages_rate_and_is_marked() -> None:
    made = stages("breakpoint", 100.0, 10.0, warmup_s=4.0)
    assert (made[0].name, made[0].duration_s, made[0].start_rps, made[0].warmup) == ("warmup", 4.0, 10.0, True)
    assert not any(stage.warmup for stage in made[1:]) and len(made) == 11


def test_an_unknown_shape_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"--shape wave: known shapes are smoke, load, stress"):
        stages("wave", 1, 1)


@pytest.mark.parametrize(("rate", "duration"), [(0.0, 10.0), (-1.0, 10.0), (10.0, 0.0)])
def test_a_shape_that_sends_nothing_is_refused(rate: float, duration: float) -> None:
    with pytest.raises(UsageError, match="sends nothing"):
        stages("load", rate, duration)
