"""The measurement that would narrow the answer most per second of load, among those that could."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import machine, model, next_measurement
from capacity.documents import RunDocuments
from capacity.machine import Machine
from capacity.model import Model
from capacity.plan import make_plan

CLIFF = Service(servers=4, service_ms=40, cpu_ms=1, queue=4, variation="constant")
SLOPE = Service(servers=1, service_ms=20, cpu_ms=1)
CORE = Service()
COARSE = (20.0, 40.0, 60.0, 80.0, 130.0, 180.0)


def queue(slots: int, waiting: int) -> dict[str, Any]:
    return {"limits": {"queue": {"work": {"max_concurrent": slots, "max_queue_size": waiting, "timeout_s": 30}}}}


def fitted(measured: RunDocuments) -> Model:
    found = model.fit([measured])
    assert isinstance(found, Model)
    return found


def best(measured: RunDocuments, demand_rps: float) -> dict[str, Any]:
    found = next_measurement.best(fitted(measured), demand_rps)
    assert found is not None
    return found


def cliff() -> RunDocuments:
    return run(CLIFF, Bench(rates=COARSE, stage_s=30, contract=queue(4, 4)))


def slope() -> RunDocuments:
    rates = tuple(np.linspace(5, 80, 16).tolist())
    return run(SLOPE, Bench(rates=rates, stage_s=12, contract=queue(1, 10**6), slo={"all": {"p95_ms": 300.0}}))


def noisy(rates: tuple[float, ...], seed: int = 3) -> RunDocuments:
    """A line known to 4 % by a search, CPU readings that scatter by a fifth."""
    measured = run(CORE, Bench(rates=(*rates, 60.0, 70.0)))
    rng = np.random.default_rng(seed)
    for stage in measured.summary["stages"][: len(rates)]:
        stage["resources"]["target"]["cpu_s"] *= rng.uniform(0.8, 1.2)
    search = {"valid": True, "lower_rps": 43.0, "upper_rps": 44.7, "endpoints": {"all": {"confidence": 0.95}}}
    return replace(measured, search=search)


def searched(measured: RunDocuments, lower: float, upper: float, seconds: float) -> RunDocuments:
    whole = {"confidence": 0.9, "shape": "slope", "seconds_for_5_percent": seconds}
    return replace(
        measured, search={"valid": True, "lower_rps": lower, "upper_rps": upper, "endpoints": {"all": whole}}
    )


def test_a_cliff_between_coarse_steps_asks_for_a_search_of_two_minutes() -> None:
    found = best(cliff(), 2_000)
    assert found["command"] == f"plimsoll search planted.toml --max-rate 266 --budget {found['load_seconds']:.0f}"
    assert 120 <= found["load_seconds"] <= 200
    assert found["width_after"] == pytest.approx(0.05, rel=0.05) and found["width_after"] < found["width_now"]
    now, after = found["replicas_now"], found["replicas_after"]
    assert after["high"] - after["low"] < now["high"] - now["low"]


def test_on_a_slope_the_seconds_that_five_per_cent_take_are_many_more() -> None:
    found = best(slope(), 2_000)
    assert found["command"].startswith("plimsoll search ") and found["load_seconds"] > 600
    assert f"--budget {found['load_seconds']:.0f}" in found["command"]


def test_a_search_that_said_how_long_five_per_cent_take_is_believed() -> None:
    found = best(searched(slope(), 36.0, 46.0, 1_900.0), 2_000)
    assert found["load_seconds"] == 1_900 and "--budget 1900" in found["command"]


def test_what_a_day_of_searching_does_not_reach_is_not_promised() -> None:
    found = best(searched(slope(), 36.0, 46.0, 4 * 86_400.0), 2_000)
    assert found["load_seconds"] == 86_400 and "to 5 %" not in found["measurement"]
    assert found["width_after"] == pytest.approx(0.1, rel=0.02)


def test_an_unidentified_bottleneck_asks_for_the_profile_before_any_finer_line() -> None:
    found = best(run(Service(servers=4, service_ms=100, cpu_ms=2)), 1_200)
    assert found["command"].startswith("plimsoll profile planted.toml --rate ") and found["command"].endswith("--cpu")
    assert found["width_now"] > 1 and found["replicas_now"] is None
    assert [one["command"].split()[1] for one in found["others"]] == ["search"]
    gains = [one["gain_per_load_second"] for one in (found, *found["others"])]
    assert gains == sorted(gains, reverse=True)


def test_where_the_measured_machine_carries_the_demand_what_binds_need_not_be_known() -> None:
    found = next_measurement.best(fitted(run(Service(servers=4, service_ms=100, cpu_ms=2))), 10)
    assert found is None or "profile" not in found["command"]


def test_a_service_that_was_never_overloaded_is_driven_into_overload_to_see_what_binds() -> None:
    measured = run(Service(servers=4, service_ms=100, cpu_ms=2), Bench(rates=tuple(np.linspace(5, 39, 12)), stage_s=30))
    found = fitted(measured)
    assert found.plateau is None and found.capacity_rps is not None
    named = next_measurement.best(found, 1_200)
    assert named is not None
    assert named["command"].startswith("plimsoll run planted.toml --shape breakpoint --rate 7")
    assert named["load_seconds"] == 120 and named["command"].endswith(" --duration 120")


def test_a_narrow_line_and_a_wide_cost_per_request_ask_for_the_longer_run() -> None:
    found = best(noisy(tuple(np.linspace(4, 40, 12).tolist())), 1_200)
    assert found["measurement"].endswith("by a longer run")
    assert found["command"].startswith("plimsoll run planted.toml --shape breakpoint --rate ")
    assert found["load_seconds"] > 144 and f"--duration {found['load_seconds']:.0f}" in found["command"]


def test_after_few_steps_more_of_them_are_worth_more_than_their_seconds() -> None:
    found = best(noisy((10.0, 20.0, 30.0, 40.0)), 1_200)
    assert found["measurement"].endswith("by a run of more steps")


def test_a_cost_that_does_not_bind_is_not_measured_again() -> None:
    measured = noisy(tuple(np.linspace(4, 40, 12).tolist()))
    lower = {"valid": True, "lower_rps": 5.0, "upper_rps": 8.0, "endpoints": {"all": {"confidence": 0.95}}}
    found = best(replace(measured, search=lower), 1_200)
    assert found["command"].startswith("plimsoll search ")
    assert found["others"] == []


def test_on_another_machine_the_timings_spread_is_worth_seconds_without_load_on_the_service() -> None:
    here = {"median_ms": 1_000.0, "spread": 0.15}
    measured = run(CORE)
    measured = replace(measured, run={**measured.run, "calibration": here})
    there = Machine("EPYC", 8, 800.0, 0.10)
    plan = make_plan([measured], 1_200, on=there).as_json()["next_best_measurement"]
    assert plan["command"].startswith(machine.THERE)
    assert plan["load_seconds"] == pytest.approx(12.6)
    moved = [one["command"] for one in plan["others"]]
    assert all(command.endswith("on the machine that the plan is for") for command in moved)
