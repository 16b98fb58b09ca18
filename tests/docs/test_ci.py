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


def test_setup_takes_python3_unless_another_python_is_much_faster_or_the_only_one_that_can() -> None:
    chosen, usual, other = pages.script(".ci/pythons.py").chosen, "python3", "/usr/bin/python3"
    assert chosen({usual: (0.02, (3, 12, 1)), other: (0.018, (3, 11, 2))}) == (usual, "")
    faster, why = chosen({usual: (0.04, (3, 11, 7)), other: (0.02, (3, 11, 2))})
    assert faster == other and "2.0 times as fast as python3" in why and "make PYTHON=python3 setup" in why
    assert chosen({usual: None, other: (0.02, (3, 11, 2))})[0] == other
    assert chosen({usual: None, other: None}) == (usual, "")


def test_a_busy_moment_does_not_choose_the_python() -> None:
    """Each is measured in turn, some times, and its best counts; one that cannot be used is asked no more."""
    times = {"python3": [0.2, 0.2, 0.21], "/usr/bin/python3": [0.4, 0.1, 0.11], "absent": [None]}
    asked: list[str] = []

    def measure(place: str) -> tuple[float, tuple[int, ...]] | None:
        asked.append(place)
        seconds = times[place][asked.count(place) - 1]
        return (seconds, (3, 11, 2)) if seconds else None

    found = pages.script(".ci/pythons.py").compared(measure, list(times))
    assert found == {"python3": (0.2, (3, 11, 2)), "/usr/bin/python3": (0.1, (3, 11, 2)), "absent": None}
    assert asked[:4] == ["python3", "/usr/bin/python3", "absent", "python3"] and asked.count("absent") == 1


def test_a_python_that_is_not_there_or_too_old_is_not_measured(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 0.01 3 9 2\n", encoding="utf-8")
    old.chmod(0o755)
    measured = pages.script(".ci/pythons.py").measured
    assert measured(str(old)) is None and measured(str(tmp_path / "absent")) is None


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


def test_the_audit_tells_flaws_from_packages_that_nobody_could_look_up() -> None:
    told = pages.script(".ci/audit.py").told
    fine, unknown = {"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}
    flawed = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
    assert told({"dependencies": [fine]}) == (["1 packages looked up, 0 known vulnerabilities"], 0)
    lines, code = told({"dependencies": [fine, flawed, unknown]})
    assert code == 1 and "c 2: PYSEC-1, mended in 3" in lines and "not looked up: b" in lines
    assert told({"dependencies": [unknown]})[1] == 3


def test_every_workflow_has_read_only_rights_and_keeps_no_credentials_in_its_checkout() -> None:
    yaml = pytest.importorskip("yaml")
    for path in (pages.ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}, path.name
        for job in workflow["jobs"].values():
            assert "permissions" not in job and "timeout-minutes" in job, path.name
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout"):
                    assert step["with"]["persist-credentials"] is False, path.name
                assert "${{ github.event" not in step.get("run", ""), f"{path.name}: words of others inside a script"


def test_every_slow_proof_is_run_by_a_make_target() -> None:
    make = (pages.ROOT / "Makefile").read_text(encoding="utf-8").split()
    marked = {
        path.relative_to(pages.ROOT)
        for path in (pages.ROOT / "tests").rglob("test_*.py")
        if "@pytest.mark.prove\n" in path.read_text(encoding="utf-8")
    }
    marked.discard(Path("tests/targets/test_llm_engine.py"))  # make prove-llm measures the same by its own command
    assert [str(path) for path in marked if str(path) not in make and str(path.parent) not in make] == []
