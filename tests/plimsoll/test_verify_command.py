"""`plimsoll verify` before it starts anything: what is frozen, what it refuses, what cannot be tested here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from capacity.judgement import Retest
from measurements import host
from measurements.errors import Interrupted
from measurements.interval import Interval
from measurements.rundir import RunDirectory
from tests.plimsoll.command_line import said

sys.path.insert(0, str(Path(__file__).parents[1] / "capacity"))
from planted import Bench, Service
from planted import run as planted_run

CONTROL = {"start": "true --port {port} --workers {workers}"}


def measured(folder: Path, contract: dict[str, Any], here: dict[str, Any] | None = None, **service: Any) -> Path:
    """A run directory of a planted service with a plan in it."""
    given = {"endpoint": [{"name": "work", "path": "/work"}], **contract}
    made = planted_run(Service(**service), Bench(contract=given, host=here or host.fingerprint()))
    run = RunDirectory.create(folder / "runs", "planted")
    run.write_json("run.json", {**made.run, "run": run.identity, "schedule": {"workers": 1}})
    run.write_json("summary.json", {**made.summary, "run": run.identity})
    run.write_json("validity.json", made.validity)
    return run.path


def target(**more: Any) -> dict[str, Any]:
    return {"target": {"name": "planted", "base_url": "http://127.0.0.1:8000", **more}}


def test_a_folder_without_a_plan_is_told_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = said(capsys, "verify", tmp_path)
    assert answer.code == 2 and "plimsoll plan RUN_DIR" in answer.sentence


def test_a_plan_of_refusals_has_nothing_to_try(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = measured(tmp_path, target(control=CONTROL), service_ms=2000)
    said(capsys, "plan", run, "--demand", 5)
    answer = said(capsys, "verify", run)
    assert answer.code == 2 and "holds no number to try" in answer.sentence and "plimsoll run" in answer.sentence


@pytest.mark.parametrize(
    ("contract", "here", "why"),
    [
        (target(), None, "say in [target.control] how to start it"),
        (target(control=CONTROL), {"cpu_model": "Zen 9", "cores": 8, "memory_mib": 1}, "the plan speaks for Zen 9"),
    ],
)
def test_what_cannot_be_tried_here_is_said_and_nothing_goes_on_record(
    contract: dict[str, Any], here: dict[str, Any] | None, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = measured(tmp_path, contract, here)
    said(capsys, "plan", run, "--demand", 20)
    answer = said(capsys, "verify", run, "--quiet")
    found = json.loads((run / "verification.json").read_text())
    assert answer.code == 3 and found["verdict"] == "NOT_TESTABLE"
    assert all(why in test["note"] for test in found["tests"])
    assert not (tmp_path / "runs" / "ledger.jsonl").exists()


@pytest.mark.parametrize(("meant", "answer_code"), [("Zen 9", 3), (None, 0)], ids=["elsewhere", "this machine"])
def test_a_plan_for_another_machine_is_tried_there_and_not_where_it_was_measured(
    meant: str | None,
    answer_code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = measured(tmp_path, target(control=CONTROL))
    home, here = RunDirectory.open(run), host.fingerprint()
    home.write_json("run.json", home.read_json("run.json") | {"calibration": {"median_ms": 200, "spread": 0.02}})
    machine = tmp_path / "machine.json"
    there = {"cpu_model": meant or here["cpu_model"], "cores": 8 if meant else here["cores"]}
    machine.write_text(json.dumps({"host": there, "calibration": {"median_ms": 100, "spread": 0.02}}))
    said(capsys, "plan", run, "--demand", 20, "--machine", machine)
    asked = _driven(monkeypatch)
    answer = said(capsys, "verify", run, "--quiet")
    tests = json.loads((run / "verification.json").read_text())["tests"]
    ledger = tmp_path / "runs" / "ledger.jsonl"
    assert answer.code == answer_code
    if meant is None:
        assert asked and all("moved to another machine" in line for line in ledger.read_text().splitlines())
        return
    assert asked == [] and not ledger.exists()
    assert all("the plan speaks for Zen 9 with 8 cores" in test["note"] for test in tests)
    assert all(f"run plimsoll verify {run}, there" in test["note"] for test in tests)


def test_a_paid_upstream_without_a_cap_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = measured(tmp_path, {**target(control=CONTROL), "upstream": {"paid": True}})
    said(capsys, "plan", run, "--demand", 20)
    answer = said(capsys, "verify", run)
    assert answer.code == 5 and "max_usd" in answer.sentence


def test_a_plan_without_its_run_or_from_another_version_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.json").write_text('{"schema": 1}')
    assert "does not say which run it rests on" in said(capsys, "verify", tmp_path).sentence
    for damaged in ("{", "[]"):
        (tmp_path / "plan.json").write_text(damaged)
        answer = said(capsys, "verify", tmp_path)
        assert answer.code == 2 and "is damaged" in answer.sentence


def test_a_plan_of_refusals_alone_has_nothing_to_try(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = {"capacity_rps": None, "refusals": [{"reason": "the run is INVALID", "remedy": "run it again"}]}
    (tmp_path / "plan.json").write_text(json.dumps(refused))
    answer = said(capsys, "verify", tmp_path)
    assert answer.code == 3
    assert "predicts nothing that could be tried: the run is INVALID; run it again" in answer.sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--budget", "nan"), "--budget nan: a trial takes"),
        (("--budget", 5), "--budget 5: a trial takes"),
        (("--seed", -1), "--seed -1: give a whole number"),
        (("--lang", "xx"), "there is no report in language 'xx'"),
    ],
)
def test_words_that_cannot_be_meant_are_refused_before_the_plan_is_read(
    tmp_path: Path, words: tuple[object, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = said(capsys, "verify", tmp_path, *words)
    assert answer.code == 2 and sentence in answer.sentence


def test_a_file_in_the_place_of_a_plans_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.toml").write_text("")
    assert "has no plan.json; make one with" in said(capsys, "verify", tmp_path / "plan.toml").sentence


def test_one_prediction_alone_can_be_asked_for_and_an_unknown_one_is_told_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = measured(tmp_path, target(control=CONTROL))
    said(capsys, "plan", run, "--demand", 20)
    asked = _driven(monkeypatch)
    assert said(capsys, "verify", run, "--quiet", "--only", "2 replicas").code == 0
    assert asked == ["capacity with 2 replicas"]
    answer = said(capsys, "verify", run, "--only", "9 replicas")
    assert answer.code == 2 and "'capacity with 2 replicas'" in answer.sentence


def test_an_interruption_keeps_what_was_tried_and_says_what_was_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = measured(tmp_path, target(control=CONTROL))
    said(capsys, "plan", run, "--demand", 20)
    _driven(monkeypatch, interrupted_at=2)
    answer = said(capsys, "verify", run, "--quiet")
    tests = json.loads((run / "verification.json").read_text())["tests"]
    assert answer.code == 130
    assert tests[0]["measured"] is not None and "interrupted" in tests[1]["note"]
    assert len((tmp_path / "runs" / "ledger.jsonl").read_text().splitlines()) == 1


def _driven(monkeypatch: pytest.MonkeyPatch, interrupted_at: int = 99) -> list[str]:
    """Trials that find what was predicted, without a load; the names of those that were asked for."""
    asked: list[str] = []

    def run(bench: Any, one: Any, budget_s: float) -> list[Retest]:
        asked.append(one.what)
        if len(asked) == interrupted_at:
            raise Interrupted("stopped")
        return [Retest(one.what, None, one.predicted, one.predicted.mid)]

    monkeypatch.setattr("plimsoll.trial.run", run)
    for question in ("testable_here", "slowed_here"):
        monkeypatch.setattr(f"capacity.judgement.{question}", lambda *_, **__: "")
    monkeypatch.setattr("plimsoll.lose_one.run", lambda *_, **__: Retest("lose one", None, _sure(), 1.0))
    return asked


def _sure() -> Interval:
    return Interval(0.95, 1.0, 1.0, 0.9)
