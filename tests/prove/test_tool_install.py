"""`uv tool install` of the repository gives a program that runs, reports and plans away from the clone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"

pytestmark = [pytest.mark.prove, pytest.mark.skipif(not UV.exists(), reason="needs uv, as make setup installs it")]


def test_the_installed_tool_writes_a_report_from_a_folder_of_its_own(tmp_path: Path) -> None:
    env = {**os.environ, "UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    subprocess.run(
        [UV, "tool", "install", "--quiet", "--python", sys.executable, str(ROOT)], env=env, check=True, timeout=280
    )
    env["PATH"] = f"{tmp_path / 'bin'}:{env['PATH']}"
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
