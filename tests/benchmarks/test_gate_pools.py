"""Gates from a recorded pool: no part goes into two gates, a round's gates share nothing, known changes come out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.gate.blocks import Side
from benchmarks.gate.judging import Verdict
from benchmarks.gate.pools import Piece, apart, deal, evaluate
from tests.benchmarks.virtual_duets import RULES, TYPICAL

KINDS = {"equal": 6, "slower": 3}


def pool(pieces: int, blocks: int = 10, slower: float = 0.10) -> list[Piece]:
    random = np.random.default_rng(3)
    labels = [f"{kind}.{k}" for kind, count in KINDS.items() for k in range(count)]

    def side(label: str) -> Side:
        step = 1 + slower * label.startswith("slower")
        figures = {
            ("search", m): v * step * float(np.exp(0.005 * random.standard_normal())) for m, v in TYPICAL.items()
        }
        figures["all", "cpu_s_per_request"] = figures.pop(("search", "cpu_s_per_request"))
        return Side(figures | {("all", "error_rate"): 0.0}, {"all": 400, "search": 400})

    return [Piece(labels, [[side(label) for label in labels] for _ in range(blocks)]) for _ in range(pieces)]


@pytest.mark.parametrize(("new", "pairs"), [("equal", 15), ("slower", 18)])
def test_every_pair_is_dealt_once_and_neighbours_have_other_processes_and_moments(new: str, pairs: int) -> None:
    parts = deal(pool(4), "equal", new)
    assert len({part.versions for part in parts}) == len(parts) == pairs * 4 * 2  # pieces, parts of each
    for one, other in pairwise(parts):
        assert not one.versions & other.versions
    assert all(len({id(p.piece) for p in parts[k : k + 4]}) == 4 for k in range(0, len(parts), 4))


def test_equal_versions_pass_and_slower_ones_fail_with_the_change_that_was_planted() -> None:
    pieces = pool(14)
    equal, slower = (evaluate(pieces, "equal", kind, RULES, "search", 24) for kind in ("equal", "slower"))
    assert {gate.verdict for gate in equal} == {Verdict.PASS} and len(equal) > 100
    assert {gate.verdict for gate in slower} == {Verdict.FAIL} and len(slower) > 60
    assert np.median([gate.change for gate in slower]) == pytest.approx(1.10, abs=0.01)


def test_no_gate_uses_a_versions_blocks_twice_and_those_that_share_nothing_are_told_apart() -> None:
    gates = evaluate(pool(10), "equal", "equal", RULES, "search", 24)
    assert all(len(gate.versions) == 6 for gate in gates), "three parts each, of two versions"
    alone = apart(gates)
    assert 10 <= len(alone) < len(gates)
    assert sum(len(gate.versions) for gate in alone) == len(frozenset().union(*(gate.versions for gate in alone)))


def test_a_pool_that_is_too_small_for_a_gate_says_nothing() -> None:
    assert evaluate(pool(1, 5), "equal", "equal", RULES, "search", 24) == []
    assert evaluate([], "equal", "equal", RULES, "search", 24) == []
