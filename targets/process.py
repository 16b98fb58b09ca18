"""Processes that we start: in a group of their own, dying with us, stopped as a whole, their last words kept."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import psutil

from measurements.errors import UsageError

CHECK = "check the command that starts it, in [target.control] of the contract or on the command line"
STOP_PATIENCE_S = 10.0

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def die_with_parent() -> None:
    """Between fork and exec: SIGTERM for us when the process that started us dies (Linux)."""
    if _libc is not None:
        _libc.prctl(1, signal.SIGTERM)


class Process:
    """One started command with its tree. `log` receives its output.

    Commands are the user's: what their PATH names comes before what lies beside us (our environment has an uvicorn too,
    without their packages). Only `plimsoll` itself is always this one.
    """

    def __init__(
        self, name: str, command: str, env: dict[str, str], cwd: Path, log: Path, cpus: Sequence[int] = ()
    ) -> None:
        self.name, self.command, self.log = name, command, log
        words = _words(name, command)
        ours, theirs = Path(sys.executable).parent, env.get("PATH", os.environ.get("PATH", ""))
        full = {**os.environ, **env, "PATH": f"{theirs}{os.pathsep}{ours}", "PYTHONUNBUFFERED": "1"}
        if words[0] == "plimsoll" and (ours / "plimsoll").is_file():
            words[0] = str(ours / "plimsoll")
        self._out: IO[bytes] = log.open("ab")
        try:
            self._popen = subprocess.Popen(
                words,
                cwd=cwd,
                env=full,
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            self._out.close()
            raise UsageError(f"{name} cannot be started: {words[0]!r}: {error.strerror}; {CHECK}") from error
        if cpus and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self._popen.pid, cpus)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._popen.poll()

    def last_words(self, lines: int = 3) -> str:
        try:
            text = self.log.read_bytes()[-4_096:].decode("utf-8", "replace")
        except OSError:
            return ""
        return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])

    def stop(self, patience_s: float = STOP_PATIENCE_S) -> None:
        """SIGTERM to the command, then SIGKILL to whatever is left of its tree."""
        tree = self._tree()
        if self._popen.poll() is None:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(patience_s)
        for process in tree:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(tree, timeout=2)
        self._popen.wait()
        self._out.close()

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _words(name: str, command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{name} cannot be started: {command!r}: {error}; {CHECK}") from error
    if not words:
        raise UsageError(f"{name} cannot be started: its command is empty; {CHECK}")
    return words


def describe_exit(code: int) -> str:
    """137, -9 and their kin in words."""
    number = -code if code < 0 else code - 128 if code > 128 else 0
    if number:
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"ended with exit code {code}"


def wait_gone(pids: Sequence[int], timeout_s: float) -> list[int]:
    """The pids that still live after the timeout."""
    until = time.monotonic() + timeout_s
    while True:
        alive = [pid for pid in pids if psutil.pid_exists(pid)]
        if not alive or time.monotonic() > until:
            return alive
        time.sleep(0.05)
