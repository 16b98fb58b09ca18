"""What a gate leaves behind: the history with its notes, files for people and machines, and a verdict that stands alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.gate import course
from benchmarks.gate.document import verdict_document
from benchmarks.history.store import Store
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


def verdict(night: int, by: float = 0.0, slower: float = 1.0) -> dict[str, Any]:
    virtual = Virtual(night, {"mean_ms": by, "p50_ms": by, "p95_ms": by})
    around: dict[str, Any] = {
        "run": f"night-{night:02d}", "target": "s", "git_commit": f"{night:02d}{'c' * 38}", "host": HOST, "notes": [],
        "at": (START + timedelta(days=night)).isoformat(), "baseline": {"label": "v1"}, "candidate": {"label": "HEAD"},
    }  # fmt: skip
    document = verdict_document(course.run(virtual.fresh, RULES, ["search"], 17), RULES, [], {}, around)
    for one in document["comparisons"]:  # without the machine's mood of that night
        if one["metric"] == "mean_ms":
            one["candidate"] = TYPICAL["mean_ms"] * slower * (1 + 0.002 * (night % 3))
    return document


def published(tmp_path: Path, document: dict[str, Any]) -> tuple[RunDirectory, list[str]]:
    run = RunDirectory.create(tmp_path / "runs", "s-gate")
    return run, publish(run, document, contract(tmp_path), tmp_path / "history.duckdb", "en")


def test_a_gate_says_what_changed_lately_and_between_which_commits(tmp_path: Path) -> None:
    store = Store(tmp_path / "history.duckdb")
    for night in range(15):
        store.add_gate(verdict(night, slower=1.2 if night >= 12 else 1.0))
    run, lines = published(tmp_path, verdict(15, slower=1.2))
    [said] = [line for line in lines if "change point" in line]
    assert "search mean_ms: +19.9%" in said and "11cccccccc .. 12cccccccc" in said
    assert said.strip() in run.read_json("verdict.json")["notes"]
    assert not any("begins with" in line for line in lines)


def test_a_damaged_history_is_a_warning_and_everything_else_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "history.duckdb").write_bytes(b"no database")
    run, lines = published(tmp_path, verdict(1, by=0.1))
    assert lines[0].startswith("FAIL")
    assert "the verdict stands, but its history was not made" in capsys.readouterr().err
    assert all(run.has(name) for name in ("verdict.json", "report.html", "junit.xml", "comment.md"))
    suite = ElementTree.parse(run.path / "junit.xml").getroot()
    assert suite.get("failures") == "4"


def test_the_verdict_and_each_breached_alert_are_told_at_their_severity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "plimsoll.notify.send", lambda alert, severity, title, text: told.append((severity, title)) or []
    )
    alert = {"severity": "high", "sentence": "duet-1: candidate: error_rate 0.2 was above 0.1 over 300 s, from 0 s on"}
    published(tmp_path, verdict(1) | {"alerts": [alert]})
    published(tmp_path, verdict(2, by=0.1) | {"alerts": [alert]})
    assert told == [("high", "high: gate of s"), ("critical", "FAIL: gate of s"), ("high", "high: gate of s")]


def test_inside_a_github_job_the_summary_grows_and_annotations_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    _, lines = published(tmp_path, verdict(1, by=0.1))
    assert any("begins with this gate" in line for line in lines)
    assert summary.read_text(encoding="utf-8").startswith("before\n## s: gate")
    assert "::error title=gate FAIL::" in capsys.readouterr().err
