"""The key figures speak of the highest load that kept its limits, in one unit, and say what few samples can carry."""

from typing import Any

import pytest

from reports.documents import Documents
from reports.findings import find
from reports.key_figures import key_figures, reference_stage
from reports.terminal import limits_and_traps, summary_lines
from reports.wording import Words

SLO = [{"endpoint": "ask", "metric": "p95_ms", "limit": 10_000.0, "state": "missed"}]


def stage(
    name: str, offered: float, requests: float, state: str = "steady", slowest: float = 6_000.0
) -> dict[str, Any]:
    count = int(offered * requests * 10)
    times = {"n": count, "p95": None, "max": slowest}
    return {"name": name, "state": state, "offered_rps": offered, "achieved_rps": offered * requests, "duration_s": 10.0,
            "all": {"count": count, "ok": count, "error_rate": 0.0}, "endpoints": {"ask": {"response_ms": times}}}  # fmt: skip


def documents(requests: float, plan: dict[str, Any]) -> Documents:
    stages = [
        stage("step-01", 2.0, requests),
        stage("step-02", 4.0, requests, "saturated"),
        stage("step-03", 8.0, requests, slowest=30_000.0),
    ]
    whole = stage("run", 14 / 3, requests) | {"duration_s": 30.0}
    whole["all"]["count"] = int(14 * 10 * requests)
    return Documents("r", {}, whole | {"stages": stages, "slo": SLO}, {"valid": True}, plan, {}, {}, {})


JUDGED = [{"stage": f"step-0{k}", "verdict": verdict} for k, verdict in ((1, "pass"), (2, "pass"), (3, "miss"))]
CAPACITY = {"low": 4.0, "mid": 6.0, "high": 8.0, "confidence": 0.9}


def lines(found: Documents, key: str) -> str:
    figure = next(f for f in key_figures(found, reference_stage(found), Words("en")) if f.key == key)
    return f"{figure.value} ({'; '.join(figure.notes)})"


def test_the_stage_spoken_of_is_the_last_that_the_plan_judged_to_pass() -> None:
    found = documents(1.0, {"stages": JUDGED})
    assert reference_stage(found)["name"] == "step-02"
    assert (
        reference_stage(documents(1.0, {}))["name"] == "step-01"
    )  # the summary alone takes a filling step for overload


def test_too_few_samples_for_a_p95_are_told_by_the_slowest_not_by_the_overload_of_the_whole_run() -> None:
    said = lines(documents(1.0, {"stages": JUDGED}), "p95")
    assert said.startswith("≤ 6.00 s") and "slowest of 40: 6.00 s" in said and "whole run" not in said


def test_journeys_are_not_called_requests() -> None:
    plan = {"stages": JUDGED, "capacity_rps": CAPACITY, "bottleneck": {"kind": "upstream"}}
    journeys, requests = documents(1.5, plan), documents(1.0, plan)
    assert "4.00/s" in lines(journeys, "rps") and "journeys of 1.50 requests each" in lines(journeys, "rps")
    assert "4.00–8.00 journeys (of 1.50 requests each) a second" in find(journeys, Words("en")).verdict
    assert "4.00–8.00 requests a second" in find(requests, Words("en")).verdict


def test_stated_limits_are_told_beside_what_binds_and_after_it() -> None:
    free = {"binds": False, "sentence": "rate limit 10/minute did not bind"}
    full = {"binds": True, "sentence": "the upstream's engine binds"}
    assert limits_and_traps({"limits": [free, full]}) == [full["sentence"], free["sentence"]]


def test_the_terminal_names_the_endpoint_whose_p95_it_is() -> None:
    found = documents(1.0, {"stages": JUDGED})
    assert any(
        "p95 of ask" in line for line in summary_lines(found.summary, {"valid": True}, found.plan, "report.html")
    )


@pytest.mark.parametrize(
    ("shape", "found", "tone", "said"),
    [
        ("rollout", {"complete": True, "requests": 204, "lost": 0}, "good", "none of 204 requests was lost"),
        ("rollout", {"complete": True, "requests": 204, "lost": 3}, "bad", "lost 3 of 204 requests"),
        ("rollout", {"complete": False, "requests": 204, "lost": 0}, "warn", "cannot be said"),
        ("failover", {"complete": True, "requests": 144, "failed": 2}, "quiet", "2 of 144 requests failed"),
        ("failover", {"complete": True, "requests": 144, "failed": 0}, "good", "none of 144 requests failed"),
        ("failover", {"complete": False, "steps": []}, "warn", "cannot be said"),
    ],
)
def test_a_run_that_kills_or_replaces_is_judged_by_what_that_cost(
    shape: str, found: dict[str, object], tone: str, said: str
) -> None:
    made = documents(1.0, {"stages": JUDGED})
    made.summary[shape] = found
    verdict = find(made, Words("en"))
    assert said in verdict.verdict
    assert verdict.tone == tone
    assert "already" not in verdict.verdict
    assert find(made, Words("ko")).verdict != verdict.verdict
