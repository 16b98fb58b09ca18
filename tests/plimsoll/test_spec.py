"""From command-line words to a checked plan: what is refused, and how large the pool is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.arrivals import Process, Stage
from measurements.errors import UsageError
from plimsoll.placement import place
from plimsoll.spec import LONGEST_S, Spec, checked, load_plan, pool_needed, stretched
from targets.contract import Contract
from targets.contract_file import parse


def contract(**sections: Any) -> Contract:
    raw = {
        "target": {"name": "t", "base_url": "http://127.0.0.1:1"},
        "endpoint": [
            {"name": "generate", "path": "/g", "timeout_s": 9.0},
            {"name": "search", "path": "/s", "timeout_s": 2.0, "weight": 3},
            {"name": "admin", "path": "/a", "timeout_s": 600.0, "enabled": False},
        ],
        **sections,
    }
    return parse(raw, Path("c.toml"))


def spec(**words: Any) -> Spec:
    return Spec(**{"contract": contract(), **words})


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ({"rate_rps": 5.0, "users": 3}, "--rate (open loop) and --users (closed loop) exclude each other"),
        ({"users": 0}, "--users 0"),
        ({"users": -2}, "--users -2"),
        ({"rate_rps": 0.0}, "--rate 0"),
        ({"rate_rps": -1.0}, "--rate -1"),
        ({"rate_rps": float("nan")}, "--rate nan"),
        ({"rate_rps": 2e6}, "--rate 2e+06"),
        ({"duration_s": 0.0}, "--duration 0"),
        ({"duration_s": float("inf")}, "--duration inf"),
        ({"warmup_s": -1.0}, "--warmup -1"),
        ({"warmup_s": float("nan")}, "--warmup nan"),
        ({"warmup_s": float("inf")}, "--warmup inf"),
        ({"workers": 0}, "--workers 0"),
        ({"workers": 100_000}, "--workers 100000"),
        ({"seed": -1}, "--seed -1"),
        ({"replicas": 0}, "--replicas 0"),
        ({"service_workers": 0}, "--service-workers 0"),
        ({"host": "127.0.0.1:80"}, "--host"),
        ({"host": "ftp://x"}, "--host"),
        ({"endpoint": "serach"}, "--endpoint serach: the contract has generate, search, admin"),
        ({"start": True}, "--start needs a contract with [target.control]"),
        ({"contract": None}, "nothing to run"),
        ({"contract": None, "locustfile": Path("x.py")}, "needs --host URL"),
        ({"contract": None, "locustfile": Path("x.py"), "host": "http://h", "endpoint": "e"}, "--endpoint e"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_sentence_that_names_the_word(words: dict[str, Any], part: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked(spec(**words))
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_one_endpoint_alone_takes_the_whole_load_even_if_it_was_disabled_or_weightless() -> None:
    chosen = checked(spec(endpoint="admin")).contract
    assert chosen is not None
    assert [(e.name, e.enabled, e.weight) for e in chosen.endpoint] == [("admin", True, 1)]
    limited = contract(slo={"search": {"p95_ms": 5}, "generate": {"p95_ms": 5}, "all": {"error_rate": 0.1}})
    assert set(checked(spec(contract=limited, endpoint="search")).limits()) == {"search", "all"}


def plan(chosen: Spec, rate: float = 10.0) -> Any:
    return load_plan(checked(chosen), "r", ["http://127.0.0.1:1"], [], rate)


def test_the_drain_is_the_longest_timeout_in_use() -> None:
    made = plan(spec())
    assert (made.drain_s, made.timeout_s) == (9.0, 9.0)
    assert plan(spec(endpoint="search")).drain_s == 2.0


def test_the_pool_holds_peak_rate_times_timeout_times_1_2() -> None:
    assert pool_needed([Stage("a", 1, 5, 20), Stage("b", 1, 10, 10)], 9.0) == pytest.approx(20 * 9 * 1.2)
    assert plan(spec(), rate=20.0).pool_cap == 20 * 9 * 1.2 + 1
    assert plan(spec(shape="breakpoint"), rate=40.0).pool_cap == 40 * 9 * 1.2 + 1
    assert plan(spec(), rate=0.1).pool_cap >= 10


def test_the_pool_of_a_replay_is_sized_by_the_trace() -> None:
    burst = Process("replay", times_s=tuple(k / 1_000 for k in range(500)))
    made = plan(spec(process=burst, duration_s=60.0), rate=1.0)
    assert made.pool_cap >= 500
    assert sum(stage.expected for stage in made.stages) == pytest.approx(500)
    assert made.peak_rps >= 50


def test_the_same_seed_gives_the_same_nonce_and_no_seed_a_new_one() -> None:
    assert plan(spec(seed=4)).nonce == plan(spec(seed=4)).nonce
    assert plan(spec(seed=4)).seed == 4
    assert plan(spec()).nonce != plan(spec()).nonce and plan(spec()).seed != plan(spec()).seed


def test_a_smoke_test_is_one_request_a_second_unless_told_otherwise() -> None:
    assert [stage.start_rps for stage in plan(spec(shape="smoke", duration_s=10.0), 99.0).stages] == [1.0]
    assert [stage.start_rps for stage in plan(spec(shape="smoke", rate_rps=4.0), 99.0).stages] == [4.0]


def test_the_duration_of_a_plan_is_without_warm_up_and_drain() -> None:
    made = plan(spec(duration_s=20.0, warmup_s=5.0))
    assert made.duration_s == 20.0 and sum(stage.duration_s for stage in made.stages) == 25.0


def test_limits_are_those_of_the_contract_without_its_empty_sections() -> None:
    limited = contract(slo={"search": {"p95_ms": 5, "error_rate": 0.1}, "all": {}})
    assert spec(contract=limited).limits() == {"search": {"p95_ms": 5, "error_rate": 0.1}}
    assert spec().limits() == {}
    assert replace(spec(), contract=None, locustfile=Path("visitors.py")).target_name == "visitors"


@pytest.mark.parametrize(
    ("workers", "cores", "generator", "target"),
    [
        (1, [0, 1], [[1]], [0]),
        (1, [0, 1, 2, 3], [[3]], [0, 1, 2]),
        (3, [0, 1, 2, 3], [[1], [2], [3]], [0]),
        (5, [0, 1], [[1]] * 5, [0]),
        (2, [4], [], []),
    ],
)
def test_the_generator_has_cores_of_its_own_and_one_is_always_left_for_the_service(
    workers: int, cores: list[int], generator: list[list[int]], target: list[int]
) -> None:
    placement = place(workers, target_is_here=True, cores=cores)
    assert (placement.generator, placement.target) == (generator, target)
    assert placement.reason


def test_nothing_is_pinned_when_the_service_runs_elsewhere() -> None:
    assert place(1, target_is_here=False, cores=[0, 1]).generator == []


@pytest.mark.parametrize(("rate", "seconds"), [(200.0, 60.0), (29.0, 99.0), (2.0, LONGEST_S)])
def test_a_breakpoint_without_a_length_lasts_until_its_middle_step_can_be_judged(rate: float, seconds: float) -> None:
    halves = contract(
        endpoint=[{"name": "ask", "path": "/a"}, {"name": "find", "path": "/f"}],
        slo={"ask": {"p95_ms": 5000.0}, "find": {"p95_ms": 500.0}},
    )
    assert stretched(spec(contract=halves, shape="breakpoint", stretch=True), rate).duration_s == seconds


def test_a_length_that_was_given_stays() -> None:
    assert stretched(spec(shape="breakpoint", duration_s=60.0), 2.0).duration_s == 60.0


def test_only_endpoints_with_a_limit_of_their_own_make_a_breakpoint_longer() -> None:
    one_of_four = contract(slo={"generate": {"p95_ms": 5000.0}})
    assert stretched(spec(contract=one_of_four, shape="breakpoint", stretch=True), 80.0).duration_s == 72.0
    assert stretched(spec(shape="breakpoint", stretch=True), 80.0).duration_s == 60.0
