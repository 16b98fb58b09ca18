"""Reading a re-test: where the SLO broke, what the factors say, and what can be tried on a small machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planted import Bench, Service, run

from capacity import judgement, retest
from capacity.crossing import crossing, span
from capacity.documents import RunDocuments, stages_of
from capacity.judgement import Retest
from measurements.interval import Interval

FACTORS = (0.9, 1.0, 1.15)


def tried(predicted_rps: float, service: Service | None = None, rounds: int = 2, seed: int = 1) -> RunDocuments:
    """A service driven at the factors of a prediction, `rounds` times."""
    rates = tuple(factor * predicted_rps for _ in range(rounds) for factor in FACTORS)
    made = run(service or Service(), Bench(rates=rates, stage_s=40, seed=seed))
    names = [retest.stage_name(factor, turn) for turn in range(1, rounds + 1) for factor in FACTORS]
    stages = [stage | {"name": name} for stage, name in zip(made.summary["stages"], names, strict=True)]
    return replace(made, summary={**made.summary, "stages": stages})


def test_the_line_of_an_m_m_1_queue_is_found_from_three_factors_and_repeated() -> None:
    """Its p95 meets 500 ms up to 44 rps."""
    found = retest.line(retest.read([tried(44)]))
    assert found is not None and not found.bound
    assert found.rps == pytest.approx(44, rel=0.08) and len(found.repeats) == 2


def test_a_prediction_far_too_low_leaves_a_lower_bound_and_far_too_high_an_upper_one() -> None:
    low, high = (retest.line(retest.read([tried(rate)])) for rate in (20, 80))
    assert low is not None and low.bound == "at least" and low.rps > 20
    assert high is not None and high.bound == "at most" and high.rps < 80


def test_a_factor_agrees_unless_the_slo_held_above_or_broke_below_the_interval() -> None:
    predicted = Interval(40, 44, 48, 0.9)
    for rate, slo, agrees in ((39, "missed", False), (39, "met", True), (44, "missed", True), (50, "met", False)):
        assert Retest("x", 1.0, predicted, rate, slo=slo).within is agrees
    assert Retest("x", 1.0, predicted, 44, slo="unclear").within is None


def test_only_capacities_go_on_record_not_factors() -> None:
    predicted = Interval(40, 44, 48, 0.9)
    driven = retest.read([tried(44)])
    found = retest.line(driven)
    assert found is not None
    tests = retest.tests("capacity as measured", predicted, driven, found)
    assert tests[0].factor is None and sorted(test.factor or 0 for test in tests[1:]) == sorted([*FACTORS, *FACTORS])
    entries = judgement.entries("abc", tests, "line", 88.0, "2025-01-01")
    assert len(entries) == 1 and entries[0].extrapolation == 0.5 and entries[0].plan_sha256 == "abc"


def test_the_interval_of_a_figure_gives_the_interval_of_the_rate() -> None:
    stages = stages_of([run(Service(), Bench(stage_s=40))])
    low, high = span(stages)
    middle = crossing(stages)
    assert low is not None and middle is not None and high is not None
    assert low < middle < high and low < 44 < high


def test_workers_that_hardly_need_cpu_can_share_a_core_and_others_cannot() -> None:
    assert judgement.testable_here(2, 4, busy_cores=0.3) == ""
    assert "busy with 0.9 cores' worth" in judgement.testable_here(2, 4, busy_cores=0.9)
    assert "need 5 cores" in judgement.testable_here(2, 4)
