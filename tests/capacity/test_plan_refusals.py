"""Where the data cannot carry an answer, the plan says which measurement is missing and the command that makes it."""

from __future__ import annotations

import json
from dataclasses import replace

from planted import Bench, Service, run

from capacity.documents import RunDocuments
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
