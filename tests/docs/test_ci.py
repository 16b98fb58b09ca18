"""Continuous integration: its files are well formed, and the check of the main job's run can say no."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.docs import pages
from tests.reports import synthetic_run


def test_the_script_is_bash_that_stops_at_the_first_error() -> None:
    script = pages.ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")


def test_the_workflow_reads_only_and_runs_the_same_script_on_two_pythons() -> None:
    yaml = pytest.importorskip("yaml")
    workflow = yaml.safe_load((pages.ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["test-and-load"]
    assert workflow["permissions"] == {"contents": "read"}
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert all("@v" in step["uses"] for step in job["steps"] if "uses" in step)


def test_a_finished_run_passes_the_check_and_a_damaged_one_does_not(tmp_path: Path) -> None:
    problems = pages.script(".ci/check_run.py").problems
    run = synthetic_run.write(tmp_path, rates=[5.0, 6.0, 7.0], stage_s=2.0)
    assert problems(run.path) == ["report.html is missing"]
    run.write_text("report.html", "<html></html>")
    assert problems(run.path) == []

    summary = run.read_json("summary.json")
    summary["all"]["outcomes"]["ok"] += 1
    run.write_json("summary.json", summary)
    assert any("outcomes in an entry" in sentence for sentence in problems(run.path))


def test_a_busy_machine_is_told_apart_from_a_defect(tmp_path: Path) -> None:
    problems = pages.script(".ci/check_run.py").problems
    run = synthetic_run.write(tmp_path, rates=[5.0, 6.0, 7.0], stage_s=2.0)
    run.write_text("report.html", "<html></html>")
    validity = json.loads((run.path / "validity.json").read_text(encoding="utf-8"))
    for name, expected in (("generator_cpu", []), ("accounting", ["Every intended request ended as exactly one row."])):
        for check in validity["checks"]:
            check["state"] = "invalid" if check["check"] == name else "ok"
        run.write_json("validity.json", validity)
        assert problems(run.path) == expected
