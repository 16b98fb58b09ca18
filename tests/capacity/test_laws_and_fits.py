"""Identities and straight lines on numbers whose answer is known."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import demand, fits, laws, memory, thumb
from capacity.documents import stages_of
from capacity.growth import Growth
from capacity.plan import make_plan
from measurements.errors import UsageError
from reports.advice import advise
from reports.terminal import summary_lines
from reports.wording import Words


def test_littles_law_holds_in_every_steady_stage_of_an_honest_run() -> None:
    checks = laws.check(stages_of([run(Service(), Bench(stage_s=30))]))
    assert sum(check.law == "N = X·R" for check in checks) >= 3
    assert all(check.holds for check in checks)


def test_a_wrong_number_in_flight_breaks_littles_law() -> None:
    measured = run(Service(), Bench(stage_s=30))
    measured.summary["stages"][1]["in_flight_mean"] *= 3
    assert not all(check.holds for check in laws.check(stages_of([measured])))


class TestABrokenLawIsSaidInThePlan:
    def test_with_both_sides_of_it_and_what_to_do(self) -> None:
        measured = run(Service(), Bench(stage_s=30))
        measured.summary["stages"][1]["in_flight_mean"] *= 3
        measured.summary["stages"][2]["in_flight_mean"] *= 6
        plan = make_plan([measured], 60).as_json()
        (doubt,) = plan["doubts"]
        assert "Little's law does not hold at step-03" in doubt["reason"] and plan["indicative"]
        assert "plimsoll run planted.toml --shape breakpoint" in doubt["remedy"]

    def test_more_cores_used_than_there_are_is_said_too(self) -> None:
        measured = run(Service(), Bench(stage_s=30))
        measured.summary["stages"][2]["resources"]["target"]["cpu_s"] = 30 * 2.5
        (doubt,) = make_plan([measured], 60).as_json()["doubts"]
        assert "step-03 used 2.6 cores where the machine has 2" in doubt["reason"]

    @pytest.mark.parametrize("seed", range(1, 6))
    def test_an_honest_run_has_none(self, seed: int) -> None:
        for service in (Service(), Service(servers=4, service_ms=100, cpu_ms=2), Service(servers=50, cpu_ms=2)):
            assert make_plan([run(service, Bench(seed=seed))], 60).as_json()["doubts"] == []

    def test_the_terminal_and_the_report_show_it_in_the_reports_language(self) -> None:
        measured = run(Service(), Bench(stage_s=30))
        measured.summary["stages"][1]["in_flight_mean"] *= 3
        plan = make_plan([measured], 60).as_json()
        lines = summary_lines(measured.summary, {"valid": True, "checks": []}, plan, "report.html")
        assert any("Little's law does not hold at step-02" in line for line in lines)
        assert any("Little's law does not hold" in note for note in advise(plan, Words("en")).notes)
        assert any("리틀의 법칙이 성립하지 않습니다" in note for note in advise(plan, Words("ko")).notes)


def test_the_interval_of_a_slope_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    x = np.linspace(10, 100, 10)
    inside = 0
    for _ in range(400):
        y = 0.1 + 0.005 * x + rng.normal(0, 0.02, 10)
        found = fits.line({"x": x.tolist()}, y.tolist(), [1.0] * 10)
        assert found is not None
        inside += found.slopes["x"].contains(0.005)
    assert 0.85 <= inside / 400 <= 0.95


def test_two_columns_that_rise_together_are_not_told_apart() -> None:
    x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert fits.line({"a": x, "b": [value * 2 for value in x]}, x, [1.0] * 6) is None


def test_endpoints_get_their_own_demand_where_the_mix_varies() -> None:
    light = run(Service(servers=50, cpu_ms=4), Bench(endpoints={"search": 1.0, "generate": 1e-9}, seed=1))
    heavy = run(
        Service(servers=50, cpu_ms=12),
        Bench(endpoints={"search": 1e-9, "generate": 1.0}, rates=tuple(range(5, 55, 5)), seed=2),
    )
    found = demand.fit(stages_of([light, heavy]), "target", lambda stage: stage.cores("target"))
    assert isinstance(found, demand.ServiceDemand)
    assert found.per_endpoint_s["search"].mid == pytest.approx(0.004, rel=0.05)
    assert found.per_endpoint_s["generate"].mid == pytest.approx(0.012, rel=0.05)


def test_one_mix_alone_gives_only_the_demand_of_the_mix() -> None:
    found = demand.fit(
        stages_of([run(Service(), Bench(endpoints={"search": 7, "generate": 3}))]),
        "target",
        lambda s: s.cores("target"),
    )
    assert isinstance(found, demand.ServiceDemand) and found.per_endpoint_s == {}


def test_memory_per_request_in_flight_is_found() -> None:
    found = memory.fit(stages_of([run(Service(rss_mib=300, rss_per_in_flight_mib=2.0))]))
    assert isinstance(found, memory.MemoryModel) and found.per_in_flight_mib is not None
    assert found.base_mib.mid == pytest.approx(300, rel=0.02)
    assert found.per_in_flight_mib.mid == pytest.approx(2.0, rel=0.05)


def test_the_rule_of_thumb_is_the_teams() -> None:
    assert (thumb.cores(50), thumb.memory_mb(50)) == (pytest.approx(10.5), pytest.approx(5912.4))


class TestGrowth:
    START = date(2025, 1, 1)

    def test_ten_percent_a_month_doubles_in_seven_and_a_quarter(self) -> None:
        growth = Growth.parse("10%/month", "12m", self.START)
        assert growth.at_horizon(10) == pytest.approx(31.38, rel=0.001)
        assert growth.reaches(10, 20) == date(2025, 8, 10)

    def test_a_line_already_passed_was_passed_today_and_shrinking_demand_never_passes_one(self) -> None:
        assert Growth(0.1, 12, self.START).reaches(30, 20) == self.START
        assert Growth(-0.1, 12, self.START).reaches(10, 20) is None

    @pytest.mark.parametrize(
        ("growth", "horizon"), [("ten", "12m"), ("10%", "12m"), ("10%/month", "soon"), ("-100%/month", "1y")]
    )
    def test_what_is_not_understood_says_how_to_write_it(self, growth: str, horizon: str) -> None:
        with pytest.raises(UsageError, match="write it like"):
            Growth.parse(growth, horizon, self.START)
