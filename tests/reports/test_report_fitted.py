"""What a request costs and how queues are set, as the report's tables."""

from __future__ import annotations

from typing import Any

from reports.fitted import cost_rows, queue_rows
from reports.wording import Words


def interval(mid: float) -> dict[str, float]:
    return {"low": 0.9 * mid, "mid": mid, "high": 1.1 * mid, "confidence": 0.9}


PLAN: dict[str, Any] = {
    "per_endpoint": {
        "generate": {"costs": {"cpu_s": {"per_request": interval(0.012)}, "bytes_in": {"per_request": interval(900)}}},
        "search": {"costs": {"cpu_s": {"refusal": {"field": "demand.search", "reason": "…", "remedy": "…"}}}},
        "health": {},
    },
    "queue_settings": [
        {
            "queue": "search",
            "in_force": {"max_concurrent": 2, "max_queue_size": 10, "timeout_s": 30},
            "advised": {"max_concurrent": 3, "max_queue_size": 20, "timeout_s": 60},
            "carries_rps": {"in_force": 20.0, "advised": 31.0},
            "sentences": ["8 of 10 places in the queue are doomed"],
        }
    ],
}


def test_costs_stand_by_endpoint_and_a_dash_where_they_cannot_be_told_apart() -> None:
    headings, rows = cost_rows(PLAN, Words("en"))
    assert headings == ["Endpoint", "CPU time", "received"]
    assert rows == [["generate", "10.8–13.2 ms", "810–990 B"], ["search", "–", "–"], ["health", "–", "–"]]


def test_a_queue_shows_what_is_in_force_and_what_is_advised() -> None:
    rows, said = queue_rows(PLAN)
    assert rows == [["search", "2 → 3", "10 → 20", "30 s → 60 s", "20.0/s → 31.0/s"]]
    assert said == ["8 of 10 places in the queue are doomed"]


def test_a_plan_without_them_has_no_tables() -> None:
    assert cost_rows({}, Words("ko")) == ([], []) and queue_rows({}) == ([], [])
