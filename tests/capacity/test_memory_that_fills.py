"""Memory at its limit: named where it filled before anything waited, and never where a backlog or a heap filled it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from planted import Bench, Service, run

from capacity.bottleneck import Bottleneck
from capacity.documents import RunDocuments
from capacity.plan import make_plan

KILLED = "planted ended by SIGKILL (out of memory?); it said: nothing"
LIMIT_MIB = 1000.0


def measured(rss_mib: list[float], service: Service | None = None, **run_keys: object) -> RunDocuments:
    """Ten rising steps in which the service held so much; `resources` of its contract state the limit."""
    rates = tuple(10.0 * (k + 1) for k in range(len(rss_mib)))
    bench = Bench(rates=rates, contract={"resources": {"memory_mib": LIMIT_MIB, "workers": 1}})
    found = run(service or Service(servers=50, cpu_ms=2), bench)
    summary: dict[str, Any] = json.loads(json.dumps(found.summary))
    before = rss_mib[0]
    for stage, rss in zip(summary["stages"], rss_mib, strict=True):
        stage["resources"]["target"] |= {"rss_mib_mean": (before + rss) / 2, "rss_mib_max": rss}
        before = rss
    return replace(found, summary=summary, run={**found.run, **run_keys})


def named(documents: RunDocuments) -> Bottleneck:
    found = make_plan([documents], 60).bottleneck
    assert found is not None
    return found


GROWS = [200.0, 280, 360, 440, 520, 600, 680, 760, 840, 960]


def test_a_service_that_grows_up_to_its_limit_while_nothing_waits_is_bound_by_memory() -> None:
    found = named(measured(GROWS))
    assert found.kind == "memory" and found.confidence >= 0.6
    assert "960 of 1000 MiB" in found.evidence[0] and "nothing waited" in found.evidence[0]


def test_a_process_that_is_killed_at_its_limit_is_named_with_more_confidence_and_its_exit_code() -> None:
    found = named(measured(GROWS, stop_reason=KILLED, ended="stopped"))
    assert found.kind == "memory" and found.confidence == 0.9
    assert any("exit code 137" in sentence for sentence in found.evidence)


@pytest.mark.parametrize(
    "stop_reason", [KILLED.replace("planted", "llm"), "planted ended with exit code 1; it said: x"]
)
def test_another_process_or_another_end_is_no_kill_for_memory(stop_reason: str) -> None:
    found = named(measured(GROWS, stop_reason=stop_reason, ended="stopped"))
    assert found.kind == "memory" and not any("was killed" in sentence for sentence in found.evidence)


def test_a_kill_far_below_the_limit_names_nothing_and_says_what_is_not_known() -> None:
    found = named(measured([200.0 + k for k in range(10)], stop_reason=KILLED, ended="stopped"))
    assert found.kind == "unidentified" and "memory" in found.candidates
    assert any("was killed" in sentence and "210" not in sentence for sentence in found.evidence)


def test_a_limit_that_nobody_stated_is_asked_for_where_a_service_was_killed() -> None:
    documents = measured(GROWS, stop_reason=KILLED, ended="stopped")
    contract = {**documents.contract, "resources": {"workers": 1}}
    found = named(replace(documents, run={**documents.run, "contract": contract}))
    assert found.kind == "unidentified" and "memory" in found.candidates
    assert any("memory_mib" in sentence for sentence in found.evidence)


def test_a_heap_that_was_full_from_the_start_binds_nothing() -> None:
    assert named(measured([950.0] * 10)).kind == "unidentified"
    pool = Service(servers=4, service_ms=100, cpu_ms=2)
    assert named(measured([950.0] * 10, pool)).kind == "unidentified"


def test_a_heap_that_fills_once_and_then_stays_so_while_more_comes_binds_nothing() -> None:
    assert named(measured([300.0, 900, 950, 950, 951, 950, 950, 949, 950, 950])).kind == "unidentified"


def test_memory_that_is_full_where_answers_take_longer_already_is_a_candidate_and_no_name() -> None:
    documents = measured(GROWS)
    full = documents.summary["stages"][-1]["all"]["response_ms"]
    full["mean"] = 3 * documents.summary["stages"][0]["all"]["response_ms"]["mean"]
    found = named(documents)
    assert found.kind == "unidentified" and "memory" in found.candidates
    assert any("which of the two came first" in sentence for sentence in found.evidence)


POOL = Service(servers=4, service_ms=100, cpu_ms=2)  # 40 rps


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_a_backlog_filled_is_never_called_memory(seed: int) -> None:
    service = replace(POOL, rss_per_in_flight_mib=8)
    bench = Bench(seed=seed, contract={"resources": {"memory_mib": LIMIT_MIB, "workers": 1}})
    assert named(run(service, bench)).kind == "unidentified"
    killed = replace(run(service, bench), run={**run(service, bench).run, "stop_reason": KILLED})
    assert named(killed).kind == "unidentified"


def test_a_pool_whose_backlog_grew_long_before_memory_was_full_keeps_its_own_candidates() -> None:
    found = named(measured([200.0, 210, 220, 230, 300, 500, 700, 800, 900, 960], POOL))
    assert found.kind == "unidentified" and "connection_pool" in found.candidates
