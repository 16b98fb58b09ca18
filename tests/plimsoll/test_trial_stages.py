"""The stages of a trial: as long as the budget affords, unless so many requests tell enough, and none waits for another."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capacity.documents import stages_of
from capacity.judgement import FACTORS, order
from capacity.retest import Driven
from loadtests.arrivals import Process, Stage, schedule
from loadtests.search.growth import in_flight
from plimsoll import trial
from tests.loadtests.simulated_queues import through

sys.path.insert(0, str(Path(__file__).parents[1] / "capacity"))
from planted import Service
from planted import run as planted_run

BUDGET_S, CALM_S, PLACES = 150.0, 0.3, 8


def planned(window_s: float, budget_s: float = BUDGET_S, seed: int = 1) -> list[Stage]:
    turns = trial.rounds(window_s, budget_s, CALM_S)
    stage_s = trial.seconds(window_s, budget_s, turns, CALM_S)
    rounds = [trial.stages(26.0, order(seed + turn), turn, stage_s, CALM_S) for turn in range(1, turns + 1)]
    return [stage for stages in rounds for stage in stages]


def loaded_s(stages: list[Stage]) -> float:
    return sum(stage.duration_s for stage in stages if stage.start_rps)


def measured_s(stages: list[Stage]) -> list[float]:
    return [stage.duration_s for stage in stages if not stage.warmup]


def test_stages_are_as_long_as_those_that_the_line_was_read_from_and_a_larger_budget_repeats_them() -> None:
    assert measured_s(planned(20.0)) == pytest.approx([20.0] * 6)
    assert measured_s(planned(20.0, 300.0)) == pytest.approx([20.0] * 12)
    assert measured_s(planned(20.0, 3_000.0)) == pytest.approx([20.0] * 15)


@pytest.mark.parametrize("window_s", [24.0, 40.0, 300.0])
def test_where_the_budget_is_too_small_for_two_rounds_it_is_used_up_by_shorter_ones(window_s: float) -> None:
    assert loaded_s(planned(window_s)) == pytest.approx(BUDGET_S)
    assert len(measured_s(planned(window_s))) == 6


def test_a_stage_repeats_every_factor_once_a_round() -> None:
    names = [stage.name for stage in planned(20.0) if not stage.warmup]
    assert sorted(names) == sorted(f"x{factor:.2f}-{turn}" for factor in FACTORS for turn in (1, 2))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("carries", [0.75, 0.9, 1.0])
def test_no_stage_waits_for_what_another_left(carries: float, seed: int) -> None:
    """Of a prediction of 26 rps the service carries only so much; whatever piles up is gone before the next lead begins."""
    stages = planned(20.0, seed=seed)
    at_s = np.concatenate([times for times, _ in schedule(stages, Process("poisson"), seed)])
    done_s = through(at_s, np.full(len(at_s), PLACES / (26.0 * carries)), PLACES)
    begins_s = np.cumsum([0.0, *(stage.duration_s for stage in stages)])
    leads = [begin for stage, begin in zip(stages, begins_s[:-1], strict=True) if stage.name.startswith("lead-")]
    left = in_flight(at_s, done_s, np.array(leads) - 1e-6)
    warmed = [index % 3 == 0 for index in range(len(leads))]  # the first of a round follows its warming
    assert max(left[~np.array(warmed)]) < PLACES
    piled_up = in_flight(at_s, done_s, begins_s)
    assert carries == 1.0 or max(piled_up) > 50  # there was something to be worked off


def test_what_a_service_did_after_clients_had_given_up_is_driven_again_on_one_started_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A collapse in the third of six stages: the engine works on for those who left, and the next stages would be its."""
    calm = stages_of([planted_run(Service())])[0]
    started: list[list[str]] = []

    def driven(bench: Any, one: Any, stages: list[Stage]) -> tuple[list[Driven], str]:
        names = [stage.name for stage in stages if not stage.warmup]
        started.append(names)
        found = []
        for place, name in enumerate(names):
            gave_up = {"outcomes": {"timeout": 40}} if len(names) == 6 and place == 2 else {}
            stage = replace(calm, name=name, start_s=10.0 * place, overall={**calm.overall, **gave_up})
            found.append(Driven(float(name[1:5]), int(name[-1]), stage, "pass"))
        return found, spoiled_by_others if len(names) == 1 else ""

    spoiled_by_others = ""
    monkeypatch.setattr(trial, "_driven", driven)
    stages = planned(20.0)
    every = [stage.name for stage in stages if not stage.warmup]
    found, why_not, anew = trial._drive(*[None] * 2, stages)  # type: ignore[arg-type]
    assert started == [every, *[[name] for name in every[3:]]] and anew == 3
    assert sorted(one.stage.name for one in found) == sorted(every) and not why_not
    again = [stage.name.split("-")[0] for stage in trial.alone(stages, every[4])]
    assert again == ["warm", "lead", every[4].split("-")[0], "pause"]
    spoiled_by_others = "the generator starved"
    found, why_not, anew = trial._drive(*[None] * 2, stages)  # type: ignore[arg-type]
    assert [one.stage.name for one in found] == every[:3] and not why_not  # what counts stands
