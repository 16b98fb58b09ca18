"""The paired statistics: exact, in the right unit, and what the textbook and scipy say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from benchmarks.gate.paired import compare, fewest_blocks, holm, minimum_detectable, sign_flip

finite = st.floats(-1, 1, allow_nan=False).map(lambda x: round(x, 3))


@given(st.lists(finite, min_size=1, max_size=9))
@settings(max_examples=60)
def test_the_sign_flip_counts_all_flips_ties_and_zeros_included(values: list[float]) -> None:
    d = np.array(values)
    ranks = rankdata(np.abs(d))
    observed = ranks[d > 0].sum()
    flips = [ranks[(np.array(signs) > 0) & (d != 0)].sum() for signs in product((-1, 1), repeat=len(d))]
    above, below = sign_flip(d)
    assert above == pytest.approx(np.mean([f >= observed - 1e-9 for f in flips]))
    assert below == pytest.approx(np.mean([f <= observed + 1e-9 for f in flips]))


@pytest.mark.parametrize("blocks", [6, 11, 24])
def test_without_ties_it_is_scipys_exact_signed_rank_test(blocks: int) -> None:
    d = np.random.default_rng(blocks).normal(0.3, 1, blocks)
    assert sign_flip(d)[0] == pytest.approx(wilcoxon(d, alternative="greater", method="exact").pvalue)


@given(st.lists(finite, min_size=6, max_size=30), st.floats(-0.5, 0.5))
@settings(max_examples=60)
def test_a_shift_of_all_blocks_shifts_estimate_and_interval(values: list[float], shift: float) -> None:
    d = np.array(values)
    here, there = compare(d), compare(d + shift)
    assert here is not None and there is not None
    assert here.low <= here.theta <= here.high
    for name in ("theta", "low", "high"):
        assert getattr(there, name) == pytest.approx(getattr(here, name) + shift, abs=1e-9)
    assert there.minimum_detectable == pytest.approx(here.minimum_detectable, abs=1e-9)


@given(st.lists(finite, min_size=6, max_size=20))
@settings(max_examples=40)
def test_swapping_the_versions_mirrors_everything(values: list[float]) -> None:
    one, other = compare(np.array(values)), compare(-np.array(values))
    assert one is not None and other is not None
    assert (other.theta, other.low, other.high) == pytest.approx((-one.theta, -one.high, -one.low))
    assert other.p_either == pytest.approx(one.p_either)


def test_the_interval_holds_the_truth_as_often_as_it_says_whatever_the_law() -> None:
    random = np.random.default_rng(7)
    inside = 0
    for _ in range(600):
        found = compare(0.05 + 0.02 * random.standard_t(3, size=16))
        inside += found is not None and found.low <= 0.05 <= found.high
    assert inside / 600 >= 0.93


def test_one_wild_block_neither_moves_the_estimate_nor_blinds_it() -> None:
    d = np.random.default_rng(3).normal(0.0, 0.01, 16)
    calm, wild = compare(d), compare(np.append(d[:-1], 5.0))
    assert calm is not None and wild is not None
    assert abs(wild.theta - calm.theta) < 0.01
    assert wild.minimum_detectable < 2 * calm.minimum_detectable


def test_the_smallest_noticeable_change_is_the_one_of_the_formula() -> None:
    assert minimum_detectable(0.031, 12) == pytest.approx((1.7959 + 0.8755) * 0.031 / 12**0.5, rel=1e-3)


def test_too_few_blocks_carry_nothing() -> None:
    assert compare(np.zeros(5)) is None
    assert compare(np.array([0.1] * 5 + [np.nan] * 20)) is None
    assert (fewest_blocks(0.95), fewest_blocks(0.99)) == (6, 8)


def test_holm_multiplies_by_what_is_left() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
