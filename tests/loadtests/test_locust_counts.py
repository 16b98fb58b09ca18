"""What Locust's statistics keep for every second of a run stays small, however long the run is."""

from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from loadtests import locust_stats


def entry() -> Any:
    return SimpleNamespace(
        use_response_times_cache=False, last_request_timestamp=None, num_requests=0, num_failures=0,
        num_reqs_per_sec=defaultdict(int), num_fail_per_sec=defaultdict(int), total_response_time=0.0,
        total_content_length=0, min_response_time=None, max_response_time=0.0, response_times=defaultdict(int),
    )  # fmt: skip


def test_counts_by_second_are_kept_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(time=lambda: at_s)
    monkeypatch.setattr(locust_stats, "time", clock)
    stats = SimpleNamespace(entries=defaultdict(entry), total=entry(), errors={})
    for second in range(500):
        at_s = 1_000.0 + second
        one = locust_stats.Added(0, "ask", "GET", sent=5, total_ms=9.0, low_ms=1.0, high_ms=3.0, outcomes=Counter(ok=5))
        locust_stats.feed(stats, one)
    counted = stats.total.num_reqs_per_sec
    assert stats.total.num_requests == 2_500
    assert list(counted) == list(range(1_500 - locust_stats.KEPT_SECONDS, 1_500)) and set(counted.values()) == {5}
