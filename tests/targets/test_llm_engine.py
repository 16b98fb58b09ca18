"""The real engine: absent it says how to get it; there, emulator and engine are laid side by side."""

import os
import sys
import time
import tomllib
from pathlib import Path

import pytest

from targets.reference.llm import accuracy, serve, transformers_engine
from targets.reference.llm.accuracy import Accuracy, Row
from targets.reference.llm.fit import Estimate, Fitted
from targets.reference.llm.probe import Level

ROOT = Path(__file__).parents[2]
NAMES = ("alpha", "beta", "past", "base", "per_prompt", "per_token", "overhead", "beside")


def fitted() -> Fitted:
    estimates = {name: Estimate(1.5, 0.2) for name in NAMES}
    return Fitted(estimates, 0, 8, False, 64, 0.2, streams=30, left_out=1, scatter_percent=2.5)


def level(streams: int, tokens_per_s: float) -> Level:
    return Level(streams, 20.0, 30.0, 8.0, 12.0, tokens_per_s, requests=10)


def test_an_engine_that_is_not_set_up_is_one_sentence_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for start in (lambda: serve(engine="transformers"), accuracy.prove):
        with pytest.raises(SystemExit, match="2"):
            start()
        said = capsys.readouterr().err
        assert transformers_engine.SETUP in said and said.count("\n") == 1
    assert transformers_engine.python() == tmp_path / "plimsoll" / "engine-venv" / "bin" / "python"


def test_a_step_of_the_set_up_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SystemExit, match="2"):
        transformers_engine.set_up()
    assert "a step failed (makes an environment)" in capsys.readouterr().err
    assert not transformers_engine.is_ready()


def test_the_comparison_shows_errors_knees_and_disturbance(tmp_path: Path) -> None:
    rows = [
        Row(level(1, 100), level(1, 110), stolen_share=0.01),
        Row(level(8, 500), level(8, 450), stolen_share=0.3),
        Row(level(16, 400), level(16, 460), stolen_share=0.0),
    ]
    found = Accuracy(rows, fitted())
    assert found.knees() == (8, 16)
    lines = found.table().splitlines()
    assert "100 / 110 (+10%)" in lines[2] and "disturbed" not in lines[2]
    assert "500 / 450 (-10%)" in lines[3] and "others took 30% of a core" in lines[3]
    assert "the engine at 8 streams, the emulator at 16" in lines[-1]
    assert found.worst().endswith("tokens/s +15% at 16 streams.")
    page = tmp_path / "accuracy.md"
    page.write_text("before\n<!-- prove-llm -->\nold\n<!-- /prove-llm -->\nafter\n", encoding="utf-8")
    found.publish(page, "a CPU, 2 cores")
    text = page.read_text(encoding="utf-8")
    assert "1 of 3 levels were disturbed" in text and "α 1.5 ± 0.2" in text and "old" not in text
    assert text.startswith("before\n<!-- prove-llm -->\n") and text.endswith("<!-- /prove-llm -->\nafter\n")


def test_the_lock_holds_everything_but_torch_by_hash() -> None:
    lines = transformers_engine.LOCK.read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].split("[")[0] for line in lines if "==" in line and not line.startswith(" ")}
    wanted = {line.split("==")[0].split("[")[0] for line in transformers_engine.REQUIREMENTS}
    assert wanted - pinned == {"torch"}
    assert not [name for name in pinned if name.startswith(("nvidia", "cuda", "triton"))]
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert tuple(extra["engine"]) == transformers_engine.REQUIREMENTS
    assert "\ntorch==" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")  # nobody's set-up waits for it


def test_work_of_others_on_the_cores_is_seen() -> None:
    if sys.platform != "linux":
        pytest.skip("reads Linux's counters")
    core = min(os.sched_getaffinity(0))
    before = accuracy._Usage.now({core})
    child = os.fork()
    if not child:  # not a child in psutil's eyes once its parent has let go of it
        os.setsid()
        if os.fork():
            os._exit(0)
        os.sched_setaffinity(0, {core})
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            pass
        os._exit(0)
    os.waitpid(child, 0)
    time.sleep(0.8)
    assert accuracy._Usage.now({core}).stolen_share(before) > 0.3


@pytest.mark.prove
def test_the_fitted_emulator_is_near_the_real_engine() -> None:
    if not transformers_engine.is_ready():
        pytest.skip(f"the real engine is not set up: {transformers_engine.SETUP}")
    found = accuracy.prove()
    quiet = [row for row in found.rows if not row.disturbed and row.engine.streams <= 16]
    if len(quiet) < 3:
        pytest.skip("other work disturbed the measurement")
    for row in quiet:
        assert row.emulator.itl_ms == pytest.approx(row.engine.itl_ms, rel=0.25)
        assert row.emulator.tokens_per_s == pytest.approx(row.engine.tokens_per_s, rel=0.25)
