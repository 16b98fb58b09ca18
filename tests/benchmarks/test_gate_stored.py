"""Against stored runs: unpaired, and closed when anything but the version differs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from benchmarks.gate.judging import Verdict
from benchmarks.gate.rules import Rules
from benchmarks.gate.stored import Stored, compare_stored, mismatches

RULES = Rules(0.03, 0.05, (("ask", "p95_ms"),), "neutral", True)
HOST = {"cpu_model": "x", "cores": 2, "memory_mib": 4096, "architecture": "x86_64", "cpu_quota_cores": None}
SCHEDULE = {"loop": "open", "process": "poisson", "stages": [{"name": "steady", "duration_s": 60}], "workers": 1}
EARLIER = {("ask", "p95_ms"): list(100 * np.exp(0.004 * np.linspace(-1.6, 1.6, 12)))}


def stored(p95: float = 100.0, **changes: Any) -> Stored:
    run = {
        "run": "r",
        "host": dict(HOST),
        "schedule": copy.deepcopy(SCHEDULE),
        "contract": {"endpoint": [{"name": "ask"}]},
    }
    summary = {
        "valid": True,
        "all": {"count": 1000, "ok": 1000},
        "endpoints": {"ask": {"response_ms": {"p95": p95, "mean": 50.0}}},
    }
    for key, value in changes.items():
        (summary if key in summary else run)[key] = value
    return Stored(run, summary)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host": HOST | {"cpu_model": "y"}}, "other host"),
        ({"host": {}}, "other host"),
        ({"schedule": SCHEDULE | {"process": "constant"}}, "other schedule"),
        ({"contract": {"endpoint": [{"name": "other"}]}}, "other contract"),
        ({"endpoints": {}}, "has no ask"),
        ({"valid": False}, "INVALID"),
    ],
)
def test_what_does_not_match_fails_closed(changes: dict[str, Any], said: str) -> None:
    assert said in " ".join(mismatches(stored(), stored(**changes)))


def test_a_primary_that_a_run_does_not_have_fails_closed() -> None:
    bare = stored(endpoints={"ask": {"response_ms": {"p95": None}}})
    assert "missing in a run" in " ".join(compare_stored(stored(), bare, RULES, EARLIER)[1])
    rules = Rules(0.03, 0.05, (("gone", "p95_ms"),), "neutral", True)
    assert "no run has that endpoint" in " ".join(compare_stored(stored(), stored(), rules, EARLIER)[1])


@pytest.mark.parametrize(("p95", "verdict"), [(100.0, Verdict.PASS), (110.0, Verdict.FAIL), (90.0, Verdict.PASS)])
def test_a_quiet_history_can_see(p95: float, verdict: Verdict) -> None:
    rows, invalid = compare_stored(stored(), stored(p95), RULES, EARLIER)
    judged = next(row for row in rows if row["primary"])
    assert (invalid, judged["verdict"]) == ([], verdict)
    assert judged["minimum_detectable"] < 0.03


@pytest.mark.parametrize(("ok", "verdict"), [(1000, Verdict.PASS), (998, Verdict.PASS), (960, Verdict.FAIL)])
def test_a_candidate_that_fails_more_is_never_green_for_answering_fast(ok: int, verdict: Verdict) -> None:
    rows, invalid = compare_stored(stored(), stored(90.0, all={"count": 1000, "ok": ok}), RULES, EARLIER)
    errors = next(row for row in rows if row["metric"] == "error_rate")
    assert (invalid, errors["verdict"]) == ([], verdict)
    assert "does not say" in compare_stored(stored(), stored(all={}), RULES, EARLIER)[1][0]


def test_a_declared_primary_that_stored_runs_do_not_have_is_blind() -> None:
    rules = Rules(0.03, 0.05, (("ask", "p95_ms"), ("all", "cpu_s_per_request")), "neutral", True)
    rows, _ = compare_stored(stored(), stored(), rules, EARLIER)
    assert [row["verdict"] for row in rows if row["metric"] == "cpu_s_per_request"] == [Verdict.BLIND]


def test_a_short_or_noisy_history_is_blind() -> None:
    for earlier in ({}, {("ask", "p95_ms"): [80, 90, 100, 115, 120, 105]}):
        rows, _ = compare_stored(stored(), stored(), RULES, earlier)
        assert next(row for row in rows if row["primary"])["verdict"] is not None
        assert next(row for row in rows if row["primary"])["verdict"] == Verdict.BLIND
