"""A replica that at rest already uses more than the policy's share: no number of them helps, and the plan says so."""

from __future__ import annotations

import pytest
from planted import Bench, Service, run

from capacity.plan import Plan, make_plan


def plan_of(service: Service, memory_mib: int, demand_rps: float | None = 30.0) -> Plan:
    resources = {"cpu": 1.0, "memory_mib": memory_mib, "workers": 1}
    return make_plan([run(service, Bench(contract={"resources": resources}))], demand_rps)


@pytest.mark.parametrize("per_in_flight_mib", [0.0, 0.5])
class TestMemoryAboveItsShareAtRest:
    def test_no_number_of_replicas_is_recommended(self, per_in_flight_mib: float) -> None:
        plan = plan_of(Service(rss_mib=800, rss_per_in_flight_mib=per_in_flight_mib), 1000)
        assert plan.scale_out == [] and plan.binding_rule == "memory_70_percent"
        refusal = next(one for one in plan.refusals if one.field == "scale_out")
        assert refusal.reason.startswith(
            "no number of replicas keeps its memory at most 70% used, a bigger one is needed: "
        )
        assert ": at rest it already uses 80" in refusal.reason and refusal.reason.endswith("of 1000 MiB")
        assert "set memory_mib = 1" in refusal.remedy and "plimsoll run planted.toml" in refusal.remedy
        assert "no number of replicas keeps its memory" in plan.sentence

    def test_the_machine_that_was_measured_is_not_called_enough(self, per_in_flight_mib: float) -> None:
        idle = Service(servers=50, cpu_ms=2, rss_mib=800, rss_per_in_flight_mib=per_in_flight_mib)
        bigger = plan_of(idle, 1000).scale_up[0]
        assert bigger["what"] == "memory" and bigger["memory_mib"]["mid"] == pytest.approx(800 / 0.7, rel=0.03)

    def test_with_enough_memory_it_is_sized_as_ever(self, per_in_flight_mib: float) -> None:
        plan = plan_of(Service(rss_mib=800, rss_per_in_flight_mib=per_in_flight_mib), 2000)
        option = plan.scale_out[0]
        assert option["memory_share"] == pytest.approx(0.4, abs=0.02) and option["by_rule"]["memory_70_percent"] == 1


def test_cpu_above_its_share_at_rest_is_said_with_a_larger_size() -> None:
    plan = plan_of(Service(base_cores=0.6, cpu_ms=4, servers=4), 2000, 120)
    refusal = next(one for one in plan.refusals if one.field == "scale_out")
    assert refusal.reason.startswith(
        "no number of replicas keeps its CPU at most 50% used, a bigger one is needed: at rest it already uses 0.6"
    )
    assert "set cpu = " in refusal.remedy and plan.binding_rule == "cpu_50_percent"


def test_one_refusal_stands_for_every_demand() -> None:
    plan = plan_of(Service(rss_mib=800), 1000, None)
    assert len([one for one in plan.refusals if one.field == "scale_out"]) == 1


def test_a_use_at_rest_that_is_too_loosely_known_is_said_beside_the_number() -> None:
    measured = run(Service(rss_mib=690), Bench(contract={"resources": {"cpu": 1.0, "memory_mib": 1000, "workers": 1}}))
    for number, stage in enumerate(measured.summary["stages"]):
        stage["resources"]["target"]["rss_mib_mean"] += 30 * (-1) ** number
    option = make_plan([measured], 30).scale_out[0]
    assert any(said.startswith("its memory may never keep to 70%") for said in option["assumptions"])
