"""Reading a re-test: where the SLO broke, what the factors say, and what can be tried on a small machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import judgement, retest
from capacity.crossing import crossing, span
from capacity.documents import RunDocuments, Stage, stages_of
from capacity.judgement import Retest
from measurements.interval import Interval

FACTORS = (0.9, 1.0, 1.15)


def tried(
    predicted_rps: float, service: Service | None = None, rounds: int = 2, seed: int = 1, **bench: Any
) -> RunDocuments:
    """A service driven at the factors of a prediction, `rounds` times; before each round its backlog is worked off."""
    rates = tuple(factor * predicted_rps for _ in range(rounds) for factor in (0.05, *FACTORS))
    made = run(service or Service(), Bench(rates=rates, stage_s=40, seed=seed, **bench))
    names = [
        name for turn in range(1, rounds + 1) for name in ("lead", *(retest.stage_name(one, turn) for one in FACTORS))
    ]
    stages = [stage | {"name": name} for stage, name in zip(made.summary["stages"], names, strict=True)]
    return replace(made, summary={**made.summary, "stages": stages})


def test_the_line_of_an_m_m_1_queue_is_found_from_three_factors_and_repeated() -> None:
    """Its p95 meets 500 ms up to 44 rps."""
    found = retest.line(retest.read([tried(44)]))
    assert found is not None and found.rps is not None
    assert found.rps == pytest.approx(44, rel=0.08) and len(found.repeats) == 2


def test_no_line_is_put_above_what_overloaded_stages_completed_but_what_was_met_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """4 places of a second each: in 40 s the wait at 4.7 a second grows to 7 s and no further."""
    service = Service(servers=4, service_ms=1000, cpu_ms=3, variation="constant")
    slo = {"all": {"p95_ms": 8_000.0, "error_rate": 0.05}}
    tries = [retest.read([tried(4.6, service, seed=seed, slo=slo)]) for seed in range(1, 9)]
    found = np.array([one.rps for driven in tries if (one := retest.line(driven))], dtype=float)
    held = np.array([max(one.stage.rate_rps for one in driven if one.verdict == "pass") for driven in tries])
    monkeypatch.setattr(retest, "_sustained", lambda rps, driven: rps)
    as_crossed = np.array([one.rps for driven in tries if (one := retest.line(driven))], dtype=float)
    assert np.median(found) < 0.97 * np.median(as_crossed)
    assert np.all((abs(found / 4 - 1) < 0.06) | (found <= held + 1e-9) | (found == as_crossed))


def test_a_prediction_far_too_low_leaves_a_lower_bound_and_far_too_high_an_upper_one() -> None:
    low, high = (retest.line(retest.read([tried(rate)])) for rate in (20, 80))
    assert low is not None and low.rps is None and low.at_most_rps is None and (low.at_least_rps or 0) > 20
    assert high is not None and high.rps is None and high.at_least_rps is None and (high.at_most_rps or 99) < 80


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


def test_replicas_that_would_wait_for_a_shared_core_are_tried_only_where_that_can_be_overlooked() -> None:
    four = {"cores": 2, "workers": 4, "generator_cores": 1, "busy_cores": 0.5}
    assert judgement.slowed_here(**four, cpu_share=0.01) == ""
    said = judgement.slowed_here(**four, cpu_share=0.07)
    assert (
        "4 worker(s) that share 1 core(s), busy to 50%, would take some 7% longer" in said
        and "5 cores would do" in said
    )
    assert judgement.slowed_here(**{**four, "busy_cores": 0.25}, cpu_share=0.07) == ""
    assert judgement.slowed_here(**{**four, "cores": 5}, cpu_share=0.9) == ""
    assert judgement.slowed_here(**four, cpu_share=None) == ""


class TestBounds:
    """Where no figure crossed its limit the line is known to lie beyond a rate, or between two, and is no number."""

    PREDICTED = Interval(7.7, 8.8, 8.9, 0.9)

    def at(self, *judged: tuple[float, str]) -> list[retest.Driven]:
        """Stages whose figures never cross, judged by what piled up: as where a backlog grows before a quantile is over."""
        calm = stages_of([run(Service(service_ms=1), Bench(rates=(10,)))])[0]
        return [
            retest.Driven(rate / 8.8, turn, replace(calm, rate_rps=rate), verdict)
            for turn, (rate, verdict) in enumerate(judged)
        ]

    def outcome_of(self, *judged: tuple[float, str]) -> Retest:
        driven = self.at(*judged)
        found = retest.line(driven)
        assert found is not None
        return retest.tests("capacity with 4 replicas", self.PREDICTED, driven, found)[0]

    def test_a_rate_that_was_met_is_no_measurement_of_the_line(self) -> None:
        """The rates are factors of the prediction, so that the highest one met would agree with it by itself."""
        test = self.outcome_of((7.92, "pass"), (8.8, "pass"), (10.12, "miss"))
        assert test.measured is None and (test.at_least, test.at_most) == (8.8, 10.12)
        assert test.within is None and "decides nothing" in test.note
        assert judgement.verification("x", [test])["verdict"] == "UNDECIDED"

    def test_a_bound_beyond_the_interval_decides_against_it_and_two_inside_it_for_it(self) -> None:
        assert self.outcome_of((7.92, "pass"), (9.5, "pass")).within is False
        assert self.outcome_of((5.0, "miss"), (9.5, "miss")).within is False
        assert self.outcome_of((7.92, "pass"), (8.8, "miss")).within is True
        assert self.outcome_of((7.92, "pass"), (8.8, "unclear")).within is None

    def test_contradicting_stages_bound_nothing_and_say_so(self) -> None:
        test = self.outcome_of((7.92, "miss"), (8.8, "pass"))
        assert test.within is None and "contradict each other" in test.note and not test.is_capacity
        factor = Retest("driven", 1.0, self.PREDICTED, 8.8, slo="met")
        assert judgement.verification("x", [test, factor])["verdict"] == "UNDECIDED"

    def test_stages_that_nobody_can_judge_give_no_line(self) -> None:
        assert retest.line(self.at((8.8, "unclear"))) is None and retest.line([]) is None

    def test_the_line_is_driven_on_to_where_it_can_still_be(self) -> None:
        def further(*judged: tuple[float, str]) -> tuple[float, ...]:
            found = retest.line(self.at(*judged))
            assert found is not None
            return found.further()

        assert all(rate > 10 for rate in further((8, "pass"), (10, "pass")))
        assert all(rate < 8 for rate in further((8, "miss"), (10, "miss")))
        assert all(8 < rate < 10 for rate in further((8, "pass"), (10, "miss")))
        assert further((8, "pass"), (8.3, "miss")) == ()  # no line is known better than by a twentieth

    def test_a_line_that_was_crossed_is_driven_no_further(self) -> None:
        found = retest.line(retest.read([tried(44)]))
        assert found is not None and found.further() == ()


def test_a_percentile_that_correlated_answers_cannot_carry_draws_the_line_by_what_the_sample_showed() -> None:
    """By its lower bound the line of a slow service came out 8 % too high."""
    stages = stages_of([run(Service(service_ms=1), Bench())])

    def told(sure: bool) -> list[Stage]:
        found = []
        for stage in stages:
            p95_ms = 500 * (stage.rate_rps / 44) ** 4
            own = {"p95": p95_ms, "bounds": {}}
            bounded = {"p95": None, "bounds": {"p95": {"at_least": 0.7 * p95_ms, "sample": p95_ms}}}
            times = {**stage.overall["response_ms"], "ci95": {}, **(own if sure else bounded)}
            found.append(replace(stage, overall={**stage.overall, "response_ms": times}))
        return found

    assert crossing(told(sure=False)) == crossing(told(sure=True)) == pytest.approx(44)


def test_the_repeats_of_a_factor_are_averaged_first_so_that_chance_moves_the_line_less() -> None:
    """Four rounds around 7.5 rps, where the p95 rises as the 8th power of the rate, each stage's off by a third."""
    calm = stages_of([run(Service(service_ms=1), Bench(rates=(10,), slo={"all": {"p95_ms": 1_000.0}}))])[0]
    random = np.random.default_rng(1)

    def stage(factor: float, turn: int) -> retest.Driven:
        rate_rps = 7.5 * factor * float(random.normal(1, 0.06))
        p95_ms = 1_000 * (rate_rps / 7.5) ** 8 * float(np.exp(random.normal(0, 0.35)))
        times = {**calm.overall["response_ms"], "p95": p95_ms, "ci95": {}}
        mine = replace(calm, rate_rps=rate_rps, overall={**calm.overall, "response_ms": times})
        return retest.Driven(factor, turn, mine, "pass" if p95_ms <= 1_000 else "miss")

    single, averaged = [], []
    for _ in range(60):
        driven = [stage(factor, turn) for turn in range(4) for factor in judgement.FACTORS]
        together, found = crossing([one.stage for one in driven]), retest.line(driven)
        if together is not None and found is not None and found.rps is not None:
            single.append(together)
            averaged.append(found.rps)
    assert len(averaged) >= 50
    assert np.std(averaged) < 0.8 * np.std(single)
    assert np.mean(averaged) == pytest.approx(7.5, rel=0.03)
