"""Services whose bottleneck is known: the plan names it, or says that it cannot; it never names another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity.mix import Windows
from capacity.plan import Plan, make_plan

CORE = Service()
POOL = Service(servers=4, service_ms=100, cpu_ms=2)
UPSTREAM = {"upstream": {"kind": "emulated"}}


def plan_of(service: Service, bench: Bench | None = None, demand_rps: float | None = 120.0) -> Plan:
    return make_plan([run(service, bench)], demand_rps)


def kind_of(plan: Plan) -> str:
    assert plan.bottleneck is not None
    return plan.bottleneck.kind


def scaled_out(plan: Plan) -> dict[str, Any]:
    return plan.scale_out[0]


class TestOneCore:
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_handler_that_fills_its_core_is_named_with_the_utilisation_laws_limit(self, seed: int) -> None:
        plan = plan_of(CORE, Bench(seed=seed))
        assert kind_of(plan) == "cpu_one_core"
        assert plan.bottleneck is not None and plan.bottleneck.confidence >= 0.7
        demand = plan.as_json()["service_demand"]["cpu_s_per_arrival"]
        assert demand["mid"] == pytest.approx(0.020, rel=0.05)

    @pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
    def test_capacity_holds_the_rate_at_which_an_m_m_1_queue_meets_its_p95(self, seed: int) -> None:
        """p95 = S ln 20 / (1 − ρ) = 500 ms at ρ = 0.88, S = 20 ms: 44 rps."""
        capacity = plan_of(CORE, Bench(seed=seed, stage_s=40)).capacity_rps
        assert capacity is not None and capacity.low <= 44 <= capacity.high

    def test_both_ways_of_scaling_are_sized_and_the_binding_rule_is_said(self) -> None:
        plan = plan_of(CORE)
        assert plan.binding_rule == "cpu_50_percent"
        assert scaled_out(plan)["recommended"] == 6  # 120 rps · 20 ms = 2.4 cores, at most half of each core: 5 or 6
        assert scaled_out(plan)["survivors_hold"] is True
        assert plan.scale_up[0]["what"] == "workers" and plan.scale_up[0]["workers"]["mid"] >= 5


class TestHowFarScalingOutReaches:
    """Rates up to 100 a second were driven."""

    @pytest.mark.parametrize(
        ("demand_rps", "said", "conditional"), [(120, False, False), (400, True, False), (1200, True, True)]
    )
    def test_what_replicas_share_was_not_seen_far_beyond_the_measured_rates(
        self, demand_rps: float, said: bool, conditional: bool
    ) -> None:
        plan = plan_of(CORE, demand_rps=demand_rps)
        option = scaled_out(plan)
        assert option["extrapolated"] == pytest.approx(demand_rps / 100, rel=0.1)
        shared = [one for one in option["assumptions"] if "what all replicas share" in one]
        assert bool(shared) is said and all("plimsoll run planted.toml" in one for one in shared)
        assert option["conditional"] is conditional
        assert ("would do, if" in plan.sentence) is conditional


class TestTheWholeHost:
    FOUR = Bench(
        rates=tuple(range(25, 275, 25)),
        host={"cpu_model": "Xeon", "cores": 5, "memory_mib": 8192},
        placement={"generator": [[0]], "target": [1, 2, 3, 4]},
    )
    WORKERS = Service(servers=4, processes=4)  # 20 ms of CPU each: 200 rps

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_workers_that_fill_all_cores_left_to_them_are_the_hosts_cpus(self, seed: int) -> None:
        plan = plan_of(self.WORKERS, replace(self.FOUR, seed=seed), 300)
        assert kind_of(plan) == "cpu_host"
        assert plan.bottleneck is not None and plan.bottleneck.confidence >= 0.9
        assert any("by the utilisation law 4 core(s) carry" in sentence for sentence in plan.bottleneck.evidence)

    def test_workers_that_wait_while_the_cores_are_idle_are_not(self) -> None:
        waiting = replace(self.WORKERS, cpu_ms=2)
        assert kind_of(plan_of(waiting, self.FOUR, 300)) == "unidentified"

    def test_cores_that_are_full_in_one_overloaded_stage_of_many_are_not(self) -> None:
        measured = run(self.WORKERS, self.FOUR)
        for stage in measured.summary["stages"][8:]:
            stage["resources"]["target"] |= {"busiest_process_cores": 0.2, "cpu_s": 9.6}
        assert kind_of(make_plan([measured], 300)) == "unidentified"

    def test_one_worker_that_does_all_the_work_beside_a_busy_generator_is_one_core(self) -> None:
        measured = run(Service(processes=2), Bench(placement={}))
        for stage in measured.summary["stages"]:
            used = stage["resources"]["target"]
            cores = min(1.0, used["cpu_s"] / 12)
            used |= {"busiest_process_cores": cores, "cpu_s": cores * 12}
            stage["resources"]["generator"] |= {"cpu_s": 10.8, "cpu_cores_mean": 0.9}
            stage["resources"]["host"]["cpu_share_mean"] = min(1.0, (cores + 0.9) / 2)
        assert kind_of(make_plan([measured], 300)) == "cpu_one_core"


class TestTheTestBench:
    def test_a_core_shared_with_the_emulator_is_said_to_be_a_fact_of_the_bench(self) -> None:
        plan = plan_of(Service(cpu_ms=16, llm_cpu_ms=4), Bench(contract=UPSTREAM))
        assert plan.bottleneck is not None
        assert kind_of(plan) == "cpu_one_core" and plan.bottleneck.confidence <= 0.6
        assert "fact of this test bench" in str(plan.bottleneck.bench)
        assert any("fact of this test bench" in sentence for sentence in plan.bottleneck.evidence)

    def test_an_emulator_that_takes_most_of_that_core_leaves_the_service_unnamed(self) -> None:
        plan = plan_of(Service(cpu_ms=4, llm_cpu_ms=16), Bench(contract=UPSTREAM))
        assert kind_of(plan) == "unidentified"
        assert plan.bottleneck is not None and any("llm 0.8" in sentence for sentence in plan.bottleneck.evidence)

    def test_an_emulator_short_of_cpu_on_a_core_of_its_own_is_the_upstream(self) -> None:
        placement = {"generator": [[0]], "target": [1, 2]}
        bench = Bench(
            contract=UPSTREAM, placement=placement, host={"cpu_model": "Xeon", "cores": 3, "memory_mib": 8192}
        )
        plan = plan_of(Service(cpu_ms=4, llm_cpu_ms=20), bench)
        assert kind_of(plan) == "upstream"
        assert not plan.scale_out
        assert any(refusal.field == "scale_out" and "replicas gain 0" in refusal.reason for refusal in plan.refusals)


class TestLimitsByPolicyAndBySlots:
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_token_bucket_is_a_rate_limit_and_replicas_gain_nothing(self, seed: int) -> None:
        plan = plan_of(Service(servers=50, cpu_ms=2, bucket_rps=40), Bench(seed=seed))
        assert kind_of(plan) == "rate_limit"
        assert plan.scale_out == []

    def test_a_declared_front_limit_that_fits_is_named_with_more_confidence(self) -> None:
        bench = Bench(contract={"limits": {"front": {"proxy": "nginx", "rate": "40/second"}}})
        plan = plan_of(Service(servers=50, cpu_ms=2, bucket_rps=40), bench)
        assert plan.bottleneck is not None and (kind_of(plan), plan.bottleneck.confidence) == ("rate_limit", 0.9)

    def test_a_limit_per_process_is_flagged_as_a_silent_change_of_policy(self) -> None:
        limits = {"per_client": ["10/minute"], "per_client_scope": "process"}
        bench = Bench(contract={"limits": limits, "users": {"identities": 240}})
        plan = plan_of(Service(servers=50, cpu_ms=2, bucket_rps=40), bench)
        assert kind_of(plan) == "rate_limit"
        assert any("silent change of policy" in sentence for sentence in scaled_out(plan)["assumptions"])

    def test_full_slots_and_a_full_queue_are_a_concurrency_limit(self) -> None:
        plan = plan_of(replace(POOL, queue=20))
        assert kind_of(plan) == "concurrency_limit"
        assert any(refusal.field == "scale_up" for refusal in plan.refusals)

    def test_the_same_before_an_upstream_could_be_the_upstreams_queue(self) -> None:
        plan = plan_of(replace(POOL, queue=20), Bench(contract=UPSTREAM))
        assert kind_of(plan) == "unidentified"
        assert plan.bottleneck is not None and {"concurrency_limit", "upstream"} <= set(plan.bottleneck.candidates)

    def test_a_short_line_before_slots_is_no_rate_limit_because_what_passes_waits_longer_with_the_load(self) -> None:
        service = Service(servers=8, service_ms=80, cpu_ms=1, queue=5, timeout_s=10)
        for seed in range(1, 9):
            bench = Bench(rates=tuple(range(16, 176, 16)), stage_s=10, seed=seed, contract=UPSTREAM)
            assert kind_of(plan_of(service, bench)) in ("concurrency_limit", "unidentified")

    def test_a_bucket_whose_calmest_stage_was_fast_by_chance_is_no_queue(self) -> None:
        measured = run(
            Service(servers=500, service_ms=300, cpu_ms=0.25, bucket_rps=200), Bench(rates=tuple(range(32, 352, 32)))
        )
        measured.summary["stages"][0]["all"]["response_ms"]["mean"] = 258.0
        assert kind_of(make_plan([measured], 120)) in ("rate_limit", "unidentified")

    def test_slots_that_the_contract_declares_are_recognised_by_what_they_can_do(self) -> None:
        limits = {"queue": {"work": {"max_concurrent": 4, "max_queue_size": 50, "timeout_s": 5}}}
        plan = plan_of(replace(POOL, queue=50, timeout_s=5), Bench(contract={"limits": limits}))
        assert kind_of(plan) == "concurrency_limit"


class TestWhatLooksTheSameFromOutside:
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_pool_without_snapshots_is_unidentified_with_its_candidates(self, seed: int) -> None:
        plan = plan_of(POOL, Bench(seed=seed))
        assert kind_of(plan) == "unidentified"
        assert plan.bottleneck is not None
        assert {"connection_pool", "lock", "concurrency_limit"} <= set(plan.bottleneck.candidates)
        assert any("places of" in sentence for sentence in plan.bottleneck.evidence)
        assert scaled_out(plan)["conditional"] is True

    @pytest.mark.parametrize(("answer_bytes", "could_be"), [(131_072, True), (2_000, False)])
    def test_a_shared_link_is_a_candidate_only_where_answers_are_large(self, answer_bytes: int, could_be: bool) -> None:
        done = np.full((40, 1), 10.0)
        windows = Windows(1.0, ["work"], np.zeros(40), done, done, {}, {"bytes_in": done * answer_bytes})
        found = make_plan([replace(run(POOL), windows=windows)], 120).bottleneck
        assert found is not None and found.kind == "unidentified"
        assert ("bandwidth" in found.candidates) is could_be
        assert any("MB a second at the plateau" in sentence for sentence in found.evidence) is could_be

    def test_large_answers_of_a_full_core_are_no_matter_of_the_link(self) -> None:
        done = np.full((40, 1), 10.0)
        windows = Windows(1.0, ["work"], np.zeros(40), done, done, {}, {"bytes_in": done * 131_072})
        assert kind_of(make_plan([replace(run(CORE), windows=windows)], 120)) == "cpu_one_core"

    @pytest.mark.parametrize(("seen", "kind"), [("lock", "lock"), ("pool", "connection_pool")])
    def test_stacks_taken_at_the_plateau_name_it(self, seen: str, kind: str) -> None:
        plan = plan_of(POOL, Bench(blocked_frames={seen: 0.8, "cpu": 0.1}))
        assert kind_of(plan) == kind

    def test_slots_without_a_queue_are_never_called_a_rate_limit(self) -> None:
        for seed in range(1, 6):
            plan = plan_of(replace(POOL, queue=0), Bench(seed=seed))
            assert kind_of(plan) in ("unidentified", "concurrency_limit")


def test_memory_at_its_limit_is_named_and_more_of_it_is_sized() -> None:
    service = Service(servers=200, service_ms=500, cpu_ms=2, queue=0, rss_mib=200, rss_per_in_flight_mib=10)
    bench = Bench(rates=tuple(range(20, 400, 38)), contract={"resources": {"cpu": 1, "memory_mib": 1800, "workers": 1}})
    plan = plan_of(service, bench)
    assert kind_of(plan) == "memory"
    assert plan.as_json()["memory"]["per_in_flight_mib"]["mid"] == pytest.approx(10, rel=0.1)


FULL_ENGINE = {
    f"step-{k:02d}": {"upstream": {"running_mean": 3.9, "running_max": 4, "waiting_mean": 20.0}} for k in range(5, 11)
}


class TestWhatTheServicesOwnMetricsSay:
    def test_full_places_of_the_engine_name_the_upstream(self) -> None:
        plan = make_plan([replace(run(POOL, Bench(contract=UPSTREAM)), server=FULL_ENGINE)], 120)
        assert kind_of(plan) == "upstream"
        assert any("replicas gain 0" in refusal.reason for refusal in plan.refusals)

    @pytest.mark.parametrize(("engine_waits_s_per_s", "kind"), [(0.05, "upstream"), (0.5, "unidentified")])
    def test_full_places_speak_for_themselves_beside_a_busy_neighbour(
        self, engine_waits_s_per_s: float, kind: str
    ) -> None:
        measured = run(replace(POOL, llm_cpu_ms=0.5), Bench(contract=UPSTREAM))
        for stage in measured.summary["stages"]:
            stage["resources"]["host"]["cpu_share_mean"] = 0.9
            stage["resources"]["target"]["run_delay_s_per_s"] = 0.3
            stage["resources"]["llm"]["run_delay_s_per_s"] = engine_waits_s_per_s
        assert kind_of(make_plan([replace(measured, server=FULL_ENGINE)], 120)) == kind

    @pytest.mark.parametrize(("busy_from", "kind"), [(8, "upstream"), (4, "cpu_one_core")])
    def test_what_was_full_first_binds_and_not_what_the_backlog_filled_later(self, busy_from: int, kind: str) -> None:
        measured = run(replace(POOL, llm_cpu_ms=0.5), Bench(contract=UPSTREAM))
        for number, stage in enumerate(measured.summary["stages"], 1):
            if number >= busy_from:
                stage["resources"]["target"] |= {"busiest_process_cores": 0.98, "cpu_cores_mean": 0.98}
        found = make_plan([replace(measured, server=FULL_ENGINE)], 120).bottleneck
        assert found is not None and (found.kind == kind or (found.kind == "unidentified" and kind in found.candidates))
        assert (found.kind == "upstream") == (kind == "upstream")
        assert any("that came after" in sentence for sentence in found.evidence) == (kind == "upstream")

    def test_a_quota_of_half_a_core_is_the_services_own_and_no_core_that_the_engine_fills(self) -> None:
        measured = run(replace(POOL, cpu_ms=10, llm_cpu_ms=2), Bench(contract=UPSTREAM))
        for stage in measured.summary["stages"]:
            stage["resources"]["target"] |= {"cgroup_quota_cores": 0.5, "throttled_s_per_s": 0.0}
        assert kind_of(make_plan([replace(measured, server=FULL_ENGINE)], 120)) == "upstream"
        assert "core" not in kind_of(make_plan([measured], 120))

    def test_calls_to_the_upstream_that_take_the_whole_time_and_grew_name_it_too(self) -> None:
        measured = run(POOL, Bench(contract=UPSTREAM))
        labels = {"stage": "upstream"}
        server = {
            stage["name"]: {
                "histograms": [
                    {
                        "name": "kakao_stage_seconds",
                        "labels": labels,
                        "mean": stage["all"]["response_ms"]["mean"] / 1100,
                    }
                ]
            }
            for stage in measured.summary["stages"]
        }
        assert kind_of(make_plan([replace(measured, server=server)], 120)) == "upstream"

    def test_an_engine_with_free_places_is_not_named(self) -> None:
        idle = {
            name: {"upstream": {"running_mean": 1.0, "running_max": 4, "waiting_mean": 0.0}} for name in FULL_ENGINE
        }
        plan = make_plan([replace(run(POOL, Bench(contract=UPSTREAM)), server=idle)], 120)
        assert kind_of(plan) == "unidentified"


def test_nothing_that_takes_an_idle_cpu_for_granted_is_named_while_others_use_the_machine() -> None:
    measured = run(POOL, Bench(blocked_frames={"lock": 0.9}))
    for stage in measured.summary["stages"]:
        stage["resources"]["host"]["cpu_share_mean"] = 0.98
    plan = make_plan([measured], 120)
    assert kind_of(plan) == "unidentified" and plan.indicative
    assert plan.bottleneck is not None and any("other processes" in sentence for sentence in plan.bottleneck.evidence)
