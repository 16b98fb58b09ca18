"""Whole gates in virtual time: how often they cry wolf, what they miss, and what they never show green."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from scipy.stats import binomtest

from benchmarks.gate import course
from benchmarks.gate.judging import Verdict
from benchmarks.gate.rules import looks, plan_blocks
from tests.benchmarks.virtual_duets import RULES, Virtual

SLOWER = {"mean_ms": 1.0, "p50_ms": 1.0, "p95_ms": 1.0}
PLANNED = 17


def gate(virtual: Virtual, planned: int = PLANNED) -> course.Outcome:
    return course.run(virtual.fresh, RULES, ["search"], planned)


def verdicts(gates: int, by: float, **words: object) -> Counter[Verdict]:
    change = {metric: by * share for metric, share in SLOWER.items()}
    return Counter(gate(Virtual(seed, change, **words)).verdict for seed in range(gates))  # type: ignore[arg-type]


def test_equal_versions_rarely_fail_and_mostly_pass() -> None:
    found = verdicts(200, 0.0)
    assert binomtest(found[Verdict.FAIL], 200).proportion_ci(method="exact").high <= 0.02
    assert found[Verdict.PASS] >= 0.75 * 200


@pytest.mark.parametrize(("by", "least"), [(0.05, 0.70), (0.10, 0.95), (0.20, 0.99)])
def test_a_slowdown_that_matters_fails(by: float, least: float) -> None:
    assert verdicts(60, by)[Verdict.FAIL] >= least * 60


def test_a_slowdown_below_the_floor_is_no_failure() -> None:
    found = verdicts(60, 0.015)
    assert found[Verdict.FAIL] == 0


def test_a_faster_candidate_passes() -> None:
    assert verdicts(30, -0.10) == Counter({Verdict.PASS: 30})


def test_a_noisy_machine_is_blind_not_green() -> None:
    found = verdicts(40, 0.0, noise=8.0)
    assert found[Verdict.PASS] == 0
    assert found[Verdict.BLIND] >= 36


def test_what_is_large_enough_is_seen_through_noise_too() -> None:
    assert verdicts(20, 1.0, noise=4.0)[Verdict.FAIL] >= 19


def test_a_clear_answer_ends_it_at_the_early_look() -> None:
    virtual = Virtual(1, noise=0.5)
    assert gate(virtual).verdict is Verdict.PASS
    assert virtual.recorded == [looks(PLANNED)[0].blocks] == [11]


def test_an_unsure_duet_is_extended_once_and_no_further() -> None:
    virtual = Virtual(2, noise=8.0)
    outcome = gate(virtual)
    assert outcome.verdict is Verdict.BLIND
    assert sum(virtual.recorded) == looks(PLANNED)[-1].blocks == 26
    assert [j.look.alpha_share for j in outcome.duets[0].judgements] == pytest.approx([0.2, 0.4, 0.4])


def test_fail_needs_a_second_duet_that_agrees() -> None:
    outcome = gate(Virtual(3, {"mean_ms": 0.2, "p50_ms": 0.2}))
    assert (outcome.verdict, outcome.agreed, len(outcome.duets)) == (Verdict.FAIL, True, 2)
    outcome = gate(Virtual(3, {"mean_ms": 0.2, "p50_ms": 0.2}, second_change={}))
    assert (outcome.verdict, outcome.agreed) == (Verdict.INCONCLUSIVE, False)
    assert "did not confirm" in outcome.reasons[0]


def test_cpu_alone_is_seen() -> None:
    outcome = gate(Virtual(4, {"cpu_s_per_request": 0.2}))
    assert outcome.verdict is Verdict.FAIL
    assert "CPU per request" in outcome.reasons[0]


def test_more_failures_are_a_failure_even_when_they_are_fast() -> None:
    outcome = gate(Virtual(5, {"mean_ms": -0.3}, errors=(0.001, 0.05)))
    assert outcome.verdict is Verdict.FAIL
    assert "errors" in outcome.reasons[0]


@pytest.mark.parametrize(
    ("words", "verdict", "said"),
    [
        ({"die_after": 0}, Verdict.FAIL, "the candidate died and the baseline lived"),
        ({"die_after": 12}, Verdict.PASS, ""),
        ({"die_after": 0, "who_dies": "baseline"}, Verdict.INVALID, "nothing to compare with"),
        ({"invalid": "the run is INVALID"}, Verdict.INVALID, "INVALID"),
        ({"late_share": 0.6}, Verdict.INVALID, "the generator was 40.0 ms late"),
        ({"errors": (0.9, 0.9)}, Verdict.INVALID, "no baseline"),
        ({"errors": (0.0, 0.9)}, Verdict.FAIL, "the candidate failed"),
        ({"requests": 10}, Verdict.BLIND, "needs"),
    ],
)
def test_what_cannot_be_used_is_never_green(words: dict[str, object], verdict: Verdict, said: str) -> None:
    outcome = gate(Virtual(6, **words))  # type: ignore[arg-type]
    assert outcome.verdict is verdict
    assert said in " ".join(outcome.reasons)


def test_a_few_blocks_with_a_late_generator_are_left_out() -> None:
    outcomes = [gate(Virtual(seed, noise=0.5, late_share=0.1)) for seed in range(5)]
    assert {outcome.verdict for outcome in outcomes} == {Verdict.PASS}
    assert any(block.voided for outcome in outcomes for block in outcome.duets[0].blocks)


def test_blocks_with_a_late_generator_are_made_up_for_so_that_a_look_has_all_its_blocks() -> None:
    said: list[str] = []
    virtual = Virtual(11, noise=0.5, late_share=0.3)
    outcome = course.run(virtual.fresh, RULES, ["search"], PLANNED, said.append)
    duet = outcome.duets[0]
    assert any("are no evidence (the generator was 40.0 ms late" in line for line in said)
    assert len(duet.blocks) > len(duet.kept)
    assert len({block.name for block in duet.blocks}) == len(duet.blocks)
    assert len(virtual.recorded) == 2 * len(duet.judgements)  # at each look once, and no more


def test_a_primary_that_was_not_measured_is_blind() -> None:
    rules = replace(RULES, primaries=(*RULES.primaries, ("search", "ttft_p50_ms")))
    outcome = course.run(Virtual(8).fresh, rules, ["search"], PLANNED)
    assert outcome.verdict is Verdict.BLIND
    assert outcome.reasons == ["search ttft_p50_ms: it was not measured"]


def test_blocks_are_as_many_as_leave_400_requests_each() -> None:
    assert plan_blocks(169, 40) == (16, pytest.approx(169 / 16))
    assert plan_blocks(169, 500)[0] == 24
    assert plan_blocks(169, 1)[0] == 10
