"""What binds once the bottleneck is gone, and at which load: planted services with each kind of next limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity import model
from capacity.documents import RunDocuments
from capacity.model import Model
from capacity.next_limit import Next

CORE = Service()  # one core, 20 ms a request: about 49 a second
SLOTS = Service(servers=2, service_ms=100, cpu_ms=2, queue=10, timeout_s=30)  # 20 a second, 0.002 CPU-seconds each
QUEUE = {"work": {"max_concurrent": 2, "max_queue_size": 10, "timeout_s": 30}}
SLOT_STEPS = tuple(float(rate) for rate in range(4, 28, 2))


def following(measured: RunDocuments, binding: str) -> Next | None:
    found = model.fit([measured])
    assert isinstance(found, Model)
    assert found.bottleneck.kind == binding
    return found.bottleneck.next


def core(**keys: Any) -> RunDocuments:
    host = {"cpu_model": "Xeon", "cores": 8, "memory_mib": 8192}
    return run(CORE, Bench(contract=keys, host=host))


def slots(**keys: Any) -> RunDocuments:
    contract = {"limits": {"queue": QUEUE}, **keys}
    return run(SLOTS, Bench(rates=SLOT_STEPS, stage_s=60, contract=contract))


def gauged(measured: RunDocuments, in_use_per_rps: float, size: int, name: str = "db_pool") -> RunDocuments:
    server = {
        stage["name"]: {
            "gauges": [
                {"name": f"{name}_in_use", "labels": {}, "mean": in_use_per_rps * stage["offered_rps"], "max": size},
                {"name": f"{name}_size", "labels": {}, "mean": size, "max": size},
            ]
        }
        for stage in measured.summary["stages"]
    }
    return replace(measured, server=server)


def test_a_stated_rate_limit_above_the_line_is_next_at_exactly_its_rate() -> None:
    found = following(core(limits={"front": {"proxy": "nginx", "rate": "60/second"}}), "cpu_one_core")
    assert found is not None and (found.kind, found.who) == ("rate_limit", "front proxy")
    assert found.at_rps is not None and (found.at_rps.low, found.at_rps.mid, found.at_rps.high) == (60, 60, 60)


def test_a_stated_rate_limit_needs_no_law_and_may_lie_far_away() -> None:
    found = following(core(limits={"per_client": ["10/second"]}, users={"identities": 100}), "cpu_one_core")
    assert found is not None
    stated = next(one for one in (found, *found.further) if one.kind == "rate_limit")
    assert stated.at_rps is not None and stated.at_rps.mid == 1000


def test_a_limit_that_the_measured_rates_passed_is_not_in_force_and_not_named() -> None:
    found = following(core(limits={"front": {"proxy": "nginx", "rate": "5/second"}}), "cpu_one_core")
    assert found is None or all(one.kind != "rate_limit" for one in (found, *found.further))


def test_a_proxys_limit_on_one_path_is_compared_with_the_requests_to_that_path() -> None:
    bench = Bench(
        endpoints={"search": 1.0, "page": 3.0},
        contract={
            "limits": {"front": {"proxy": "nginx", "rate": "15/second", "paths": "/api/"}},
            "endpoint": [{"name": "search", "path": "/api/search"}, {"name": "page", "path": "/page"}],
        },
    )
    found = following(run(CORE, bench), "cpu_one_core")
    assert found is not None and found.kind == "rate_limit"
    assert found.at_rps is not None and found.at_rps.mid == pytest.approx(60, rel=0.15)


class TestMemory:
    SERVICE = Service(servers=5, service_ms=100, cpu_ms=2, queue=3, rss_mib=200, rss_per_in_flight_mib=40)

    def memory(self, limit_mib: float) -> list[Next]:
        bench = Bench(rates=tuple(float(rate) for rate in range(6, 66, 6)), stage_s=60,
                      contract={"resources": {"workers": 1, "memory_mib": limit_mib}})  # fmt: skip
        found = model.fit([run(self.SERVICE, bench)])
        assert isinstance(found, Model) and found.bottleneck.kind != "memory"
        return [one for one in _all(found.bottleneck.next) if one.kind == "memory"]

    def test_it_is_next_where_what_is_in_flight_fills_nine_tenths_of_it(self) -> None:
        [found] = self.memory(600)  # (0.9 · 600 − 200)/40 = 8.5 in flight, of 0.10 to 0.13 s each
        assert found.at_rps is not None
        assert 8.5 / 0.13 <= found.at_rps.mid <= 8.5 / 0.10

    def test_far_beyond_what_was_measured_there_is_only_a_lower_end(self) -> None:
        [found] = self.memory(16_000)
        assert found.at_rps is None and found.at_least_rps == pytest.approx(90, rel=0.05)


def test_the_slots_of_a_queue_that_did_not_bind_are_next() -> None:
    queues = {"queue": {"work": {"max_concurrent": 4, "max_queue_size": 10, "timeout_s": 30}}}
    service = Service(servers=50, service_ms=60, cpu_ms=20)
    bench = Bench(rates=tuple(np.linspace(5, 45, 9).tolist()), stage_s=30, contract={"limits": queues})
    found = model.fit([run(service, bench)])
    assert isinstance(found, Model) and found.bottleneck.kind == "unidentified"
    named = [one for one in _all(found.bottleneck.next) if one.kind == "concurrency_limit"]
    assert [one.who for one in named] == ["queue work"]
    assert named[0].at_rps is not None and named[0].at_rps.low <= 4 / 0.060 <= named[0].at_rps.high * 1.03


def test_the_queue_that_binds_is_not_what_binds_next() -> None:
    found = following(slots(), "concurrency_limit")
    assert all(one.kind != "concurrency_limit" for one in _all(found))


def test_places_of_the_upstream_that_were_full_for_moments_are_next() -> None:
    measured = slots(upstream={"kind": "emulated"})
    server = {
        stage["name"]: {
            "upstream": {
                "running_mean": 0.2 * stage["offered_rps"],
                "running_max": 5,
                "waiting_mean": 0,
                "waiting_max": 2,
            }
        }
        for stage in measured.summary["stages"]
    }
    found = following(replace(measured, server=server), "concurrency_limit")
    assert found is not None and (found.kind, found.who) == ("upstream", "the upstream's places")
    assert found.at_rps is not None and found.at_rps.mid == pytest.approx(25, rel=0.05)


def test_an_upstream_nobody_waited_for_has_unknown_places_which_are_not_guessed() -> None:
    measured = slots(upstream={"kind": "emulated"})
    server = {
        stage["name"]: {"upstream": {"running_mean": 0.2 * stage["offered_rps"], "running_max": 5, "waiting_mean": 0}}
        for stage in measured.summary["stages"]
    }
    found = following(replace(measured, server=server), "concurrency_limit")
    assert all(one.kind != "upstream" for one in _all(found))


@pytest.mark.parametrize("name", ["db_pool", "hikaricp_connections", "db_client_connections"])
def test_a_pool_whose_gauges_the_service_shows_is_next(name: str) -> None:
    found = following(gauged(slots(), in_use_per_rps=0.4, size=10, name=name), "concurrency_limit")
    assert found is not None and (found.kind, found.who) == ("connection_pool", name)
    assert found.at_rps is not None and found.at_rps.mid == pytest.approx(25, rel=0.01)


def test_the_lowest_is_named_and_the_others_follow_by_rising_rate() -> None:
    measured = gauged(slots(limits={"queue": QUEUE, "per_client": ["30/second"]}), in_use_per_rps=0.4, size=10)
    found = following(measured, "concurrency_limit")
    assert found is not None and [one.kind for one in _all(found)][:2] == ["connection_pool", "rate_limit"]
    assert found.as_json()["further"][0]["kind"] == "rate_limit"


def test_where_nothing_is_known_nothing_is_named() -> None:
    measured = slots()
    for stage in measured.summary["stages"]:
        stage["resources"] = {}
    assert following(measured, "concurrency_limit") is None


def _all(found: Next | None) -> list[Next]:
    return [] if found is None else [found, *found.further]
