"""The slope of memory over requests, on made-up readings whose slope is known."""

import numpy as np
import pytest

from measurements.interval import Interval
from profiles.growth import MIB, _slope, growth, per_user, told_from_cache

RATE_RPS = 100.0


def readings(
    kib_per_request: float, seconds: float = 100.0, noise_mib: float = 0.05, seed: int = 1, settle: float = 0.0
) -> tuple[list[float], list[float], list[float]]:
    """RSS twice a second that grows with requests, with correlated noise; `settle`: MiB gained at first only."""
    rng = np.random.default_rng(seed)
    at_s = np.arange(0, seconds, 0.5)
    noise = np.zeros(len(at_s))
    for k in range(1, len(at_s)):
        noise[k] = 0.9 * noise[k - 1] + rng.normal(0, noise_mib * MIB)
    rss = 100 * MIB + kib_per_request * 1024 * RATE_RPS * at_s + noise + settle * MIB * (1 - np.exp(-at_s / 10))
    done_s = np.arange(0, seconds, 1 / RATE_RPS)
    return at_s.tolist(), rss.tolist(), done_s.tolist()


@pytest.mark.parametrize("kib_per_request", [0.25, 1.0, 3.7, 40.0])
def test_a_leak_is_found_with_its_slope(kib_per_request: float) -> None:
    at_s, rss, done_s = readings(kib_per_request)
    found = growth(at_s, rss, done_s, start_s=5, end_s=100, limit_bytes=2000 * MIB)
    truth = kib_per_request * 1000 / 1024
    assert found["verdict"] == "leak"
    slope = found["slope_mib_per_1000_requests"]
    assert slope["mid"] == pytest.approx(truth, rel=0.15)
    assert slope["low"] <= truth * 1.02
    assert slope["high"] >= truth * 0.98
    left_mib = 2000 - rss[-1] / MIB
    assert found["hours_to_limit"]["mid"] == pytest.approx(left_mib / truth * 1000 / RATE_RPS / 3600, rel=0.2)


def test_noise_alone_is_called_a_leak_in_few_of_many_clean_services() -> None:
    verdicts = [
        growth(*readings(0.0, seed=seed, noise_mib=0.2), start_s=5, end_s=100)["verdict"] for seed in range(100)
    ]
    assert verdicts.count("leak") <= 8  # correlated noise that drifts up all the time looks like growth, now and then


def test_a_service_that_only_warms_up_does_not_leak() -> None:
    at_s, rss, done_s = readings(0.0, settle=20.0)
    assert growth(at_s, rss, done_s, start_s=0, end_s=100)["verdict"] in ("no_leak", "growing")


def test_growth_that_stops_with_repeated_requests_is_a_cache_and_one_that_does_not_is_a_leak() -> None:
    new = growth(*readings(20.0), start_s=5, end_s=100)
    flat, as_before = (growth(*readings(kib, seed=2), start_s=5, end_s=100) for kib in (0.0, 20.0))
    cache = told_from_cache(new, flat)
    assert cache["verdict"] == "cache"
    assert "20.0 KiB with each new request" in cache["why"]
    assert told_from_cache(new, as_before)["verdict"] == "leak"
    assert told_from_cache(flat, flat)["verdict"] == flat["verdict"]


def test_growth_over_few_requests_is_not_yet_a_leak() -> None:
    at_s, rss, done_s = readings(30.0, seconds=9)
    found = growth(at_s, rss, done_s, start_s=0, end_s=9)
    assert found["verdict"] == "growing"
    assert "1,000 requests" in found["why"]


def test_memory_that_hardly_ever_changes_under_few_requests_has_a_slope_with_an_interval_all_the_same() -> None:
    at_s = [0.5 * k for k in range(20)]
    rss = [100.0 * MIB] * 15 + [99.0 * MIB] + [100.0 * MIB] * 4
    found = growth(at_s, rss, [1.0, 1.2, 8.0], start_s=0, end_s=10)
    slope = found["slope_mib_per_1000_requests"]
    assert found["verdict"] in ("no_leak", "unknown")
    assert slope is None or slope["low"] <= slope["mid"] <= slope["high"]
    assert _slope(np.array([0.0, 1, 1, 1, 1]), np.array([2.0, 2, 0, 2, 2]), 5, 0.95) == Interval(-2.0, 0.0, 0.0, 0.95)


def test_too_short_a_time_is_refused_with_the_remedy() -> None:
    at_s, rss, done_s = readings(1.0)
    found = growth(at_s, rss, done_s, start_s=10, end_s=13)
    assert (found["verdict"], found["slope_mib_per_1000_requests"]) == ("unknown", None)
    assert "--duration" in found["refusal"]["remedy"]
    assert growth([], [], [], start_s=0, end_s=1)["verdict"] == "unknown"


def test_what_closing_connections_gives_back_is_the_users() -> None:
    found = per_user(160 * MIB, 120 * MIB, 100 * MIB, users=40)
    assert found["mib_per_user_at_least"] == 1.0
    assert found["retained_mib"] == 20.0
    assert per_user(160 * MIB, 160 * MIB, 100 * MIB, users=40)["mib_per_user_at_least"] is None


def test_no_leak_says_how_small_a_leak_would_not_have_shown() -> None:
    """Half a MiB for each process: heaps have room that a little growth goes into."""
    flat = readings(0.0, noise_mib=0.01)
    found = growth(*flat, start_s=5, end_s=100, processes=4)
    assert found["verdict"] == "no_leak"
    least = 4 * 2**19 / found["requests"]
    assert f"a leak under {least:,.0f} bytes a request would not show" in found["why"]
