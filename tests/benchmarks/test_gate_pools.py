"""Gates from a recorded pool: no part goes into two gates, a round's gates share nothing, known changes come out."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gate.blocks import Side
from benchmarks.gate.judging import Verdict
from benchmarks.gate.pools import Part, Piece, deal, evaluate
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


def used(part: Part) -> set[tuple[int, int, str]]:
    return {(id(part.piece), part.first, label) for label in (part.base, part.new)}


@pytest.mark.parametrize(("new", "rounds", "pairs"), [("equal", 5, 15), ("slower", 6, 18)])
def test_every_pair_is_dealt_once_and_in_a_round_no_version_twice(new: str, rounds: int, pairs: int) -> None:
    dealt = deal(pool(4), "equal", new)
    assert len(dealt) == rounds
    assert sum(len(parts) for parts in dealt) == pairs * 4 * 2  # pieces, parts of each
    everywhere = [frozenset(used(part)) for parts in dealt for part in parts]
    assert len(set(everywhere)) == len(everywhere)
    for parts in dealt:
        seen = [version for part in parts for version in used(part)]
        assert len(set(seen)) == len(seen)
        assert all(len({id(p.piece) for p in parts[k : k + 4]}) == 4 for k in range(0, len(parts), 4))


def test_equal_versions_pass_and_slower_ones_fail_with_the_change_that_was_planted() -> None:
    pieces = pool(20)
    equal, slower = (evaluate(pieces, "equal", kind, RULES, "search", 24) for kind in ("equal", "slower"))
    assert equal.verdicts[Verdict.FAIL] == 0 and equal.verdicts[Verdict.PASS] == equal.verdicts.total() > 150
    assert slower.verdicts[Verdict.FAIL] == slower.verdicts.total() > 50
    assert np.median(slower.ratios) == pytest.approx(1.10, abs=0.01)
    assert equal.fullest.total() <= 20 * 2 * 3 // 3  # three parts a gate at least


def test_a_pool_that_is_too_small_for_a_gate_says_nothing() -> None:
    assert evaluate(pool(2), "equal", "equal", RULES, "search", 24).verdicts.total() == 0
