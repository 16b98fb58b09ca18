"""The command line as a person meets it: in this process for words and refusals, in one of its own for real runs."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plimsoll import cli

ROOT = Path(__file__).parents[2]


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on standard error; fails where there are more, or a traceback."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1 and "Traceback" not in self.err, self.err
        return lines[0]


def said(capsys: pytest.CaptureFixture[str], *words: object) -> Said:
    """What `plimsoll WORDS` says and ends with, called in this process."""
    capsys.readouterr()
    try:
        cli.main([str(word) for word in words])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return Said(code, captured.out, captured.err)


def started(*words: object, cwd: Path | None = None, **env: str) -> subprocess.Popen[str]:
    """`plimsoll WORDS` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "plimsoll.cli", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=cwd or ROOT, env={**os.environ, **env},
    )  # fmt: skip


def finished(*words: object, cwd: Path | None = None, **env: str) -> Said:
    process = started(*words, cwd=cwd, **env)
    out, err = process.communicate(timeout=90)
    return Said(process.returncode, out, err)


def written(
    folder: Path, url: str, *endpoints: dict[str, Any], name: str = "small.toml", **sections: dict[str, Any]
) -> Path:
    """A contract as a file."""
    lines = ["[target]", 'name = "small"', f"base_url = {json.dumps(url)}"]
    for endpoint in endpoints or ({"name": "search", "path": "/search", "timeout_s": 5.0},):
        lines += ["[[endpoint]]", *(f"{key} = {_toml(value)}" for key, value in endpoint.items())]
    for title, section in sections.items():
        lines += [f"[{title.replace('__', '.')}]", *(f"{key} = {_toml(value)}" for key, value in section.items())]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
