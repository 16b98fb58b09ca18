"""Percentiles with their doubt: what n is needed, how often the interval holds, what correlation costs."""

from math import comb, exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measurements.quantiles import QUANTILES, distribution, inflation, needed, ranks

rng = np.random.default_rng


def coverage(n: int, p: float, lower: int, upper: int) -> float:
    """Σ_{i=l}^{u−1} C(n,i) p^i (1−p)^{n−i}, written out as truth.md gives it."""
    return sum(exp(log(comb(n, i)) + i * log(p) + (n - i) * log(1 - p)) for i in range(lower, upper))


def autoregressive(n: int, correlation: float, seed: int) -> np.ndarray:
    """A latency-like series: exp of an AR(1) process."""
    random = rng(seed)
    noise = random.normal(size=n) * (1 - correlation**2) ** 0.5
    values = np.empty(n)
    values[0] = random.normal()
    for k in range(1, n):
        values[k] = correlation * values[k - 1] + noise[k]
    return np.exp(values)


@pytest.mark.parametrize(("p", "n"), [(0.95, 72), (0.99, 368), (0.999, 3_688), (0.9999, 36_887)])
def test_a_two_sided_interval_needs_as_many_samples_as_the_formula_says(p: float, n: int) -> None:
    assert needed(p) == n
    assert ranks(n - 1, p) is None
    assert ranks(n, p) is not None


@settings(max_examples=150)
@given(st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.integers(6, 3_000))
def test_the_ranks_hold_the_quantile_with_at_least_95_percent(p: float, n: int) -> None:
    found = ranks(n, p)
    if found is None:
        assert n < needed(p)
        return
    lower, upper = found
    assert 1 <= lower < upper <= n
    assert coverage(n, p, lower, upper) >= 0.95


@pytest.mark.parametrize(("name", "n"), [("p50", 200), ("p95", 72), ("p95", 400), ("p99", 500)])
def test_over_many_simulated_runs_the_interval_holds_the_true_quantile_at_least_95_times_in_100(
    name: str, n: int
) -> None:
    random, true, held, runs = rng(7), -log(1 - QUANTILES[name]), 0, 400
    for _ in range(runs):
        low, high = distribution(random.exponential(size=n)).quantiles[name].ci95 or (0.0, 0.0)
        held += low <= true <= high
    assert held / runs >= 0.917  # 0.95 less three standard errors
    assert held / runs < 1


def test_one_sided_bounds_hold_95_times_in_100_where_the_percentile_itself_cannot_be_given() -> None:
    random, true, held, runs = rng(11), -log(1 - 0.95), 0, 400
    for _ in range(runs):
        quantile = distribution(random.exponential(size=40)).quantiles["p95"]
        assert quantile.value is None and quantile.at_least is not None
        held += quantile.at_least <= true
    assert held / runs >= 0.917


@pytest.mark.parametrize(("name", "n"), [("p95", 20), ("p99", 100), ("p99_9", 1_000)])
def test_a_lower_bound_is_given_from_the_first_n_that_can_show_the_percentile(name: str, n: int) -> None:
    enough = distribution(np.arange(n, dtype=float)).quantiles[name]
    too_few = distribution(np.arange(n - 1, dtype=float)).quantiles[name]
    assert enough.value is None and enough.at_least is not None
    assert too_few.value is None and too_few.at_least is None and too_few.at_most is None


def test_a_percentile_that_cannot_be_given_leaves_the_sample_s_own_for_who_puts_many_together() -> None:
    values = np.random.default_rng(2).exponential(1.0, 60)
    assert distribution(values).quantiles["p95"].sample == np.sort(values)[56]
    assert distribution(values[:10]).quantiles["p95"].sample is None
    given = distribution(np.random.default_rng(2).exponential(1.0, 600)).quantiles["p95"]
    assert given.value is not None and given.sample is None


def test_an_upper_bound_appears_once_all_samples_below_it_would_be_too_unlikely() -> None:
    values = rng(3).permutation(np.arange(70, dtype=float))
    assert distribution(values[:58]).quantiles["p95"].at_most is None  # 0.95^58 = 5.1 %
    assert distribution(values[:59]).quantiles["p95"].at_most == values[:59].max()  # 0.95^59 = 4.9 %


def test_a_percentile_is_a_value_that_was_measured_and_at_least_p_of_the_samples_lie_at_or_below_it() -> None:
    values = rng(1).permutation(np.arange(1, 101, dtype=float))
    found = distribution(values)
    assert (found.quantiles["p50"].value, found.quantiles["p95"].value) == (50.0, 95.0)
    assert (found.minimum, found.mean, found.maximum, found.n) == (1.0, 50.5, 100.0, 100)


def test_independent_samples_keep_their_full_n() -> None:
    kept = [distribution(rng(seed).exponential(size=2_000)).quantiles["p95"].n_effective for seed in range(40)]
    assert np.mean([n == 2_000 for n in kept]) > 0.85


def test_correlated_samples_are_worth_fewer_and_the_method_says_so() -> None:
    quantile = distribution(autoregressive(6_000, 0.95, 5)).quantiles["p95"]
    assert quantile.n_effective < 1_500
    assert quantile.method == "order statistics, batch means"
    assert quantile.ci95 is not None
    iid = distribution(rng(5).permutation(autoregressive(6_000, 0.95, 5))).quantiles["p95"]
    assert iid.ci95 is not None
    assert quantile.ci95[1] - quantile.ci95[0] > 1.5 * (iid.ci95[1] - iid.ci95[0])


def test_the_interval_of_correlated_samples_holds_the_true_quantile_far_more_often_than_the_iid_one_would() -> None:
    true = float(np.exp(1.6448536))  # p95 of exp(N(0, 1))
    with_batches = without = 0
    for seed in range(60):
        series = autoregressive(4_000, 0.95, seed)
        low, high = distribution(series).quantiles["p95"].ci95 or (0.0, 0.0)
        with_batches += low <= true <= high
        lower, upper = ranks(len(series), 0.95) or (1, 1)
        ranked = np.sort(series)
        without += ranked[lower - 1] <= true <= ranked[upper - 1]
    assert without < 40
    assert with_batches >= 50


def test_the_reason_of_a_null_says_what_it_needs_what_it_has_and_how_long_that_takes() -> None:
    series = rng(9).exponential(size=6_000)
    series[3_000:3_010] += np.arange(50, 60)  # one stall: the slowest samples lie side by side
    quantile = distribution(series, rate_per_s=30).quantiles["p99_9"]
    assert quantile.value is None
    excess = inflation(series, float(np.sort(series)[5_993]), 0.999)
    assert quantile.n_effective < 1_500
    minutes = int(np.ceil((3_688 - quantile.n_effective) * excess / 30 / 60))
    assert quantile.why_null == (
        f"needs 3688 samples, has 6000 correlated ones worth {quantile.n_effective}: {minutes} more minutes at this rate"
    )


def test_a_short_want_is_told_in_seconds_and_an_uncorrelated_one_without_a_worth() -> None:
    quantile = distribution(rng(2).exponential(size=60), rate_per_s=2).quantiles["p95"]
    assert quantile.why_null == "needs 72 samples, has 60: 6 more seconds at this rate"
    assert distribution(rng(2).exponential(size=60)).quantiles["p95"].why_null == "needs 72 samples, has 60"


def test_after_as_long_as_the_reason_says_the_percentile_can_be_given() -> None:
    values = rng(4).exponential(size=1_000)
    assert distribution(values[:200], rate_per_s=2).quantiles["p99"].why_null == (
        "needs 368 samples, has 200: 84 more seconds at this rate"
    )
    assert distribution(values[: 200 + 2 * 84], rate_per_s=2).quantiles["p99"].value is not None


def test_no_sample_at_all_is_null_with_a_reason_and_not_an_exception() -> None:
    found = distribution(np.array([]))
    assert (found.n, found.mean, found.minimum) == (0, None, None)
    assert found.quantiles["p95"].why_null == "needs 72 samples, has none"


@pytest.mark.parametrize("n", [1, 2, 5, 19, 20, 71, 72, 99, 100, 101, 367])
def test_any_number_of_equal_samples_is_described_without_an_exception(n: int) -> None:
    found = distribution(np.full(n, 12.5))
    assert found.mean == found.minimum == found.maximum == 12.5
    for quantile in found.quantiles.values():
        assert (quantile.value in (None, 12.5)) and (quantile.value is not None or quantile.why_null)


def test_the_mean_carries_an_interval_that_correlation_widens() -> None:
    series = autoregressive(5_000, 0.95, 8)
    low, high = distribution(series).mean_ci95 or (0.0, 0.0)
    shuffled_low, shuffled_high = distribution(rng(8).permutation(series)).mean_ci95 or (0.0, 0.0)
    assert high - low > 2 * (shuffled_high - shuffled_low)
    assert distribution(series[:19]).mean_ci95 is None


@settings(max_examples=60)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=500))
def test_whatever_the_samples_bounds_and_intervals_are_in_order(values: list[float]) -> None:
    found = distribution(np.array(values), 10.0)
    given_values = [q.value for q in found.quantiles.values() if q.value is not None]
    assert given_values == sorted(given_values)
    for quantile in found.quantiles.values():
        if quantile.value is not None and quantile.ci95:
            assert quantile.ci95[0] <= quantile.value <= quantile.ci95[1]
        if quantile.at_least is not None and quantile.at_most is not None:
            assert quantile.at_least <= quantile.at_most


def test_the_interval_of_a_mean_time_does_not_reach_below_zero() -> None:
    values = np.array([1.0] * 39 + [1_000.0])
    low, high = distribution(values).mean_ci95 or (-1.0, -1.0)
    assert low == 0.0 and high > values.mean()
