"""Slow replicas, the services' own words, memory that grows, and production's record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import production, service_times
from capacity.memory import MemoryModel
from capacity.plan import make_plan
from capacity.production import Window
from measurements.interval import Interval, Refusal

POOL = Service(servers=4, service_ms=100, cpu_ms=2, timeout_s=3)


def kind_of(plan: object) -> str:
    return plan.bottleneck.kind  # type: ignore[attr-defined,no-any-return]


class TestSlowReplica:
    def replicas(self, slow: float) -> dict[str, dict[str, object]]:
        rng = np.random.default_rng(2)
        replica = rng.integers(0, 4, 4000)
        times = rng.exponential(50, 4000) * np.where(replica == 2, slow, 1.0)
        return service_times.by_replica(replica, np.ones(4000, dtype=bool), times)

    def test_one_of_four_that_is_three_times_slower_is_found_by_number(self) -> None:
        plan = make_plan([replace(run(Service()), replica_times=self.replicas(3.0))], 120)
        assert kind_of(plan) == "slow_replica"
        assert plan.bottleneck is not None and "replica 2" in plan.bottleneck.evidence[0]
        assert any("mend or replace it" in refusal.reason for refusal in plan.refusals)

    def test_four_alike_are_not(self) -> None:
        plan = make_plan([replace(run(Service()), replica_times=self.replicas(1.0))], 120)
        assert kind_of(plan) == "cpu_one_core"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 0 reached, connection timed out",
            "connection_pool",
        ),
        ("(sqlite3.OperationalError) database is locked", "lock"),
        ('{"type": "overloaded_error", "message": "Overloaded"}', "upstream"),
        ("something went wrong", "unidentified"),
    ],
)
def test_what_the_services_errors_say_names_what_is_waited_for(text: str, kind: str) -> None:
    errors = [{"excerpt": text, "count": 900}, {"excerpt": "read timed out", "count": 50}]
    assert kind_of(make_plan([replace(run(POOL), errors=errors)], 120)) == kind


def test_memory_kept_per_request_gives_the_hours_between_restarts() -> None:
    model = MemoryModel(Interval(190, 200, 210, 0.9), None, Interval(0.9, 1.0, 1.1, 0.9), 400, "")
    assert model.hours_to(700, 10) == pytest.approx(500 / (0.001 * 10) / 3600)
    assert replace(model, growth_mib_per_1000=Interval(-0.1, 0.5, 1.1, 0.9)).hours_to(700, 10) is None


class TestProduction:
    LIMITS = {"p95_ms": 500.0, "error_rate": 0.01}  # noqa: RUF012 - never changed

    def windows(self, line_rps: float, seed: int = 1) -> list[Window]:
        rng = np.random.default_rng(seed)
        rates = rng.uniform(5, 60, 200)
        slow = rates * rng.normal(1, 0.05, 200) > line_rps
        return [
            Window(float(rate), 0.0, {"p95_ms": 900.0 if late else 200.0})
            for rate, late in zip(rates, slow, strict=True)
        ]

    def test_the_line_that_production_shows_is_found_among_noise(self) -> None:
        found = production.observed_line(self.windows(40), self.LIMITS)
        assert isinstance(found, production.Observed) and not found.untold
        assert found.rps == pytest.approx(40, rel=0.08)

    def test_a_limit_that_the_log_does_not_tell_is_neither_met_nor_missed(self) -> None:
        """What is known gives a bound; a log without times gives nothing, and says what would."""
        found = production.observed_line(self.windows(40), {**self.LIMITS, "ttft_p95_ms": 300.0})
        assert isinstance(found, production.Observed) and found.untold == ("ttft_p95_ms",)
        entry = production.entry("2025-01-01", Interval(30, 35, 38, 0.9), found, 1.0, "abc")
        assert entry.measured is None and entry.at_most == found.rps and entry.within is None
        timeless = [replace(window, times_ms={}) for window in self.windows(40)]
        for limits in ({"p95_ms": 500.0}, {"p50_ms": 1.0}, {"p99_ms": 1.0}):
            refused = production.observed_line(timeless, limits)
            assert isinstance(refused, Refusal) and "does not tell p" in refused.reason

    def test_windows_of_too_few_requests_for_a_percentile_are_not_counted_as_met(self) -> None:
        some = self.windows(40)
        blind = [replace(window, times_ms={}) for window in some[: len(some) // 2]]
        only_blind_and_late = [*blind, *(w for w in some if w.times_ms["p95_ms"] > 500)]
        refused = production.observed_line(only_blind_and_late, self.LIMITS)
        assert isinstance(refused, Refusal) and "at every rate" in refused.reason

    def test_each_refusal_names_a_command(self) -> None:
        for line in (100, 1):
            refused = production.observed_line(self.windows(line), self.LIMITS, "plimsoll ledger observe review a.log")
            assert isinstance(refused, Refusal) and refused.remedy.startswith("plimsoll ")

    def test_production_that_never_came_near_says_nothing(self) -> None:
        refused = production.observed_line(self.windows(100), self.LIMITS)
        assert isinstance(refused, Refusal) and "its line is not known" in refused.reason
        assert isinstance(production.observed_line(self.windows(1), self.LIMITS), Refusal)
        assert isinstance(production.observed_line(self.windows(40)[:5], self.LIMITS), Refusal)


def test_simple_laws_stand_beside_the_answer() -> None:
    found = make_plan([run(Service(), Bench(stage_s=60))], 120).as_json()["cross_checks"]
    assert found["scalability"] is None or found["scalability"]["one_rps"]["mid"] > 0
    rows = found["waiting"]
    assert len(rows) >= 3
    assert rows[-1]["kingman_ms"] == pytest.approx(rows[-1]["measured_ms"], rel=0.5)


def test_a_core_that_is_full_in_one_overloaded_stage_of_many_is_not_what_binds() -> None:
    measured = run(Service())
    for stage in measured.summary["stages"][6:]:
        stage["resources"]["target"] |= {"busiest_process_cores": 0.3, "cpu_s": 3.6}
    assert kind_of(make_plan([measured], 120)) == "unidentified"
