"""`uv tool install` of the repository gives a program that runs, reports and plans away from the clone; without a C compiler
too, from the sources then."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"

pytestmark = [pytest.mark.prove, pytest.mark.skipif(not UV.exists(), reason="needs uv, as make setup installs it")]


def _installed(source: Path, home: Path, **settings: str) -> dict[str, str]:
    """The environment in which `plimsoll` is what was installed from there."""
    env = {**os.environ, "UV_TOOL_DIR": str(home / "tools"), "UV_TOOL_BIN_DIR": str(home / "bin"), **settings}
    command = [UV, "tool", "install", "--quiet", "--refresh-package", "plimsoll", "--python", sys.executable]
    subprocess.run([*command, str(source)], env=env, check=True, timeout=280)
    return {**env, "PATH": f"{home / 'bin'}:{env['PATH']}"}


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize(("compiler", "said"), [("cc", "ok"), ("/no/compiler", "limited")])
def test_it_installs_with_and_without_a_compiler(compiler: str, said: str, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True, timeout=60)
    env = _installed(clone, tmp_path, CC=compiler)
    done = subprocess.run([tmp_path / "bin" / "plimsoll", "doctor"], cwd=tmp_path, env=env, capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
    (line,) = [line for line in done.stdout.splitlines() if "hot path: " in line]
    assert line.split()[0] == said, line


def test_the_installed_tool_writes_a_report_from_a_folder_of_its_own(tmp_path: Path) -> None:
    env = _installed(ROOT, tmp_path)
    work = tmp_path / "work"
    (work / "reports").mkdir(parents=True)
    (work / "reports" / "__init__.py").write_text("raise RuntimeError('the wrong package')\n", encoding="utf-8")
    server = subprocess.Popen([sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"], cwd=work, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**env, "PYTHONUNBUFFERED": "1"})  # fmt: skip
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split("port ")[1].split()[0]
        contract = (
            f'[target]\nname = "files"\nbase_url = "http://127.0.0.1:{port}"\n[[endpoint]]\nname = "root"\npath = "/"\n'
        )
        (work / "plimsoll.toml").write_text(contract, encoding="utf-8")
        for words, codes in (
            (["check", "plimsoll.toml"], (0,)),
            (["run", "plimsoll.toml", "--rate", "20", "--duration", "5"], (0, 3)),
        ):
            done = subprocess.run([tmp_path / "bin" / "plimsoll", *words], cwd=work, env=env, capture_output=True, text=True,
                                  timeout=120, check=False)  # fmt: skip
            assert done.returncode in codes, done.stdout + done.stderr
    finally:
        server.terminate()
        server.wait(10)
    assert (work / "runs" / "latest" / "report.html").is_file()
