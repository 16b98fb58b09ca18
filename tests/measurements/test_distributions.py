"""The short cuts to scipy.special say what scipy.stats says."""

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from measurements import distributions as d

COUNTS = st.integers(1, 5_000)
SHARES = st.floats(1e-4, 1 - 1e-4)


@given(n=COUNTS, p=SHARES, q=st.floats(1e-6, 1 - 1e-6))
def test_binomial_quantile_is_the_smallest_count_that_holds_the_probability(n: int, p: float, q: float) -> None:
    """Where the probability is met but for the last digits (n odd, p and q a half), two neighbours are both right."""
    k = d.binomial_quantile(q, n, p)
    assert stats.binom.cdf(k, n, p) >= q - 1e-9
    assert stats.binom.cdf(k - 1, n, p) <= q + 1e-9
    assert abs(k - int(stats.binom.ppf(q, n, p))) <= 1


@given(
    n=COUNTS,
    q=st.sampled_from([0.01, 0.025, 0.05, 0.95, 0.975, 0.99]),
    p=st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999]),
)
def test_the_ranks_of_intervals_are_those_of_scipy_stats(n: int, p: float, q: float) -> None:
    assert d.binomial_quantile(q, n, p) == int(stats.binom.ppf(q, n, p))


@given(n=COUNTS, p=SHARES, share=st.floats(0, 1))
def test_binomial_tail_and_probability(n: int, p: float, share: float) -> None:
    k = round(share * n)
    assert d.binomial_above(k - 1, n, p) == pytest.approx(float(stats.binom.sf(k - 1, n, p)), rel=1e-6, abs=1e-200)
    assert d.binomial_log_probability(k, n, p) == pytest.approx(float(stats.binom.logpmf(k, n, p)), rel=1e-9, abs=1e-6)


@given(n=COUNTS, share=st.floats(0, 1), tail=st.floats(0.001, 0.2))
def test_bounds_of_a_share_are_clopper_and_pearsons(n: int, share: float, tail: float) -> None:
    hits = round(share * n)
    low, high = d.share_bounds(hits, n, tail)
    expected = stats.binomtest(hits, n).proportion_ci(1 - 2 * tail, method="exact")
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


@given(q=st.floats(0.001, 0.999), freedom=st.integers(1, 500))
def test_student_and_chi_square(q: float, freedom: int) -> None:
    assert d.student_quantile(q, freedom) == pytest.approx(float(stats.t.ppf(q, freedom)), rel=1e-6, abs=1e-9)
    assert d.chi_square_quantile(q, freedom) == pytest.approx(float(stats.chi2.ppf(q, freedom)), rel=1e-6)


def test_the_ends_of_the_scale() -> None:
    assert d.binomial_quantile(0.5, 10, 0.0) == 0
    assert d.binomial_quantile(0.5, 10, 1.0) == 10
    assert d.share_bounds(0, 10, 0.05)[0] == 0.0
    assert d.share_bounds(10, 10, 0.05)[1] == 1.0
    assert isnan(d.student_quantile(0.9, 0))
