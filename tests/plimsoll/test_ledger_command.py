"""`plimsoll ledger`: the record of past predictions, and judging one by production's access log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from test_verify_command import measured, target

from capacity.ledger import Entry
from measurements.interval import Interval
from plimsoll.commands.verify import append
from tests.plimsoll.command_line import said


def entry(k: int, record: str = "lab") -> Entry:
    return Entry("2025-01-01T00:00:00+00:00", f"case {k}", "line", record, 1.2, Interval(90, 100, 110, 0.9), 95.0 + k)


def log(path: Path, begins: datetime, line_rps: float) -> Path:
    """An access log of 40 minutes whose rate rises to 1.5 times `line_rps`, beyond which answers take a second."""
    rng = np.random.default_rng(1)
    lines = []
    for minute in range(40):
        rate = line_rps * 1.5 * (minute + 1) / 40
        for second in sorted(rng.uniform(0, 60, rng.poisson(rate * 60 / 10))):  # a tenth of the requests is enough
            at = begins + timedelta(minutes=minute, seconds=float(second))
            took = 1.0 if rate > line_rps else 0.05
            lines.append(
                f'10.0.0.1 - - [{at:%d/%b/%Y:%H:%M:%S +0000}] "GET /work HTTP/1.1" 200 12 "-" "agent" {took:.3f}'
            )
    path.write_text("\n".join(lines) + "\n")
    return path


def test_an_empty_record_says_how_to_begin_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = said(capsys, "ledger", "--runs", tmp_path)
    assert answer.code == 0 and "plimsoll verify PLAN_DIR makes them" in answer.out


def test_under_ten_entries_there_is_no_track_record_and_from_ten_on_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    append(tmp_path / "ledger.jsonl", [entry(k) for k in range(4)])
    assert "4 entries, no track record yet (6 more are needed)" in said(capsys, "ledger", "--runs", tmp_path).out
    append(tmp_path / "ledger.jsonl", [entry(k) for k in range(8)])
    shown = said(capsys, "ledger", "--runs", tmp_path).out
    assert "12 entries, 100% within intervals that promise 90%" in shown and "up to 1.5 times" in shown
    assert "Production (ledger observe): 0 entries" in shown


def test_production_judges_a_plan_in_a_record_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = measured(tmp_path, target())
    said(capsys, "plan", run, "--demand", 20)
    after = log(tmp_path / "access.log", datetime.now(UTC) + timedelta(hours=1), line_rps=44)
    answer = said(capsys, "ledger", "observe", run, after, "--window", 60, "--json")
    found = json.loads(answer.out)
    assert found["record"] == "production" and found["measured"] == pytest.approx(4.4, rel=0.1)
    report = json.loads(said(capsys, "ledger", "--runs", run.parent, "--json").out)
    assert (report["lab"]["entries"], report["production"]["entries"]) == (0, 1)


def test_a_log_from_before_the_plan_or_without_its_endpoints_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = measured(tmp_path, target())
    said(capsys, "plan", run, "--demand", 20)
    before = log(tmp_path / "old.log", datetime(2020, 1, 1, tzinfo=UTC), line_rps=44)
    assert "after the plan was made" in said(capsys, "ledger", "observe", run, before).sentence
    calm = log(tmp_path / "calm.log", datetime.now(UTC) + timedelta(hours=1), line_rps=2)
    calm.write_text("\n".join(calm.read_text().splitlines()[:40]) + "\n")
    answer = said(capsys, "ledger", "observe", run, calm)
    assert answer.code == 2 and "production does not tell its line yet" in answer.sentence


def test_a_log_without_times_does_not_meet_a_limit_on_them_and_the_refusal_names_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = measured(tmp_path, target())
    said(capsys, "plan", run, "--demand", 20)
    after = log(tmp_path / "access.log", datetime.now(UTC) + timedelta(hours=1), line_rps=44)
    after.write_text("".join(line.rsplit(" ", 1)[0] + "\n" for line in after.read_text().splitlines()))
    answer = said(capsys, "ledger", "observe", run, after, "--window", 60)
    assert answer.code == 2 and "the log does not tell p95" in answer.sentence
    assert f"plimsoll ledger observe {run} {after}" in answer.sentence
    assert not (tmp_path / "runs" / "ledger.jsonl").exists()


def test_words_that_are_no_command_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert "plimsoll ledger observe PLAN_DIR LOG" in said(capsys, "ledger", "obsrve", "x").sentence


class TestReplicasOfProduction:
    def test_as_many_as_were_measured_are_taken_for_granted_and_that_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run, after = self.planned(tmp_path, capsys)
        answer = said(capsys, "ledger", "observe", run, after, "--window", 60)
        assert "taken for granted: production runs 1 replica(s)" in answer.out

    def test_others_are_judged_by_the_plans_own_prediction_for_so_many(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run, after = self.planned(tmp_path, capsys)
        predictions = json.loads((run / "plan.json").read_text())["predictions"]
        two = next(one for one in predictions if one["change"]["replicas"] == 2)
        answer = said(capsys, "ledger", "observe", run, after, "--replicas", 2, "--window", 60, "--json")
        found = json.loads(answer.out)
        assert found["predicted"] == two["capacity_rps"]

    def test_a_number_that_the_plan_does_not_speak_for_is_refused_with_the_measurement_that_would(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run, after = self.planned(tmp_path, capsys)
        answer = said(capsys, "ledger", "observe", run, after, "--replicas", 7)
        assert answer.code == 2 and "--start --replicas 7 --shape breakpoint" in answer.sentence
        assert (
            "give how many production runs" in said(capsys, "ledger", "observe", run, after, "--replicas", 0).sentence
        )

    def planned(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, Path]:
        run = measured(folder, target())
        said(capsys, "plan", run, "--demand", 20)
        return run, log(folder / "access.log", datetime.now(UTC) + timedelta(hours=1), line_rps=44)
