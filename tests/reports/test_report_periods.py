"""Checks over several runs: the right runs, thresholds met or not, the trend, what binds and what it costs."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import synthetic_run

from measurements.errors import UsageError
from measurements.rundir import RunDirectory
from plimsoll.commands.report import report
from reports import periodic, periods
from reports.documents import read
from reports.render import render_quarter
from reports.tables import Mark
from reports.thresholds import thresholds
from reports.wording import LANGUAGES, Words

EN = Words("en")
LAST = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of 100, 20, 3 and 0 days ago; of the newest one the capacity fell; and one of another target."""
    out = tmp_path_factory.mktemp("runs")
    for days in (100, 20, 3, 0):
        run = synthetic_run.write(out, rates=[10, 20, 40], stage_s=4, now=LAST - timedelta(days=days))
        if days == 0:
            change(run, "plan.json", capacity_rps={"low": 20.0, "mid": 22.0, "high": 24.0, "confidence": 0.9})
    other = synthetic_run.write(out, rates=[10], stage_s=2, plan=False, now=LAST - timedelta(days=1))
    change(other, "run.json", contract={"target": {"name": "saju"}})
    (out / "not-a-run").mkdir()
    return out


def change(run: RunDirectory, name: str, **values: object) -> None:
    run.write_json(name, run.read_json(name) | values)


@pytest.mark.parametrize(("period", "count"), [("daily", 1), ("weekly", 2), ("monthly", 3), ("quarterly", 3)])
def test_a_period_holds_the_newest_runs_target_and_nothing_older(folder: Path, period: str, count: int) -> None:
    found = periods.within(periods.runs_in([folder]), period)
    assert len(found) == count and {one.name for one in found} == {"kakao"}


def test_what_is_no_run_and_holds_none_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="holds none"):
        periods.runs_in([folder / "not-a-run"])


def test_the_contracts_alerts_are_held_against_what_was_seen(folder: Path) -> None:
    newest = read(periods.runs_in([folder])[-1])
    rules = [
        {"metric": "error_rate", "above": 0.05, "severity": "critical"}, {"metric": "disk_percent", "above": 90},
        {"metric": "disk_free_gib", "below": 1}, {"metric": "cpu_percent", "above": 80}, {"metric": "tea_left", "below": 1},
    ]  # fmt: skip
    newest.run["contract"]["alert"] = {"rule": rules}
    newest.summary["resources"] = {"host": {"disk_used_share": 0.95, "disk_free_mib": 512.0, "cpu_share_mean": 0.3}}
    alerts = thresholds(newest, EN)[-5:]
    assert [row["mark"].word for row in alerts] == ["met", "missed", "missed", "met", "not seen here"]  # type: ignore[attr-defined]
    assert [row["value"] for row in alerts][1:4] == ["95.0 %", "0.500 GiB", "30.0 %"]


def test_a_daily_check_says_which_thresholds_are_met(folder: Path) -> None:
    text = periodic.check(periods.runs_in([folder]), "daily")
    assert text.startswith("## Daily check: kakao")
    assert "thresholds m" in text and "| generate p95 |" in text
    assert "### Trend" not in text


@pytest.mark.parametrize(
    ("lang", "said"), [("en", "1 of 3 thresholds met; of 2 it cannot be said."), ("ko", "3개 중 1개를")]
)
def test_a_threshold_that_nobody_can_judge_is_not_met(
    folder: Path, lang: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = [Mark("met", "good"), Mark("unknown", "warn"), Mark("unknown", "warn")]
    rows = [{"what": "p95", "value": "-", "limit": "5 s", "mark": mark} for mark in marks]
    monkeypatch.setattr(periodic, "thresholds", lambda read, words: rows)
    text = periodic.check(periods.runs_in([folder]), "daily", lang=lang)
    assert said in text and "All 3" not in text and "**✓" not in text


def test_a_weekly_check_shows_the_trend_and_what_can_be_told_apart(folder: Path) -> None:
    text = periodic.check(periods.runs_in([folder]), "weekly")
    assert "### Trend" in text and "38.5–48.9/s" in text and "20.0–24.0/s" in text
    assert "Told apart from 20261117" in text.replace("\\", "")
    assert "### What it costs" not in text


def test_a_monthly_check_adds_what_binds_and_the_money(folder: Path) -> None:
    text = periodic.check(periods.runs_in([folder]), "monthly", baseline=periods.runs_in([folder])[0])
    assert "One CPU core binds first" in text and "US$412" in text
    assert "Told apart from 20260812" in text.replace("\\", "")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_quarterly_review_is_a_capacity_review_with_the_quarters_runs(folder: Path, lang: str) -> None:
    runs = periods.runs_in([folder])
    path = render_quarter(runs, runs[0], lang)
    source = path.read_text(encoding="utf-8")
    assert path == runs[-1].path / "quarterly.html" and 'class="missing"' not in source
    quarter = source.split('<section id="quarter"')[1].split("</section>")[0]
    assert '<figure class="chart" id="history">' in quarter and quarter.count("<tr") >= 4
    assert runs[0].identity in quarter and Words(lang)("period.quarter") in quarter
    assert 'id="decision"' in source


def test_the_command_writes_each_form_and_refuses_what_does_not_fit(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = periods.runs_in([folder])[-1]
    for form, name in (("markdown", "report.md"), ("junit", "junit.xml"), ("weekly", "weekly.md")):
        report([run.path if form != "weekly" else folder], form, None, "en", True)
        assert json.loads(capsys.readouterr().out)["report"] == str(run.path / name)
        assert (run.path / name).stat().st_size > 100
    for paths, form, baseline, part in (
        ([run.path], "hourly", None, "--as hourly"), ([run.path, run.path], "review", None, "about one run"),
        ([run.path], "daily", run.path, "--baseline goes with"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=part):
            report(paths, form, baseline, "en", False)
