"""Replicas × workers × pool against the database's maximum: the plan says at how many replicas it is full."""

from __future__ import annotations

from typing import Any

import pytest
from planted import Bench, Service, run

from capacity.connections import GENERAL, Connections
from capacity.plan import Plan, make_plan

DATABASE = {"pool_size": 10, "max_connections": 100, "reserved": 3}
SLOTS = {"queue": {"work": {"max_concurrent": 4, "max_queue_size": 50, "timeout_s": 5}}}


def plan_of(limits: dict[str, Any], demand_rps: float, service: Service | None = None) -> Plan:
    return make_plan([run(service or Service(), Bench(contract={"limits": limits}))], demand_rps)


def test_what_the_replicas_open_is_counted_against_what_the_database_has() -> None:
    option = plan_of({"database": DATABASE}, 120).scale_out[0]
    assert option["recommended"] == 6
    assert option["database_connections"] == {"opened": 60, "available": 97, "replicas_at_most": 9}
    assert (
        "6 replica(s) × 1 worker(s) × a pool of 10 open up to 60 database connections of 97 available; they are full "
        "beyond 9 such replica(s)" in option["assumptions"]
    )
    assert GENERAL not in option["assumptions"]


def test_too_many_are_said_with_the_pool_that_would_fit() -> None:
    option = plan_of({"database": DATABASE}, 400).scale_out[0]
    opened = option["recommended"] * 10
    said = next(one for one in option["assumptions"] if "database connections" in one)
    fits = 97 // option["recommended"]
    assert f"which is too many: set pool_size to at most {fits} or max_connections higher by {opened - 97}" in said
    assert option["recommended"] * fits <= 97


def test_workers_of_one_machine_open_them_too() -> None:
    bigger = plan_of({"database": DATABASE}, 120).scale_up[0]
    assert bigger["database_connections"]["opened"] == bigger["workers"]["high"] * 10


def test_without_a_stated_pool_only_the_general_sentence_stands() -> None:
    option = plan_of({}, 120).scale_out[0]
    assert GENERAL in option["assumptions"] and option["database_connections"] is None


def test_processes_that_the_simulation_of_a_queue_added_are_counted() -> None:
    service = Service(servers=4, service_ms=100, cpu_ms=2, queue=50, timeout_s=5)
    limits = {"database": DATABASE, "per_client": ["10/minute"], "per_client_scope": "process", **SLOTS}
    option = plan_of(limits, 120, service).scale_out[0]
    replicas = option["recommended"]
    assert option["database_connections"]["opened"] == replicas * 10
    assert any(f"{replicas} replicas let through {replicas} times" in said for said in option["assumptions"])


@pytest.mark.parametrize(("replicas", "full"), [(4, False), (5, True)])
def test_full_is_the_first_replica_that_does_not_fit(replicas: int, full: bool) -> None:
    found = Connections(replicas, 4, 5, 97)
    assert found.replicas_at_most == 4
    assert ("too many" in str(found)) is full


def test_a_database_too_small_for_one_connection_each_is_told_only_to_grow() -> None:
    assert str(Connections(100, 1, 2, 97)).endswith("which is too many: set max_connections higher by 103")
