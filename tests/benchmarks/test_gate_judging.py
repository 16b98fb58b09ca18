"""One look: which verdict a pair gets, how primaries share α, what is only reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.gate.judging import Series, Verdict, judge
from benchmarks.gate.rules import Look, Rules, default_primaries, rules_of
from measurements.errors import ContractError
from targets.contract import Contract
from targets.contract_file import parse

LOOK = Look(16, 1.0, 0.95, True)
PAIR = ("search", "mean_ms")
RULES = Rules(0.03, 0.05, (PAIR,), "neutral", True)


def around(change: float, spread: float, blocks: int = 16) -> Series:
    """Differences exactly symmetric around ln(1 + change)."""
    return Series(np.log(1 + change) + spread * np.linspace(-1, 1, blocks), 10.0, 10.0 * (1 + change))


@pytest.mark.parametrize(
    ("change", "spread", "verdict"),
    [
        (0.00, 0.01, Verdict.PASS),
        (-0.2, 0.01, Verdict.PASS),
        (0.02, 0.005, Verdict.PASS),  # surely slower, and surely by less than matters
        (0.03, 0.005, Verdict.WARN),
        (0.05, 0.01, Verdict.FAIL),
        (0.00, 0.20, Verdict.BLIND),
        (0.50, 0.20, Verdict.FAIL),  # too large to be missed by a blunt instrument
    ],
)
def test_each_verdict_has_its_place(change: float, spread: float, verdict: Verdict) -> None:
    assert judge({PAIR: around(change, spread)}, RULES, LOOK).verdict is verdict


def test_what_is_not_clear_yet_waits_for_the_last_look() -> None:
    early = Look(16, 0.2, 0.99, False)
    assert judge({PAIR: around(0.03, 0.005)}, RULES, early).verdict is Verdict.INCONCLUSIVE


def test_primaries_share_alpha_and_the_rest_is_reported() -> None:
    pairs = tuple((f"e{k}", "mean_ms") for k in range(5))
    series = {pair: around(0.0, 0.01) for pair in pairs} | {("other", "p50_ms"): around(0.4, 0.01)}
    found = judge(series, Rules(0.03, 0.05, pairs, "neutral", True), LOOK)
    assert found.verdict is Verdict.PASS
    other = next(c for c in found.comparisons if c.endpoint == "other")
    assert (other.primary, other.verdict, other.why) == (False, None, "changed")
    single = judge({pairs[0]: around(0.05, 0.01)}, RULES, LOOK)
    assert [c.endpoint for c in found.comparisons][-1] == "other"
    assert single.comparisons


def test_a_confirmation_is_only_about_what_failed() -> None:
    second = ("search", "p50_ms")
    rules = Rules(0.03, 0.05, (PAIR, second), "neutral", True)
    series = {PAIR: around(0.0, 0.3), second: around(0.1, 0.01)}
    assert judge(series, rules, LOOK).verdict is Verdict.FAIL
    assert judge({PAIR: around(0.0, 0.3), second: around(0.0, 0.01)}, rules, LOOK, [second]).verdict is Verdict.PASS


def contract(primaries: str = "") -> Contract:
    import tomllib

    text = f"""
    [target]
    name = "s"
    base_url = "http://127.0.0.1:1"
    [[endpoint]]
    name = "ask"
    kind = "generation"
    path = "/ask"
    [[endpoint]]
    name = "off"
    path = "/off"
    weight = 0
    [gate]
    primaries = [{primaries}]
    """
    return parse(tomllib.loads(text), Path("s.toml"))


def test_without_a_word_the_main_endpoint_is_judged() -> None:
    assert default_primaries(contract()) == (
        ("ask", "mean_ms"), ("ask", "p50_ms"), ("ask", "p95_ms"), ("all", "cpu_s_per_request"), ("all", "error_rate"),
    )  # fmt: skip
    assert default_primaries(contract(), {"ask": 25.0})[:2] == (("ask", "mean_ms"), ("ask", "p50_ms"))
    assert rules_of(contract()).declared is False
    assert rules_of(contract('"ask:p50_ms"')).primaries == (("ask", "p50_ms"),)


def test_at_a_low_rate_service_time_and_cpu_are_judged_instead_of_medians() -> None:
    assert default_primaries(contract(), {"ask": 2.0}) == (
        ("ask", "service_mean_ms"), ("all", "cpu_s_per_request"), ("all", "error_rate"),
    )  # fmt: skip


def test_what_is_unsure_says_how_much_slower_it_is_at_most() -> None:
    found = judge({PAIR: around(0.0, 0.2)}, RULES, LOOK).comparisons[0]
    assert found.paired is not None and found.paired.theta < found.paired.at_most < found.paired.high
    assert f"more by {np.exp(found.paired.at_most) - 1:.1%} at most" in found.why


def test_growing_memory_is_judged_in_kib_where_it_is_a_primary() -> None:
    pair = ("all", "leak_kib_per_request")
    rules = Rules(0.03, 0.05, (pair,), "neutral", True)
    grown = Series(np.linspace(1.9, 2.3, 16), 0.1, 2.2)
    assert judge({pair: grown}, rules, LOOK).verdict is Verdict.FAIL
    assert judge({pair: Series(np.linspace(-0.2, 0.2, 16), 0.1, 0.1)}, rules, LOOK).verdict is Verdict.PASS
    assert "the floor is 1.00 KiB" in judge({pair: Series(np.linspace(-9, 9, 16))}, rules, LOOK).comparisons[0].why


@pytest.mark.parametrize(
    ("primaries", "said"),
    [
        ('"ask"', "write endpoint:metric"),
        ('"ask:median"', "write endpoint:metric"),
        ('"of:mean_ms"', "endpoints that are sent: ask, or all"),
        ('"off:mean_ms"', "endpoints that are sent: ask, or all"),
        ('"ask:cpu_s_per_request"', "write all:cpu_s_per_request"),
        ('"ask:leak_kib_per_request"', "write all:leak_kib_per_request"),
        ('"ask:mean_ms", "ask:p50_ms", "ask:p95_ms", "all:mean_ms", "all:p50_ms", "all:p95_ms"', "5 at most"),
    ],
)
def test_impossible_primaries_are_refused_with_what_is_possible(primaries: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        rules_of(contract(primaries))
