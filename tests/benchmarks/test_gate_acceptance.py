"""Accepted slowdowns: a committed file, shown until it expires, never wider than it was accepted."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gate import course
from benchmarks.gate.accepted import accept, in_force, path_beside
from benchmarks.gate.document import exit_code, verdict_document
from benchmarks.gate.judging import Verdict
from measurements.errors import UsageError
from measurements.rundir import RunDirectory
from plimsoll.commands import gate as command
from tests.benchmarks.virtual_duets import RULES, Virtual

TODAY = date(2026, 3, 1)
AROUND = {"run": "20260301T020000Z-s-gate-abcdef", "target": "s"}


def document(by: float, accepted: Any = (), limits: Any = None, seed: int = 3) -> dict[str, Any]:
    virtual = Virtual(seed, {"mean_ms": by, "p50_ms": by, "p95_ms": by})
    return verdict_document(course.run(virtual.fresh, RULES, ["search"], 17), RULES, accepted, limits or {}, AROUND)


def test_an_accepted_slowdown_warns_until_its_date_and_a_larger_one_fails_again(tmp_path: Path) -> None:
    path = path_beside(tmp_path / "service.toml")
    failed = document(0.10)
    assert (failed["verdict"], failed["exit_code"]) == ("FAIL", 1)
    new = accept(failed, path, "a larger index,\nagreed on", "2026-06-30", TODAY)
    assert path.name == "service.accepted.toml"
    slower = {(c["endpoint"], c["metric"]) for c in failed["comparisons"] if c["verdict"] == "FAIL"}
    assert {(one.endpoint, one.metric) for one in new} == slower
    assert new[0].reason == "a larger index, agreed on"

    again = document(0.10, in_force(path, TODAY), seed=3)
    assert (again["verdict"], again["exit_code"]) == ("WARN", 0)
    assert "accepted until 2026-06-30" in " ".join(again["reasons"])
    assert len(again["accepted"]) == len(new)
    assert document(0.25, in_force(path, TODAY))["verdict"] == "FAIL"
    assert in_force(path, date(2026, 7, 1)) == []


def test_the_command_says_as_a_document_what_it_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunDirectory.create(tmp_path / "runs", "gate")
    run.write_json("run.json", {"schema": 1, "contract_path": str(tmp_path / "service.toml")})
    run.write_json("verdict.json", document(0.10))
    until = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    command.accept(run.path, "a larger index", until, as_json=True)
    made = json.loads(capsys.readouterr().out)
    assert made["written"] == str(tmp_path / "service.accepted.toml")
    assert {one["until"] for one in made["accepted"]} == {until}


def test_only_a_slowdown_with_a_reason_and_an_end_can_be_accepted(tmp_path: Path) -> None:
    path = tmp_path / "x.accepted.toml"
    failed, passed = document(0.10), document(0.0)
    for verdict, reason, until, said in (
        (failed, " ", "2026-06-30", "must say why"),
        (failed, "why", "soon", "write a date"),
        (failed, "why", "2026-02-01", "from today on"),
        (failed, "why", "2030-01-01", "at most a year"),
        (passed, "why", "2026-06-30", "no slowdown to accept"),
    ):
        with pytest.raises(UsageError, match=said):
            accept(verdict, path, reason, until, TODAY)
    assert not path.exists()
    path.write_text("[[accepted]]\nendpoint = 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="mend the entry"):
        in_force(path, TODAY)


def test_the_document_has_what_other_programs_read() -> None:
    found = document(0.10, limits={"search": {"mean_ms": 21.0, "p90_ms": 1.0}})
    first = found["comparisons"][0]
    assert {"endpoint", "metric", "ratio", "ci95", "p_value", "minimum_detectable", "primary"} <= set(first)
    assert first["ci95"][0] <= first["ratio"] <= first["ci95"][1]
    assert first["confirmation"]["change"] == pytest.approx(1.1, abs=0.03)
    states = {f["metric"]: (f["baseline_state"], f["candidate_state"]) for f in found["slo"]}
    assert states["p90_ms"] == ("unknown", "unknown")
    assert states["mean_ms"][1] == "missed"
    assert [len(duet["blocks"]) > 0 for duet in found["duets"]] == [True, True]


def test_a_limit_that_only_the_candidate_misses_is_a_warning() -> None:
    typical = document(0.0)["comparisons"][0]
    limit = (typical["baseline"] + typical["candidate"]) / 2
    if typical["candidate"] <= limit:
        limit = typical["candidate"] - 0.001
    found = document(0.0, limits={"search": {"mean_ms": limit}})
    expected = "WARN" if typical["baseline"] <= limit else "PASS"
    assert found["verdict"] == expected


@pytest.mark.parametrize(
    ("verdict", "neutral", "strict"),
    [(Verdict.PASS, 0, 0), (Verdict.WARN, 0, 0), (Verdict.FAIL, 1, 1), (Verdict.INVALID, 3, 3), (Verdict.BLIND, 6, 1),
     (Verdict.INCONCLUSIVE, 6, 1)],
)  # fmt: skip
def test_exit_codes_are_those_of_the_design(verdict: Verdict, neutral: int, strict: int) -> None:
    assert (int(exit_code(verdict)), int(exit_code(verdict, "fail"))) == (neutral, strict)
