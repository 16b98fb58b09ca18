"""What a gate leaves behind: the history with its notes, files for people and machines, and a verdict that stands alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.gate import course
from benchmarks.gate.document import verdict_document
from measurements.rundir import RunDirectory
from plimsoll.gate_output import publish
from targets.contract import Contract
from targets.contract_file import parse
from tests.benchmarks.virtual_duets import RULES, TYPICAL, Virtual

START = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
HOST = {"cpu_model": "x", "cores": 2, "memory_mib": 4096, "architecture": "x86_64"}


def contract(tmp_path: Path) -> Contract:
    text = {"target": {"name": "s", "base_url": "http://127.0.0.1:9"}, "endpoint": [{"name": "search", "path": "/"}]}
    return parse(text, tmp_path / "s.toml")


def published(tmp_path: Path, night: int, by: float = 0.0, slower_since: float = 1.0) -> tuple[RunDirectory, list[str]]:
    virtual = Virtual(night, {"mean_ms": by, "p50_ms": by, "p95_ms": by})
    run = RunDirectory.create(tmp_path / "runs", "s-gate")
    around: dict[str, Any] = {
        "run": run.identity, "target": "s", "git_commit": f"{night:02d}{'c' * 38}", "host": HOST, "notes": [],
        "at": (START + timedelta(days=night)).isoformat(), "baseline": {"label": "v1"}, "candidate": {"label": "HEAD"},
    }  # fmt: skip
    document = verdict_document(course.run(virtual.fresh, RULES, ["search"], 17), RULES, [], {}, around)
    for one in document["comparisons"]:  # the machine's mood of that night taken out
        if one["metric"] == "mean_ms":
            one["candidate"] = TYPICAL["mean_ms"] * slower_since * (1 + 0.002 * (night % 3))
    lines = publish(run, document, contract(tmp_path), tmp_path / "history.duckdb", "en")
    return run, lines


def test_the_first_gate_says_that_the_history_begins_and_a_later_one_what_changed(tmp_path: Path) -> None:
    _, first = published(tmp_path, 0)
    assert any("begins with this gate" in line for line in first)
    for night in range(1, 12):
        _, lines = published(tmp_path, night)
    assert not any("begins with" in line or "change point" in line for line in lines)
    for night in range(12, 16):
        run, lines = published(tmp_path, night, slower_since=1.2)
    [said] = [line for line in lines if "change point" in line]
    assert "search mean_ms: +20" in said and "11cccccccc .. 12cccccccc" in said
    assert said.strip() in run.read_json("verdict.json")["notes"]


def test_a_damaged_history_is_a_warning_and_everything_else_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "history.duckdb").write_bytes(b"no database")
    run, lines = published(tmp_path, 1, by=0.1)
    assert lines[0].startswith("FAIL")
    assert "the verdict stands, but its history was not made" in capsys.readouterr().err
    assert all(run.has(name) for name in ("verdict.json", "report.html", "junit.xml", "comment.md"))
    suite = ElementTree.parse(run.path / "junit.xml").getroot()
    assert suite.get("failures") == "4"


def test_inside_a_github_job_the_summary_grows_and_annotations_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    published(tmp_path, 1, by=0.1)
    assert summary.read_text(encoding="utf-8").startswith("before\n## s: gate")
    assert "::error title=gate FAIL::" in capsys.readouterr().err
