"""The parent's side of a process of ours that has gevent: its line, its news, its end."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from loadtests.plan import LoadPlan
from targets.process import describe_exit, die_with_parent


class Line:
    """A started `python -m module FD` and the socket to it: JSON lines both ways. Its output goes to `log`."""

    def __init__(self, module: str, log: Path) -> None:
        self.line, theirs = socket.socketpair()
        self.log = log
        with self.log.open("ab") as file:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, pass_fds=[theirs.fileno()],
                start_new_session=True, preexec_fn=die_with_parent, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        theirs.close()
        self._rest = b""

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    def tell(self, **order: Any) -> None:
        with contextlib.suppress(OSError):  # it is gone; its exit code will say how
            self.line.sendall(json.dumps(order).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """Messages that are there now; None when the line has closed."""
        try:
            data = self.line.recv(262_144)
        except OSError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else describe_exit(self.exit_code or 0)

    def end(self, patience_s: float = 5.0) -> None:
        """Waits, then kills. The line is closed first, which tells the process to finish."""
        self.line.close()
        try:
            self._popen.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


class Child(Line):
    """One load process, or the web UI's (`module`); `account` is its last message."""

    def __init__(
        self, number: int, plan: LoadPlan, run_dir: Path, module: str = "loadtests.worker", log: str = ""
    ) -> None:
        super().__init__(module, run_dir / (log or f"load-{number:03d}.log"))
        self.number = number
        self.account: dict[str, Any] | None = None
        self.tell(plan=plan.as_json(), worker=number, run_dir=str(run_dir))


L = TypeVar("L", bound=Line)


def listen(lines: Sequence[L], timeout_s: float) -> Iterator[tuple[L, dict[str, Any] | None]]:
    """(line, message) as they come, for at most `timeout_s`; a closed line yields (line, None) once."""
    until = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for line in lines:
            if line.line.fileno() >= 0:
                selector.register(line.line, selectors.EVENT_READ, line)
        while selector.get_map() and (left_s := until - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                found: L = key.data
                messages = found.receive()
                if messages is None:
                    selector.unregister(found.line)
                    found.line.close()
                    yield found, None
                    continue
                for message in messages:
                    yield found, message
