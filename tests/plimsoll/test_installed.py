"""The program works from any folder, also one whose own packages are called as ours are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ROOT, written
from servers import Scripted, answer

OURS = ("plimsoll", "targets", "loadtests", "profiles", "measurements", "benchmarks", "capacity", "reports")
SCRIPT = Path(sys.executable).parent / "plimsoll"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with packages of our names, each of which fails when it is imported, and a module among them."""
    for name in OURS[:-1]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong package')\n", encoding="utf-8")
    (tmp_path / "reports.py").write_text("raise RuntimeError('the wrong module')\n", encoding="utf-8")
    return tmp_path


def typed(folder: Path, *words: object, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(SCRIPT), *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=90, check=False,
        env={**os.environ, **env},
    )  # fmt: skip
    assert "wrong" not in done.stdout + done.stderr, done.stderr
    return done


@pytest.mark.skipif(not SCRIPT.exists(), reason="plimsoll is not installed in this environment")
def test_a_run_and_its_report_come_from_a_folder_with_packages_of_the_same_names(folder: Path) -> None:
    with Scripted({"/search": answer()}) as server:
        contract = written(folder, server.url)
        done = typed(folder, "run", contract.name, "--rate", "20", "--duration", "2", "--json")
        assert done.returncode in (0, 3), done.stderr  # 3: the machine was too busy to measure
        assert json.loads(done.stdout)["endpoints"]["search"]["count"] > 0
        assert typed(folder, "check", contract.name).stdout.rstrip().endswith("ready to run")
    assert (folder / "runs" / "latest" / "report.html").is_file()
    assert typed(folder, "report", "runs/latest", "--lang", "ko").returncode == 0


def test_the_tab_key_completes_commands_and_options() -> None:
    for typed_so_far, expected in (("plimsoll com", "compare"), ("plimsoll run --sha", "--shape")):
        words = typed_so_far.split()
        env = {"COMP_WORDS": typed_so_far, "COMP_CWORD": str(len(words) - 1), "_PLIMSOLL_COMPLETE": "complete_bash"}
        done = subprocess.run(
            [str(SCRIPT)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False, env={**os.environ, **env}
        )
        assert expected in done.stdout.split()
