"""`plimsoll serve`: what --list shows, and that what it shows can be said."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from plimsoll.cli import app
from targets.reference.kakao.settings import Settings
from targets.reference.llm.parameters import load


def shown(name: str) -> list[str]:
    done = CliRunner().invoke(app, ["serve", name, "--list"])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


@pytest.mark.parametrize(("name", "trap"), [("alaw", "self_restart"), ("encar", "limit_per_process"),
                                            ("saju", "health_calls_paid_llm")])  # fmt: skip
def test_the_list_has_settings_and_the_traps_that_are_built_in(name: str, trap: str) -> None:
    lines = shown(name)
    traps = lines.index("") + 1
    assert any(line.startswith(f"  {trap}: ") for line in lines[traps:])
    assert any(line.split()[:1] == [trap] for line in lines[1:traps])  # a setting of that name switches it
    assert not [line for line in lines if line.strip().startswith(("work_dir", "behind_proxy"))]


def test_what_the_list_names_can_be_set() -> None:
    names = {line.split()[0] for line in shown("kakao")[1:] if line.startswith("  ") and ":" not in line.split()[0]}
    assert names <= set(Settings.model_fields)
    keys = [line.split()[0] for line in shown("llm")[1:] if "." in line.split()[0]]
    assert load(None, {"batching.slots": "8"}).batching.slots == 8
    assert "prefill.ms_per_token_beside" in keys


def test_what_the_emulator_can_do_are_options_of_their_own() -> None:
    for words, sentence in (
        (["--fit", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["--replay", "a", "--fit", "b"], "replay and fit exclude each other"),
    ):
        done = CliRunner().invoke(app, ["serve", "llm", *words])
        assert done.exit_code == 2
        assert sentence in done.stderr
