"""How long the stages of a trial last: as long as the budget affords, unless so many requests tell enough."""

import pytest

from capacity.judgement import FACTORS
from plimsoll import trial

ROUNDS, BUDGET_S, CALM_S = 2, 150.0, 0.3


def planned_s(rate_rps: float) -> float:
    stage_s = trial.seconds(rate_rps, BUDGET_S, ROUNDS, CALM_S)
    turns = [trial.stages(rate_rps, FACTORS, turn, stage_s, CALM_S) for turn in range(1, ROUNDS + 1)]
    return sum(stage.duration_s for stages in turns for stage in stages)


@pytest.mark.parametrize("rate_rps", [2.0, 26.0, 93.0])
def test_a_trial_takes_the_load_seconds_that_it_was_given(rate_rps: float) -> None:
    assert 0.9 * BUDGET_S <= planned_s(rate_rps) <= BUDGET_S


def test_a_fast_service_is_tried_only_until_its_requests_tell_enough() -> None:
    assert trial.seconds(400.0, BUDGET_S, ROUNDS, CALM_S) == pytest.approx(trial.ENOUGH / 400.0)
    assert planned_s(1_000.0) < BUDGET_S / 2
