"""The table of rooms in the design holds: what each may import is checked in the imports themselves."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"plimsoll", "targets", "loadtests", "profiles", "measurements", "benchmarks", "capacity", "reports"}
MAY_IMPORT = {
    "measurements": set(),
    "targets": {"measurements"},
    "profiles": {"measurements", "targets"},
    "loadtests": {"measurements", "targets", "profiles"},
    "capacity": {"measurements", "targets"},
    "benchmarks": {"measurements", "targets"},
    "reports": {"measurements", "capacity", "benchmarks"},
    "plimsoll": ROOMS,
}
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]


def test_no_room_imports_what_it_may_not() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CONFIG['contracts'])} kept, 0 broken" in done.stdout


@pytest.mark.parametrize("room", sorted(ROOMS - {"plimsoll"}))
def test_the_linter_is_told_the_table_of_the_design(room: str) -> None:
    forbidden = {
        name for contract in CONFIG["contracts"] if room in contract["source_modules"] for name in contract["forbidden_modules"]
    }  # fmt: skip
    assert ROOMS - {room} - forbidden == MAY_IMPORT[room]


def test_every_room_is_watched() -> None:
    assert set(CONFIG["root_packages"]) == ROOMS
    on_disk = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert on_disk == ROOMS


def test_a_broken_layer_would_be_found(tmp_path: Path) -> None:
    """The negative control: a spine that imports the command line."""
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("import plimsoll\n" if room == "measurements" else "")
    (tmp_path / "targets" / "reference").mkdir()
    (tmp_path / "targets" / "reference" / "__init__.py").write_text("")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    code = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "measurements imports nothing of ours BROKEN" in done.stdout
