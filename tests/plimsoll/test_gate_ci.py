"""The gate in CI: the shipped files are well formed, and the script shows unsure nights as they should be shown."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from plimsoll.cli import app

ROOT = Path(__file__).parents[2]
FAKE = """#!/usr/bin/env bash
if [ "$1" = history ]; then echo "$STREAK"; exit 0; fi
printf '%s\\n' "$@" > "$WORDS"
exit "$GATE"
"""


def shown(tmp_path: Path, gate: int, streak: int = 0) -> subprocess.CompletedProcess[str]:
    fake = tmp_path / "plimsoll"
    fake.write_text(FAKE, encoding="utf-8")
    fake.chmod(0o755)
    given = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "GATE": str(gate),
        "STREAK": str(streak),
        "WORDS": str(tmp_path / "words"),
    }
    return subprocess.run(
        [ROOT / ".ci" / "gate", "s.toml", "--endpoint", "a b"], env={**os.environ, **given}, capture_output=True, text=True,
        timeout=20, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "streak", "code", "said"),
    [(0, 0, 0, ""), (1, 0, 1, ""), (3, 0, 3, ""), (6, 1, 0, "::warning"), (6, 2, 0, "::warning"), (6, 3, 1, "::error")],
)
def test_unsure_is_neutral_and_red_after_three_nights(
    tmp_path: Path, gate: int, streak: int, code: int, said: str
) -> None:
    done = shown(tmp_path, gate, streak)
    assert done.returncode == code
    assert said in done.stdout
    words = (tmp_path / "words").read_text(encoding="utf-8").splitlines()
    assert words == ["gate", "s.toml", "--endpoint", "a b", "--store", "runs/history.duckdb"]


def documents() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    files = {"nightly": ".github/workflows/nightly.yml", "action": "action.yml", "gitlab": ".ci/gate.gitlab-ci.yml"}
    return {name: yaml.safe_load((ROOT / path).read_text(encoding="utf-8")) for name, path in files.items()}


def test_the_workflows_read_only_and_call_plimsoll_not_make() -> None:
    found = documents()
    assert found["nightly"]["permissions"] == {"contents": "read"}
    steps = [*found["nightly"]["jobs"]["gate"]["steps"], *found["action"]["runs"]["steps"]]
    runs = [step["run"] for step in steps if "run" in step] + [str(line) for line in found["gitlab"]["gate"]["script"]]
    assert not any("make gate" in text for text in runs)
    assert any("--weekly" in text for text in runs)
    assert all("@v" in step["uses"] for step in steps if "uses" in step)


def test_inputs_reach_the_shell_only_as_environment() -> None:
    """What somebody writes into a pull request must not become a command."""
    for step in documents()["action"]["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    comment = next(s for s in documents()["action"]["runs"]["steps"] if "comment" in s["name"])
    assert "head.repo.full_name == github.repository" in comment["if"]


def test_every_option_that_the_files_use_exists() -> None:
    import typer

    command = typer.main.get_command(app)
    known = {name: {o for p in sub.params for o in p.opts} for name, sub in command.commands.items()}  # type: ignore[attr-defined]
    text = "\n".join(
        (ROOT / p).read_text(encoding="utf-8")
        for p in (".github/workflows/nightly.yml", ".ci/gate", ".ci/gate.gitlab-ci.yml")
    )
    for name in ("gate", "history"):
        for line in re.findall(rf"plimsoll {name} (.*(?:\\\n.*)*)", text):
            assert set(re.findall(r"(?<!\S)(--[a-z-]+)", line)) <= known[name], line
