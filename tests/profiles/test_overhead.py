"""What a profiler cost: the same requests with and without it, compared only where the loads were alike."""

import pytest

from profiles.measured import Pass, overhead
from profiles.resources import RESOURCES
from profiles.traffic import Done


def made(seconds: float, took_ms: list[float]) -> Pass:
    done = Done(began_s=0.0, sent=len(took_ms), ok=len(took_ms), took_ms=dict(enumerate(took_ms)))
    return Pass("a pass", done, seconds, 1.0, 0.0, RESOURCES.empty_table(), 0.0, seconds, seconds, 0)


def test_response_times_are_compared_request_by_request() -> None:
    found = overhead(made(20, [10.0, 20.0, 30.0] * 20), made(20, [11.0, 22.0, 33.0] * 20))
    assert found["response_mean"] == pytest.approx(1.1)
    low, high = found["ci95"]
    assert low < 1.1 < high


def test_a_short_pass_over_fast_answers_is_compared_all_the_same() -> None:
    assert overhead(made(20, [10.0] * 60), made(5, [12.0] * 15))["response_mean"] == pytest.approx(1.2)


def test_answers_nearly_as_long_as_a_short_pass_are_not_compared_with_a_long_one() -> None:
    found = overhead(made(20, [4400.0] * 60), made(5, [3300.0] * 15))
    assert found["response_mean"] is None
    assert found["cpu_per_request"] == pytest.approx(4.0)
