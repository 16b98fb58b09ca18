"""A service started for a pass: its command in a process group of its own, ready before load, gone afterwards."""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from measurements.errors import TargetUnreachable, UsageError
from profiles import ports, processes
from profiles.traffic import client, tls_context
from targets.contract import Contract

GRACE_S = 10.0
READY_ANSWER_S = 2.0
CALM_WITHIN_S = 20.0
CALM_CORES = 0.1
LAST_LINES = 5


@contextlib.contextmanager
def running(command: str, contract: Contract, log: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """Yields the command's pid once the service answers; ends the whole group afterwards, killing it after 10 s.

    `{port}` and `{workers}` in the command are filled from the contract. Its output goes to `log`.
    """
    parts = urlsplit(contract.target.base_urls[0])
    filled = command.replace("{port}", str(parts.port or 80)).replace("{workers}", str(contract.resources.workers))
    if ports.listening(contract.target.base_urls[0]).roots:
        raise UsageError(f"port {parts.port} is in use already; stop what listens there, or profile it with --pid")
    words = _words(filled)
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_control_environment(contract), **environment},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            log.unlink()
            why = f"{words[0]}: {error.strerror}" if isinstance(error, OSError) else error
            raise UsageError(
                f"--command {filled!r} cannot be started ({why}); check it by typing it yourself"
            ) from error
    try:
        _wait_until_ready(process, contract, filled, log)
        wait_until_calm([process.pid])
        yield process.pid
    finally:
        _end(process)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command {command!r} cannot be started ({error}); check its quotes") from error
    if not words:
        raise UsageError("--command is empty; give the words that start the service, as you would type them")
    return words


def _control_environment(contract: Contract) -> dict[str, str]:
    return dict(contract.target.control.env) if contract.target.control else {}


def _wait_until_ready(process: "subprocess.Popen[bytes]", contract: Contract, command: str, log: Path) -> None:
    control = contract.target.control
    limit_s = control.ready_timeout_s if control else 60.0
    deadline_s = time.monotonic() + limit_s
    base_url = contract.target.base_urls[0]
    tls = tls_context(base_url, contract.target.verify_tls)
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise TargetUnreachable(
                f"{command!r} ended with code {process.returncode} before it served{_said(log)}; try it by hand"
            )
        with client(base_url, READY_ANSWER_S, tls) as own:
            if _answers(own, control.ready if control else None):
                return
        time.sleep(0.1)
    raise TargetUnreachable(f"{command!r} did not serve {base_url} within {limit_s:g} s{_said(log)}; see {log}")


def wait_until_calm(roots: Sequence[int]) -> None:
    """One worker answers while others still import, and a first request may import more: waits until the trees use
    little CPU for a second, 20 s at most."""
    deadline_s, calm = time.monotonic() + CALM_WITHIN_S, 0
    used_s = _cpu_s(roots)
    while calm < 2 and time.monotonic() < deadline_s:
        time.sleep(0.5)
        before_s, used_s = used_s, _cpu_s(roots)
        calm = calm + 1 if used_s - before_s < CALM_CORES * 0.5 else 0


def _cpu_s(roots: Sequence[int]) -> float:
    return sum(seconds for _, seconds in processes.thread_cpu_s(processes.tree(roots)).values())


def _answers(own: httpx.Client, ready: str | None) -> bool:
    """With a readiness path: it answers 2xx. Without: the service answers anything at all."""
    with contextlib.suppress(httpx.HTTPError):
        answer = own.get(ready or "/")
        return answer.is_success or ready is None
    return False


def _said(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    return f" (it said: {' | '.join(line.strip()[:200] for line in lines)})" if lines else ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to the command, SIGKILL after 10 s to what is left of its group."""
    if process.poll() is None:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=GRACE_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
