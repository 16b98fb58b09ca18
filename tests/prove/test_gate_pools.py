"""The gate's own error rates, from the block pool: equal versions, and the planted changes that have to be seen."""

from __future__ import annotations

import pytest

from tests.prove import gate_pools

pytestmark = pytest.mark.prove
Shares = dict[tuple[str, str], float]


@pytest.fixture(scope="module")
def shares() -> Shares:
    rows = gate_pools.figures(gate_pools.gates(gate_pools.read()))
    if not rows:
        pytest.skip("the pool is too small for a gate: make prove-gate")
    return {(row["case"], row["what"]): row["share"] for row in rows}


def test_equal_versions_fail_in_two_of_a_hundred_gates_at_most_and_mostly_pass(shares: Shares) -> None:
    assert shares["equal versions", "FAIL"] <= 0.02
    assert shares["equal versions", "PASS"] >= 0.75


def test_a_tenth_slower_fails_and_is_hardly_ever_unsure(shares: Shares) -> None:
    assert shares["+10 % service time", "FAIL"] >= 0.95
    assert shares["+10 % service time", "BLIND or INCONCLUSIVE"] <= 0.05


def test_a_twentieth_slower_mostly_fails(shares: Shares) -> None:
    assert shares["+5 % service time", "FAIL"] >= 0.70


@pytest.mark.parametrize("case", ["+20 % delay", "+20 % CPU", "+30 % memory"])
def test_larger_changes_fail(shares: Shares, case: str) -> None:
    assert shares[case, "FAIL"] >= 0.95
