"""What chance does to a short stage is not taken for a backlog."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from planted import Bench, Service, run

from capacity import edge, model, plateau
from capacity.documents import stages_of
from measurements.interval import Interval

WIDE_OPEN = Service(servers=200, service_ms=2500, cpu_ms=3)
SLOW = {"all": {"p95_ms": 20_000.0, "error_rate": 0.05}}


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_few_slow_requests_in_short_stages_are_no_saturation(seed: int) -> None:
    bench = Bench(rates=tuple(range(1, 11)), stage_s=10, slo=SLOW, seed=seed)
    stages = stages_of([run(WIDE_OPEN, bench)])
    assert plateau.find(stages) is None
    assert not any(judged.verdict == "miss" for judged in edge.find(stages).judged)


def test_few_requests_that_kept_a_limit_count_with_those_under_more_load() -> None:
    """A rare endpoint has no ten requests in a short stage; the line is drawn all the same, as indicative."""
    slo = {"all": {"error_rate": 0.05}, "rare": {"p95_ms": 5_000.0}}
    bench = Bench(stage_s=8, slo=slo, endpoints={"often": 0.97, "rare": 0.03})
    found = edge.find(stages_of([run(Service(servers=2, service_ms=40, cpu_ms=4, queue=4), bench)]))
    first = found.judged[0]
    assert first.stage.endpoints["rare"]["count"] < edge.ENOUGH and first.verdict == "pass" and not first.sure
    assert found.capacity is not None and 20 < found.capacity.mid < 60

    late = replace(first.stage, endpoints=first.stage.endpoints | {"rare": slower(first.stage.endpoints["rare"])})
    assert edge.judge(late, [one.stage for one in found.judged[1:]]).verdict == "unclear"


def slower(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"response_ms": entry["response_ms"] | {"max": 6_000.0}}


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_quarter_more_than_the_service_can_do_is_seen_in_half_a_minute(seed: int) -> None:
    stages = stages_of([run(Service(service_ms=10, cpu_ms=10), Bench(rates=(50, 125), stage_s=30, seed=seed))])
    assert stages[-1].backlog_grew and not stages[0].backlog_grew


def test_a_plateau_cuts_the_line_from_above_and_leaves_its_middle_where_it_was_measured() -> None:
    assert below(9.3, Interval(4.4, 8.8, 13.2, 0.9)) == Interval(4.4, 8.8, 9.3, 0.9)
    assert below(9.0, Interval(4.4, 6.0, 8.5, 0.9)) == Interval(4.4, 6.0, 8.5, 0.9)


def test_what_a_plateau_cuts_off_leaves_the_line_as_uncertain_as_any_line_is() -> None:
    assert below(9.0, Interval(4.4, 9.8, 13.2, 0.9)) == Interval(4.4, 8.6, 8.6 * 1.05, 0.9)
    assert below(9.0, Interval(8.9, 9.8, 13.2, 0.9)) == Interval(8.9 * 0.95, 8.9, 8.9 * 1.05, 0.9)


def test_a_plateau_a_little_below_what_was_shown_to_hold_leaves_that_with_its_spread() -> None:
    assert below(8.8, Interval(8.9, 9.8, 13.2, 0.9)) == Interval(8.9 * 0.95, 8.9, 8.9 * 1.05, 0.9)


def test_a_collapse_cuts_nothing() -> None:
    assert below(2.0, Interval(2.2, 3.8, 4.3, 0.9), "collapse") == Interval(2.2, 3.8, 4.3, 0.9)


def test_a_share_of_failures_that_chance_makes_of_one_over_its_limit_is_met_but_not_surely() -> None:
    stage = stages_of([run(Service(service_ms=2, cpu_ms=2), Bench(rates=(40,), stage_s=20, slo=SLOW))])[0]
    count = stage.overall["count"]
    verdicts = []
    for failed in (0, count // 50, count // 21, count // 10):
        judged = edge.judge(
            replace(stage, overall=stage.overall | {"ok": count - failed, "error_rate": failed / count})
        )
        verdicts.append((judged.verdict, judged.sure))
    assert verdicts == [("pass", True), ("pass", True), ("pass", False), ("miss", True)]


def below(plateau_high_rps: float, line: Interval, shape: str = "flat") -> Interval | None:
    rate = Interval(plateau_high_rps - 0.8, plateau_high_rps - 0.4, plateau_high_rps, 0.9)
    return model._below_plateau(line, plateau.Plateau(rate, [], shape, is_end=shape == "flat"))


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_service_that_works_on_for_clients_that_gave_up_is_not_judged_by_what_it_answers_then(seed: int) -> None:
    """Ten a second at most; beyond, soon nobody who still waits is answered."""
    patience = Service(servers=10, service_ms=1000, cpu_ms=3, variation="constant", timeout_s=2)
    slo = {"all": {"p95_ms": 1800.0, "error_rate": 0.05}}
    fitted = model.fit([run(patience, Bench(rates=(2, 4, 5.5, 7, 13, 16, 19), stage_s=40, slo=slo, seed=seed))])
    assert isinstance(fitted, model.Model) and fitted.plateau is not None and fitted.capacity_rps is not None
    assert fitted.plateau.shape == "collapse"
    assert max(stage.ok_rps for stage in fitted.plateau.stages) < 5 < fitted.plateau.rate_rps.low
    assert fitted.capacity_rps.low < 9.6 < fitted.capacity_rps.high
    assert fitted.capacity_rps.relative_half_width >= edge.SPREAD


@pytest.mark.parametrize("seed", range(1, 5))
def test_where_a_figure_jumps_between_two_stages_the_line_may_be_anywhere_between_them(seed: int) -> None:
    """Of a service of 10 a second, between stages at 7 and at 13: interpolated from half a failure its edge is lower."""
    patience = Service(servers=10, service_ms=1000, cpu_ms=3, variation="constant", timeout_s=2)
    slo = {"all": {"error_rate": 0.05}}
    stages = stages_of([run(patience, Bench(rates=(2, 4, 5.5, 7, 13, 16, 19), stage_s=40, slo=slo, seed=seed))])
    found = edge.find(stages).capacity
    rates = [stage.rate_rps for stage in stages]
    assert found is not None and found.high == min(rate for rate in rates if rate > 10)
    assert found.low <= max(rate for rate in rates if rate < 10)
    assert found.mid == pytest.approx(9.5, rel=0.06)


def test_a_stage_that_was_met_while_its_backlog_grew_puts_no_line_above_what_the_service_completes() -> None:
    """4 places of a second each: 4.6 a second meet 15 s in a minute, because the wait has not grown to that yet; far beyond
    nobody who still waits is answered, so that the throughput collapses."""
    patience = Service(servers=4, service_ms=1000, cpu_ms=3, variation="constant", timeout_s=30)
    slo = {"all": {"p95_ms": 15_000.0, "error_rate": 0.05}}
    fitted = model.fit([run(patience, Bench(rates=(1, 2, 3, 3.6, 4.6, 5.2, 14, 16), stage_s=60, slo=slo))])
    assert isinstance(fitted, model.Model) and fitted.plateau is not None and fitted.capacity_rps is not None
    assert fitted.plateau.shape == "collapse" and fitted.plateau.is_end
    assert fitted.edge.capacity is not None and fitted.edge.capacity.mid > 4.4
    assert fitted.capacity_rps.mid == pytest.approx(4.0, rel=0.06)
