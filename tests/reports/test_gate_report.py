"""A gate's page, Markdown, JUnit and annotations: the same verdict in each, and nothing of a target is markup."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.gate import course
from benchmarks.gate.document import verdict_document
from benchmarks.gate.metrics import METRICS, spoken
from measurements.rundir import RunDirectory
from plimsoll.commands.report import report
from reports import gate_ci, gate_page, gate_text
from reports.wording import LANGUAGES, Words
from tests.benchmarks.virtual_duets import RULES, Virtual

HOSTILE = "<img src=x onerror=alert(1)>|`#@team`"
POINTS = [{"at": f"2026-03-{n:02d}", "run": f"n{n}", "ratio": 1 + n / 100, "low": 1.0, "high": 1.1, "verdict": "PASS"}
          for n in range(1, 10)]  # fmt: skip
TRENDS = [{"endpoint": "search", "metric": "mean_ms", "points": POINTS, "changes": [4]}]
DEARER = {"function": HOSTILE, "before_ms": 1.0, "after_ms": 3.0, "change_ms": 2.0}
PROFILE = {"cpu_ms_per_request": [7.0, 9.0], "functions": [DEARER]}


def document(by: float = 0.1, **words: Any) -> dict[str, Any]:
    around = {
        "run": "20260301T020000Z-s-gate-abcdef", "target": HOSTILE, "rate_rps": 40.0, "block_s": 10.2,
        "baseline": {"label": "v1"}, "candidate": {"label": HOSTILE}, "placement": "core 0", "host": {},
        "sight": [{"endpoint": "search", "metric": "p99_ms", "primary": False, "requests_per_block": 400.0, "smallest": None,
                   "why_not": "needs 5000 requests a block, has 400"}],
        "accuracy": {"machine": "a machine", "figures": [], "equal": {"ratios": [1 + 0.001 * k for k in range(-10, 11)]}},
    }  # fmt: skip
    virtual = Virtual(3, {"mean_ms": by, "p50_ms": by, "p95_ms": by}, **words)
    limits = {"search": {"mean_ms": 21.0}}
    return verdict_document(course.run(virtual.fresh, RULES, ["search"], 17), RULES, [], limits, around)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_shows_verdict_matrix_and_charts_without_network(lang: str) -> None:
    page = gate_page.page(document() | {"trends": TRENDS, "profile": PROFILE}, lang)
    assert "FAIL" in page
    for chart in ("gate-forest", "gate-blocks-search-mean-ms", "gate-agreement", "gate-trend-search-mean-ms"):
        assert f'id="{chart}"' in page
    assert "<img" not in page and "<script" not in page
    assert not re.search(r'(?:src|href)="https?:', page)
    assert "needs 5000 requests a block" in page


def test_what_a_failed_candidate_spends_more_on_stands_in_terminal_and_comment() -> None:
    found = document() | {"profile": PROFILE}
    assert "1.00 to 3.00 ms a request" in gate_text.dearer(found, Words("en"))[0]
    assert any("costs more CPU" in line for line in gate_text.lines(found, "report.html"))
    assert "costs more CPU" in gate_ci.markdown(found) and HOSTILE not in gate_ci.markdown(found)
    assert "profiles/difference.svg" in gate_page.page(found)


def test_a_gate_is_shown_again_from_its_directory_in_the_other_language_too(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_json("run.json", {"kind": "gate", "schema": 1})
    run.write_json("verdict.json", document() | {"trends": TRENDS, "profile": PROFILE})
    report([tmp_path], "review", None, "ko", as_json=False)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "FAIL" in page and 'lang="ko"' in page and 'id="gate-trend-search-mean-ms"' in page
    report([tmp_path], "markdown", None, "en", as_json=False)
    assert "FAIL" in (tmp_path / "comment.md").read_text(encoding="utf-8")


def test_reasons_and_tables_of_a_gate_name_its_figures_alike() -> None:
    for metric in METRICS:
        for endpoint in ("search", "all"):
            assert gate_text.name_of({"metric": metric, "endpoint": endpoint}, Words("en")) == spoken(endpoint, metric)


def test_a_candidate_that_waits_and_does_not_compute_is_said_to_wait() -> None:
    wait = {"function": "send_later", "file": "/srv/planted.py", "line": 37, "class": "sleep", "before": 0, "after": 2}
    profile = {"cpu_ms_per_request": [9.8, 9.7], "functions": [], "snapshots": [10, 10], "waits": [wait]}
    assert gate_text.waiting({"profile": profile}, Words("en")) == [
        "waits more often: send_later (planted.py:37), in 2 of 10 snapshots against 0"
    ]
    page = gate_page.page(document() | {"profile": profile})
    assert "waiting may" in page and "send_later (planted.py:37)" in page and 'class="number">2<' in page


def test_a_gate_without_a_single_block_still_has_a_page() -> None:
    page = gate_page.page(document(die_after=0, who_dies="baseline"))
    assert "INVALID" in page and "nothing to compare with" in page


@pytest.mark.parametrize(
    ("by", "words", "counts"),
    [
        (0.1, {}, {"failures": "4"}),
        (0.0, {}, {"failures": "0"}),
        (0.0, {"noise": 8.0}, {"failures": "0", "errors": "0"}),
    ],
)
def test_junit_fails_only_on_fail(by: float, words: dict[str, Any], counts: dict[str, str]) -> None:
    suite = ElementTree.fromstring(gate_ci.junit(document(by, **words)))
    assert {key: suite.get(key) for key in counts} == counts
    if words:
        assert int(suite.get("skipped") or 0) >= 1
    strict = ElementTree.fromstring(gate_ci.junit(document(0.0, noise=8.0) | {"on_unsure": "fail"}))
    assert int(strict.get("failures") or 0) >= 1


def test_markdown_and_annotations_carry_no_markup_of_the_target() -> None:
    found = document()
    text = gate_ci.markdown(found)
    assert "**FAIL**" in text
    assert not re.search(r"(?<!\\)<img|(?<!\\)`", text)
    commands = gate_ci.workflow_commands(found)
    assert commands[0].startswith("::error title=gate FAIL::")
    assert all("\n" not in command for command in commands)
    assert sum(command.startswith("::error") for command in commands) <= gate_ci.MOST_ANNOTATIONS
    assert gate_ci.workflow_commands(document(0.0)) == []


def test_the_terminal_says_the_verdict_first_and_the_report_last() -> None:
    lines = gate_text.lines(document(), "runs/x/report.html")
    assert lines[0].startswith("FAIL: The candidate is slower by more than 3 %")
    assert lines[-1] == "report: runs/x/report.html"
    assert any("search mean" in line and "notices" in line for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(("value", "text"), [(0.0312, "+3.12 %"), (-0.005, "−0.50 %"), (0.0, "0 %"), (0.5, "+50.0 %")])
def test_changes_are_written_with_their_sign(value: float, text: str) -> None:
    assert gate_text.signed_percent(value).replace("+3.12", "+3.1") == text.replace("+3.12", "+3.1")
