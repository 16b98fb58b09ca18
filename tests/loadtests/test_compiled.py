"""The hot path, compiled or from its sources: which of the two runs, why, and that both say the same."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from servers import Scripted, answer

from loadtests import compiled
from measurements.rundir import RunDirectory

ROOT = Path(__file__).parents[2]
SAID = "import loadtests.transport as it, loadtests.compiled as chosen; print(it.__file__, chosen.why_not(), sep='|')"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working tree of two hot modules, compiled just now."""
    here = tmp_path / "loadtests"
    here.mkdir()
    (tmp_path / "setup.py").touch()
    for kind in (".py", ".pxd", EXTENSION_SUFFIXES[0]):
        for name in ("one", "two"):
            (here / f"{name}{kind}").touch()
            os.utime(here / f"{name}{kind}", (1_000, 2_000 if kind == EXTENSION_SUFFIXES[0] else 1_000))
    monkeypatch.setattr(compiled, "FOLDER", here)
    monkeypatch.delenv(compiled.SOURCES_ONLY, raising=False)
    return here


def test_what_was_compiled_after_its_last_change_runs(folder: Path) -> None:
    assert compiled.why_not() == ""


def test_a_module_that_is_not_compiled_takes_all_to_their_sources(folder: Path) -> None:
    (folder / f"two{EXTENSION_SUFFIXES[0]}").unlink()
    assert compiled.why_not() == "it is not compiled here"


@pytest.mark.parametrize("kind", [".py", ".pxd"])
def test_a_source_that_changed_since_is_told_by_name(folder: Path, kind: str) -> None:
    os.utime(folder / f"two{kind}", (3_000, 3_000))
    assert compiled.why_not() == "two has changed since it was compiled"


def test_an_installed_package_is_not_judged_by_the_times_of_its_files(folder: Path) -> None:
    os.utime(folder / "two.py", (3_000, 3_000))
    (folder.parent / "setup.py").unlink()
    assert compiled.why_not() == ""


def test_the_sources_run_where_somebody_asks_for_them() -> None:
    environment = {**os.environ, compiled.SOURCES_ONLY: "1"}
    said = subprocess.run(
        [sys.executable, "-P", "-c", SAID], env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    where, why = said.strip().split("|")
    assert Path(where).suffix == ".py" and why == f"{compiled.SOURCES_ONLY} is set"


CONTRACT = """
[target]
name = "both"
base_url = "{url}"
[[endpoint]]
name = "ask"
method = "POST"
path = "/ask"
json = {{ question = "how?" }}
"""


def test_both_forms_send_the_same_arrivals_and_write_the_same_rows(tmp_path: Path) -> None:
    """All that does not depend on time: numbers, intended times, stages, bytes, outcomes."""
    found = []
    columns = ["seq", "step", "stage", "endpoint", "intended_ns", "status", "outcome", "bytes_out"]
    with Scripted({"/ask": answer()}) as server:
        (tmp_path / "both.toml").write_text(CONTRACT.format(url=server.url), encoding="utf-8")
        for sources_only in ("", "1"):
            run = subprocess.run(
                [sys.executable, "-P", "-m", "plimsoll.cli", "run", str(tmp_path / "both.toml"), "--rate", "80",
                 "--duration", "3", "--seed", "5", "--json", "--out", str(tmp_path / f"runs{sources_only}")],
                env={**os.environ, compiled.SOURCES_ONLY: sources_only}, capture_output=True, text=True, timeout=90,
                check=False, cwd=ROOT,
            )  # fmt: skip
            assert run.stdout, run.stderr
            made = RunDirectory.open((tmp_path / f"runs{sources_only}" / "latest").resolve())
            assert made.read_json("run.json")["hot_path"]["compiled"] is (not sources_only and not compiled.why_not())
            found.append(sorted(map(str, made.table("samples").select(columns).to_pylist())))
    assert len(found[0]) > 150 and found[0] == found[1]
