"""The teams' traps, found from their contracts and what a run saw; none where the setting is off."""

from typing import Any

import pytest

from targets import traps
from targets.contract import Contract
from targets.contract_file import load
from targets.limits import LimitFound, Load
from targets.payload import data_folder
from targets.reference import alaw, encar, saju
from targets.traps import Seen, Table, TrapFound

ENCAR, ALAW, SAJU = (load(data_folder() / f"{name}.toml") for name in ("encar", "alaw", "saju"))
LOAD = Load(100, {"chat": 500}, clients=250, processes=4, front=False)
CLIENT_BINDS = LimitFound("chat", "100/minute", "client", True, 30, 0.06, "rate limit 100/minute per client binds")
QUEUE_BINDS = LimitFound("search", "search", "queue", True, 30, 0.06, "queue search binds")
READY = {
    "endpoint": "ready",
    "path": "/health/ready",
    "purpose": "readiness",
    "calls": 1.0,
    "tokens_in": 5.0,
    "tokens_out": 5.0,
}
HEALTH = READY | {"endpoint": "health", "path": "/health", "purpose": None}
LIVE = READY | {"endpoint": "live", "path": "/health/live", "purpose": "liveness", "calls": 0.0}


def found(contract: Contract, **seen: Any) -> dict[str, TrapFound]:
    return {trap.trap: trap for trap in traps.find(contract, Seen(**{"load": LOAD, **seen}))}


def limited(contract: Contract, **changes: Any) -> Contract:
    return contract.model_copy(update={"limits": contract.limits.model_copy(update=changes)})


def test_health_checks_that_call_the_paid_llm_are_counted_and_priced_per_day():
    trap = found(SAJU, asked=[READY, HEALTH, LIVE])["health_calls_paid_llm"]
    a_day = 3 * (86_400 / 5 + 86_400 / 10)  # 3 replicas, readiness every 5 s, liveness every 10 s
    assert trap.figures["calls_per_day"] == a_day == 77_760
    assert trap.figures["usd_per_day"] == pytest.approx(a_day * (5 * 0.0005 + 5 * 0.0015) / 1000)
    assert "77,760 calls a day of 10 tokens each, 0.78 USD a day" in trap.sentence
    assert trap.state == "costs"


@pytest.mark.parametrize("asked", [[], [LIVE], [READY | {"calls": None}]])
def test_health_checks_that_cost_nothing_or_were_not_counted_are_not_accused(asked: list[Any]):
    assert "health_calls_paid_llm" not in found(SAJU, asked=asked)


def test_a_limiter_on_the_peers_address_behind_a_proxy_is_named_and_binds_when_it_refuses_there():
    declared = found(SAJU, peak_rps=30.0)["limit_by_peer_address"]
    assert declared.state == "declared"
    assert "all users together share 100/minute in each of 12 processes, 20 requests/s in all" in declared.sentence
    assert "this run sent up to 30 requests/s" in declared.sentence
    behind = Load(100, {"chat": 500}, clients=1, processes=4, front=True)
    assert found(SAJU, load=behind, limits=[CLIENT_BINDS])["limit_by_peer_address"].state == "binds"
    assert "limit_by_peer_address" not in found(limited(SAJU, client_key="header:X-User"))
    assert "limit_by_peer_address" not in found(limited(SAJU, front=None))


def table(entries: list[float], came: list[int], every_s: float = 30.0) -> Table:
    return Table("saju_limiter_addresses", [60 + k * every_s for k in range(len(entries))], entries, came)


def test_a_table_with_more_entries_than_requests_in_its_window_does_not_forget():
    trap = found(SAJU, tables=[table([200, 240, 250], [300, 120, 90])])["limiter_never_forgets"]
    assert trap.state == "costs"
    assert "held 250 at the end, and once 160 more than requests had come within its window of 60 s" in trap.sentence


def test_a_table_that_only_grew_longer_than_its_window_is_suspected_not_convicted():
    trap = found(SAJU, tables=[table([200, 240, 250, 250], [900] * 4)])["limiter_never_forgets"]
    assert trap.state == "declared"
    assert "a run with a quiet end tells" in trap.sentence


@pytest.mark.parametrize("entries", [[250.0, 100.0, 40.0, 60.0], [250.0], []])
def test_a_table_that_shrinks_or_was_hardly_seen_is_left_alone(entries: list[float]):
    assert "limiter_never_forgets" not in found(SAJU, tables=[table(entries, [900] * len(entries))])


def test_a_limit_per_process_says_what_one_client_may_really_send():
    assert "one client may send up to 20/minute" in found(ENCAR)["limit_per_process"].sentence
    assert "up to 1200/minute" in found(SAJU)["limit_per_process"].sentence
    assert found(SAJU)["limit_per_process"].state == "declared"
    assert found(SAJU, limits=[CLIENT_BINDS])["limit_per_process"].state == "binds"
    assert "limit_per_process" not in found(limited(ENCAR, per_client_scope="service"))


def test_a_proxy_limit_that_covers_the_health_checks_is_named_where_they_alone_exceed_it():
    trap = found(SAJU)["proxy_limits_health"]
    assert "make 18 probes a minute per replica" in trap.sentence and trap.state == "declared"
    assert "proxy_limits_health" not in found(ALAW)  # 10 a second are enough for them
    failed = {"ready": {"asked": 20, "failed": 9, "failed_in_a_row": 4}}
    behind = Load(100, {"chat": 500}, front=True)
    met = found(SAJU, load=behind, health=failed)
    assert met["proxy_limits_health"].state == "binds"
    assert "health_fails_under_load" not in met  # one cause, one name


def test_a_health_check_that_fails_because_the_queue_is_full_is_named():
    failed = {"health": {"asked": 20, "failed": 3, "failed_in_a_row": 2}}
    trap = found(ALAW, limits=[QUEUE_BINDS], health=failed)["full_queue_is_unhealthy"]
    assert "while queue search was full: health 3 of 20 times (2 in a row)" in trap.sentence
    assert not found(ALAW, health=failed)  # twice is no restart, and no queue explains it
    restarted = {"health": {"asked": 20, "failed": 3, "failed_in_a_row": 3}}
    assert found(ALAW, health=restarted)["health_fails_under_load"].state == "binds"
    fine = {"health": {"asked": 20, "failed": 0, "failed_in_a_row": 0}}
    assert not found(ALAW, limits=[QUEUE_BINDS], health=fine)


def test_a_service_that_restarted_under_load_is_named_with_the_moment_and_the_health_check_that_failed():
    failed = {"health": {"asked": 70, "failed": 3, "failed_in_a_row": 2}}
    trap = found(ALAW, restarts_s=[301.4], health=failed)["self_restart"]
    assert trap.state == "binds"
    assert "restarted under this load, at 301 s" in trap.sentence and "and health failed in this run" in trap.sentence
    assert "self_restart" not in found(ALAW, health=failed)


def test_the_names_are_those_that_the_reference_services_give_their_traps():
    built_in = {*saju.TRAPS, *encar.TRAPS, *alaw.TRAPS}
    named = {look.__name__ for look in traps.TRAPS} - {"health_fails_under_load"} | {"full_queue_is_unhealthy"}
    assert named == built_in


def test_met_traps_come_before_priced_ones_and_those_before_declared_ones():
    states = [trap.state for trap in found(SAJU, asked=[READY], limits=[CLIENT_BINDS]).values()]
    assert states == sorted(states, key=("binds", "costs", "declared").index)
    assert set(states) == {"binds", "costs", "declared"}
