"""Where the data cannot carry an answer, the plan says which measurement is missing and the command that makes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from planted import Bench, Service, run

from capacity import edge
from capacity.documents import RunDocuments, stages_of
from capacity.plan import Plan, make_plan


def fields(plan: Plan) -> dict[str, str]:
    for refusal in plan.refusals:
        assert "plimsoll " in refusal.remedy, refusal
    return {refusal.field: refusal.reason for refusal in plan.refusals}


def test_no_run_at_all_is_a_plan_of_refusals() -> None:
    plan = make_plan([], 10)
    assert plan.only_refusals and "no run was given" in fields(plan)["capacity_rps"]


def test_an_invalid_run_gives_no_number_and_repeats_its_remedy() -> None:
    measured = run(Service())
    check = {
        "check": "generator_cpu",
        "state": "invalid",
        "sentence": "the generator was busy",
        "remedy": "use --workers 2",
    }
    plan = make_plan([replace(measured, validity={"valid": False, "checks": [check]})], 10)
    assert plan.only_refusals and plan.capacity_rps is None
    assert "the generator was busy" in fields(plan)["capacity_rps"]
    assert "use --workers 2" in plan.refusals[0].remedy


def test_a_service_that_never_fails_has_only_a_lower_bound() -> None:
    plan = make_plan([run(Service(servers=50, cpu_ms=2))], 150)
    assert plan.capacity_rps is None and plan.capacity_at_least_rps is not None and plan.capacity_at_least_rps > 90
    assert "capacity is at least" in fields(plan)["capacity_rps"]
    assert plan.scale_out[0]["replicas"] is None and plan.scale_out[0]["replicas_at_most"] >= 3
    assert not plan.only_refusals


def test_a_service_that_always_fails_has_none() -> None:
    plan = make_plan([run(Service(service_ms=2000, cpu_ms=2))], 10)
    assert plan.only_refusals and "no stage met the SLO" in fields(plan)["capacity_rps"]


def test_one_stage_is_too_few_but_what_it_met_is_a_lower_bound() -> None:
    plan = make_plan([run(Service(), Bench(rates=(20.0,)))], 10)
    assert plan.capacity_rps is None and "at least 3 stages" in fields(plan)["capacity_rps"]
    assert plan.capacity_at_least_rps is not None and 15 < plan.capacity_at_least_rps < 25
    missed = make_plan([run(Service(), Bench(rates=(90.0,)))], 10)
    assert missed.only_refusals and missed.capacity_at_least_rps is None


def test_a_pass_far_beyond_a_sure_miss_is_a_contradiction() -> None:
    measured = run(Service(servers=50, cpu_ms=2), Bench(stage_s=30))
    summary = json.loads(json.dumps(measured.summary))
    summary["stages"][3]["all"]["error_rate"] = 0.5
    summary["stages"][3]["all"]["ok"] = summary["stages"][3]["all"]["count"] // 2
    plan = make_plan([replace(measured, summary=summary)], 10)
    assert "contradict" in fields(plan)["capacity_rps"]


def changed(measured: RunDocuments, **run_keys: object) -> RunDocuments:
    return replace(measured, run={**measured.run, **run_keys}, path="runs/other")


def test_runs_of_different_hosts_contracts_or_commits_are_not_mixed() -> None:
    measured = run(Service())
    other_host = changed(measured, host={**measured.run["host"], "cpu_model": "EPYC"})
    other_commit = changed(measured, git_commit="def")
    contract = {**measured.contract, "resources": {"workers": 4}}
    for other, word in (
        (other_host, "cpu_model"),
        (other_commit, "commit"),
        (changed(measured, contract=contract), "contract"),
    ):
        plan = make_plan([measured, other], 10)
        assert plan.only_refusals and word in fields(plan)["capacity_rps"]


def test_two_runs_of_one_service_are_read_together() -> None:
    plan = make_plan([run(Service(), Bench(seed=1)), replace(run(Service(), Bench(seed=2)), path="runs/second")], 60)
    assert plan.capacity_rps is not None and len(plan.as_json()["stages"]) == 20


def test_without_a_demand_it_plans_for_what_was_found_and_twice_that_and_says_so() -> None:
    plan = make_plan([run(Service())], None)
    assert plan.capacity_rps is not None
    mid = plan.capacity_rps.mid
    assert [option["demand_rps"] for option in plan.scale_out] == [mid, 2 * mid]
    assert "no demand was given" in plan.demand.note and "no demand was given" in plan.sentence


def test_one_machine_for_more_than_ten_times_what_was_measured_is_refused() -> None:
    plan = make_plan([run(Service())], 5000)
    assert plan.scale_up == [] and "10 times the highest rate" in fields(plan)["scale_up"]


def test_nothing_is_said_about_loads_beyond_one_and_a_half_times_those_measured() -> None:
    plan = make_plan([run(Service(servers=50, cpu_ms=2))], 150)
    assert plan.bottleneck is not None and plan.bottleneck.next is not None
    assert plan.bottleneck.next.at_rps is None and plan.bottleneck.next.at_least_rps is not None


def with_stages(measured: RunDocuments, change: Callable[[int, dict[str, Any]], None]) -> RunDocuments:
    summary = json.loads(json.dumps(measured.summary))
    for number, stage in enumerate(summary["stages"]):
        change(number, stage)
    return replace(measured, summary=summary)


class TestStagesThatDoNotStandStill:
    def drifting(self, *numbers: int) -> RunDocuments:
        def drift(number: int, stage: dict[str, Any]) -> None:
            if number in numbers:
                stage["state"] = "not_steady"

        return with_stages(run(Service()), drift)

    def test_where_none_that_met_the_slo_stood_still_no_line_is_drawn(self) -> None:
        plan = make_plan([self.drifting(*range(8))], 60)
        assert plan.capacity_rps is None and plan.capacity_at_least_rps is None
        assert "did not stand still" in fields(plan)["capacity_rps"]
        remedy = next(refusal.remedy for refusal in plan.refusals if refusal.field == "capacity_rps")
        assert "--warmup" in remedy and "--duration" in remedy

    def test_a_first_stage_that_warmed_up_costs_no_line(self) -> None:
        plan = make_plan([self.drifting(0, 1)], 60)
        assert plan.capacity_rps is not None and "capacity_rps" not in fields(plan)

    def test_the_duration_asked_for_is_twice_what_was_too_short(self) -> None:
        found = edge.find(stages_of([self.drifting(*range(8))]))
        assert f"--duration {2 * 10 * 12}" in found.refusals[0].remedy


class TestVerdictsThatGoUpAndDown:
    def broken(self, *numbers: int, rates: tuple[float, ...] = tuple(range(10, 110, 10))) -> RunDocuments:
        """In those stages one request more fails than may: past the limit, and not beyond chance."""

        def fail(number: int, stage: dict[str, Any]) -> None:
            if number in numbers:
                entry = stage["all"]
                entry["ok"] = entry["count"] - int(0.05 * entry["count"]) - 1
                entry["error_rate"] = 1 - entry["ok"] / entry["count"]

        return with_stages(run(Service(servers=50, cpu_ms=2), Bench(rates=rates)), fail)

    def test_a_line_that_is_crossed_again_and_again_over_a_wide_range_is_refused(self) -> None:
        plan = make_plan([self.broken(2, 4, 6, 9)], 60)
        assert plan.capacity_rps is None
        reason = fields(plan)["capacity_rps"]
        assert "go up and down" in reason and "missed at 29.7, 46.6" in reason

    def test_what_was_met_below_the_first_miss_beyond_chance_stays_a_lower_bound(self) -> None:
        found = edge.find(stages_of([self.broken(4, 6, 9)]))
        assert found.capacity is None and found.refusals
        assert found.at_least_rps is None or found.at_least_rps < 50

    def test_one_miss_that_was_not_repeated_and_a_wavering_edge_are_no_such_thing(self) -> None:
        assert edge.find(stages_of([self.broken(7, 9)])).capacity is not None
        near = (10.0, 40.0, 80.0, 82.0, 84.0, 86.0, 88.0, 90.0, 100.0, 120.0)
        assert edge.find(stages_of([self.broken(2, 4, 6, 8, 9, rates=near)])).capacity is not None
