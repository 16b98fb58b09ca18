"""The memory pass: memray in every Python process of a service, merged over its workers.

A service that we start runs the agent (memory_agent.py) from its first line, so that start-up and load are told
apart. A service that runs already is attached to through a debugger, and only its load is seen.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from profiles import memory_agent
from profiles.allocations import AGENT_FOLDER
from profiles.rights import DEBUGGER_REMEDY, PTRACE_SCOPE, debugger, missing_program, program, ptrace_remedy

ANSWER_S = 30.0
ATTACH_S = 60.0
REHEARSAL = """
import selectors, sys, threading
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
threading.Thread(target=sys.stdin.buffer.read, daemon=True).start()
print(flush=True)
selectors.DefaultSelector().select(60)
"""


class Agents:
    """The agents of one service, told what to do through files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._python_path = agent_on_path(folder)
        (folder / "base").touch()

    def environment(self) -> dict[str, str]:
        """What the service's command must be started with."""
        return {"PYTHONPATH": self._python_path, "PLIMSOLL_MEMORY_DIR": str(self.folder)}

    def pids(self) -> list[int]:
        """Processes that run an agent."""
        return sorted(int(path.stem) for path in self.folder.glob("*.base") if path.stem.isdigit())

    def enter(self, phase: str) -> float:
        """Starts a phase and waits until every living process has answered. Returns the moment (monotonic s)."""
        (self.folder / phase).touch()
        deadline_s = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline_s:
            waiting = [pid for pid in self.pids() if not self._answered(pid, phase) and Path(f"/proc/{pid}").exists()]
            if not waiting:
                break
            time.sleep(memory_agent.PAUSE_S)
        return time.monotonic()

    def notes(self, expected: Sequence[int]) -> list[str]:
        """Sentences about processes whose memory is not in the capture."""
        failures = {path.read_text(encoding="utf-8") for path in self.folder.glob("*.failed")}
        notes = [
            "memray is not installed in the service's own environment; install it there with: pip install memray"
            if "ModuleNotFoundError" in failure
            else f"memray failed in a process of the service ({failure[:200]})"
            for failure in sorted(failures)
        ]
        if late := list(self.folder.glob("*.late")):
            notes.append(f"{len(late)} processes were born under load and are not in the capture")
        silent = sorted(set(expected) - set(self.pids()) - {int(path.stem) for path in self.folder.glob("*.failed")})
        if silent and not failures:
            notes.append(
                f"processes {', '.join(map(str, silent))} did not load the tracker (started with -I or -E, or with a "
                "PYTHONPATH of their own); start the service without that"
            )
        return notes

    def _answered(self, pid: int, phase: str) -> bool:
        return any((self.folder / f"{pid}.{word}").exists() for word in (phase, "failed", "late"))


def agent_on_path(folder: Path) -> str:
    """Puts the agent below `folder`; returns the PYTHONPATH that makes every Python process run it."""
    here = folder.resolve() / AGENT_FOLDER
    here.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(memory_agent.__file__, here / "sitecustomize.py")
    return os.pathsep.join([str(here), *filter(None, [os.environ.get("PYTHONPATH")])])


def tracing_environment(folder: Path) -> dict[str, str]:
    """Where only ancestors may trace (Yama's scope 1), a service that we start is told to let py-spy in."""
    try:
        scope = PTRACE_SCOPE.read_text(encoding="ascii").strip()
    except OSError:
        return {}
    if scope != "1" or os.geteuid() == 0:
        return {}
    return {"PYTHONPATH": agent_on_path(folder), "PLIMSOLL_ALLOW_TRACING": "1"}


def attached(pids: Sequence[int], folder: Path, duration_s: float) -> tuple[list[Path], list[str]]:
    """Starts memray in running processes for `duration_s`. Returns the files that will hold captures, and sentences
    about processes that could not be attached to.

    A debugger that stops threads inside system calls has been seen to abort the process (gdb 13 on Linux 6.18): a
    process of our own is attached to first, and where that does not survive, the service is not touched.
    """
    tool = program("memray")
    if tool is None:
        return [], [missing_program("memray")]
    if debugger() is None and sys.version_info < (3, 14):
        return [], [DEBUGGER_REMEDY]
    if why_not := _rehearsal(tool, folder):
        return [], [why_not]
    files, notes = [], []
    for pid in pids:
        output = folder / f"{pid}.load.bin"
        if why_not := _attach(tool, pid, output, duration_s):
            notes.append(why_not)
        else:
            files.append(output)
    return files, notes


def _attach(tool: str, pid: int, output: Path, duration_s: float) -> str | None:
    """A sentence where memray could not be started in the process."""
    command = [tool, "attach", "--aggregate", "--trace-python-allocators", "--force", "--output", str(output)]
    command += ["--duration", str(max(1, round(duration_s))), str(pid)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ATTACH_S, check=False)
    except subprocess.TimeoutExpired:
        return f"memray did not attach to process {pid} within {ATTACH_S:g} s; start the service with --command instead"
    if answer.returncode == 0:
        return None
    said = (answer.stderr + answer.stdout).strip()
    if "No module named" in said and "memray" in said:
        return "memray is not installed in the service's own environment; install it there with: pip install memray"
    if "ptrace" in said.lower() or "not permitted" in said:
        return ptrace_remedy(pid)
    last = said.splitlines()[-1][:200] if said else "it said nothing"
    return f"memray could not attach to process {pid} ({last}); let plimsoll start the service with --command"


def _rehearsal(tool: str, folder: Path) -> str | None:
    """Attaches to a process of our own that waits as services do; a sentence where it did not survive that."""
    output = folder / "rehearsal.bin"
    process = subprocess.Popen(
        [sys.executable, "-c", REHEARSAL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout
        process.stdout.readline()
        failed = _attach(tool, process.pid, output, 1.0)
        deadline_s = time.monotonic() + 3.0
        while process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.1)
        if failed is None and process.poll() is None and output.exists():
            return None
        end = "it ended" if process.poll() is not None else "memray could not attach"
        return (
            f"attaching to a process of our own failed first ({end}), so the service was not touched; "
            "let plimsoll start the service with --command"
        )
    finally:
        process.kill()
        process.communicate()
        output.unlink(missing_ok=True)
