"""The emulator as a process of its own on a free port, stopped at the end."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LISTENING = re.compile(r"listening on (http://\S+)")


@contextmanager
def running_llm(*options: str, expect_exit: int = 0) -> Iterator[str]:
    """Start it with these options; gives its URL once it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "targets.reference.llm", "--port", "0", *options], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    try:
        line = process.stderr.readline()
        found = _LISTENING.search(line)
        assert found, line + process.stderr.read()
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        code = process.wait(10)
    assert code == expect_exit, rest
    assert "Traceback" not in rest, rest


def parameter_file(folder: Path, text: str) -> str:
    path = folder / "engine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)
