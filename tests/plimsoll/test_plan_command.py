"""`plimsoll plan` as a person meets it, on a run directory made of a planted service's documents."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from measurements.rundir import RunDirectory
from plimsoll import observed
from tests.plimsoll.command_line import said

sys.path.insert(0, str(Path(__file__).parents[1] / "capacity"))
from planted import Bench, Service
from planted import run as planted_run

CONTRACT: dict[str, Any] = {"resources": {"cpu": 1.0, "memory_mib": 1024, "workers": 1, "replicas": 1}}


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A service that fills one core at 50 rps."""
    made = planted_run(Service(), Bench(contract=CONTRACT))
    run = RunDirectory.create(tmp_path / "runs", "planted")
    run.write_json("run.json", {**made.run, "run": run.identity})
    run.write_json("summary.json", {**made.summary, "run": run.identity})
    run.write_json("validity.json", made.validity)
    return run.path


def test_a_plan_has_dates_money_files_and_what_was_validated(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "review"
    words = ("plan", run_dir, "--demand", 60, "--growth", "10%/month", "--lead-time", 30, "--out", out)
    answer = said(capsys, *words)
    assert answer.code == 0, answer.err
    plan = json.loads((out / "plan.json").read_text())
    assert plan["demand"]["planned_rps"][0] == pytest.approx(60 * 1.1**12)
    assert plan["do_nothing"]["breaks_on"] and plan["do_nothing"]["order_by"]
    assert {cost["currency"] for cost in plan["scale_out"][-1]["cost"]} == {"KRW", "USD"}
    assert {path.name for path in (out / "deploy").iterdir()} >= {
        "compose.scale-out.yaml",
        "nginx.conf",
        "kubernetes.yaml",
    }
    checked = {one["file"]: one["state"] for one in plan["deployment_files"]["validated"]}
    assert checked["kubernetes.yaml"] == checked["ecs-service.json"] == "valid"
    assert "invalid" not in checked.values()
    assert "example prices" in answer.out and f"Deployment files: 7 in {out / 'deploy'}" in answer.out
    assert "plimsoll verify can try it once the contract's [target.control] says how to start" in answer.out
    assert "growing by 10 % a month for 12 months" in answer.out.replace("10.0", "10").replace("\u00a0", " "), (
        answer.out
    )
    assert (out / "report.html").is_file()


def test_users_who_think_become_a_rate(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = json.loads(said(capsys, "plan", run_dir, "--users", 100, "--json").out)
    assert plan["demand"]["users"] == 100 and plan["demand_rps"] > 100


def test_what_will_be_tried_is_predicted_before_anybody_tries(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = json.loads(said(capsys, "plan", run_dir, "--demand", 20, "--json").out)
    first, double, four = plan["predictions"]
    assert first["capacity_rps"] == plan["capacity_rps"]
    assert double["capacity_rps"]["mid"] == pytest.approx(2 * first["capacity_rps"]["mid"])
    assert four["change"]["replicas"] == 4 and plan["rests_on"][0]["path"] == str(run_dir)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--demand", -1), "give requests per second above 0"),
        (("--demand", "nan"), "give requests per second above 0"),
        (("--demand", "inf"), "give requests per second above 0"),
        (("--users", 0), "give a number of users from 1"),
        (("--demand", 5, "--peak-to-mean", "nan"), "the peak is at least the mean"),
        (("--demand", 5, "--lead-time", "nan"), "give days from 0"),
        (("--demand", 5, "--growth", "9999999%/month"), "is more than ten times a month"),
        (("--demand", 5, "--growth", "10%/month", "--horizon", "99999999999y"), "up to 10y"),
        (("--demand", 5, "--growth", "10%/month", "--horizon", "0m"), "up to 10y"),
        (("--demand", 5, "--users", 5), "exclude each other"),
        (("--growth", "10%/month"), "give today's --demand"),
        (("--demand", 5, "--growth", "ten"), "write it like 10%/month"),
        (("--demand", 5, "--growth", "10%/month", "--horizon", "soon"), "write it like 12m"),
        (("--demand", 5, "--horizon", "12m"), "say how demand grows too"),
        (("--demand", 5, "--prices", "nowhere.toml"), "nowhere.toml cannot be read"),
        (("--demand", 5, "--machine", "nowhere.json"), "nowhere.json cannot be read"),
        (("--demand", 5, "--peak-to-mean", 0.5), "the peak is at least the mean"),
    ],
)
def test_words_that_cannot_be_meant_are_one_sentence(
    run_dir: Path, words: tuple[Any, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = said(capsys, "plan", run_dir, *words)
    assert answer.code == 2 and sentence in answer.sentence


class TestAnotherMachine:
    def machine(self, folder: Path, median_ms: float) -> Path:
        path = folder / "machine.json"
        timed = {"median_ms": median_ms, "spread": 0.02, "runs": 7}
        path.write_text(json.dumps({"host": {"cpu_model": "Zen 9", "cores": 8}, "calibration": timed}))
        return path

    def test_without_a_calibration_here_it_is_refused_and_the_command_named(
        self, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        answer = said(capsys, "plan", run_dir, "--demand", 20, "--machine", self.machine(tmp_path, 100), "--json")
        refusal = json.loads(answer.out)["refusals"][0]
        assert answer.code == 3 and "plimsoll doctor --calibrate" in refusal["remedy"]

    def test_a_core_twice_as_fast_carries_twice_as_much_and_the_grade_says_that_nobody_measured_it(
        self, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = RunDirectory.open(run_dir)
        run.write_json("run.json", run.read_json("run.json") | {"calibration": {"median_ms": 200, "spread": 0.02}})
        before = json.loads(said(capsys, "plan", run_dir, "--demand", 20, "--json").out)
        answer = said(capsys, "plan", run_dir, "--demand", 20, "--machine", self.machine(tmp_path, 100), "--json")
        moved = json.loads(answer.out)
        assert moved["capacity_rps"]["mid"] == pytest.approx(2 * before["capacity_rps"]["mid"])
        assert moved["evidence_grade"] == "C" and "nothing was measured there" in moved["grade_reasons"][0]


def test_documents_of_a_run_say_how_many_replicas_and_workers_were_started(run_dir: Path) -> None:
    run = RunDirectory.open(run_dir)
    deployed = {"base_urls": ["http://127.0.0.1:1", "http://127.0.0.1:2"], "service_workers": 3}
    run.write_json("run.json", run.read_json("run.json") | deployed)
    found = observed.documents(run)
    assert (found.replicas, found.workers) == (2, 3)
