"""Runs inside every Python process of a profiled service: copied as `sitecustomize.py` into a folder on PYTHONPATH.

Alone in its process, it imports nothing of ours. Phases are files that the profiling parent makes in
$PLIMSOLL_MEMORY_DIR; the agent answers each with `<pid>.<phase>`:

    base    from the start: what imports and start-up leave (aggregated, small)
    load    the load: highest use and what is left of it (aggregated, small)
    window  a short time of every single allocation, ended early at 64 MiB of capture
    end     no tracking any more

Spawned and forked workers run it too, each with files of its own.
"""

# ruff: noqa: PTH100, PTH105, PTH112, PTH116, PTH118, PTH120, PTH123  pathlib would be imported, and counted, everywhere

import os
import sys
import threading
import time
from typing import Any

PHASES = ("base", "load", "window", "end")
MOST_WINDOW_BYTES = 64 << 20
PAUSE_S = 0.05


def next_sitecustomize() -> None:
    """The environment's own sitecustomize, which ours hides."""
    import importlib.machinery

    here = os.path.dirname(os.path.abspath(__file__))
    rest = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        import importlib.util

        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def answer(folder: str, name: str, text: str = "") -> None:
    partial = os.path.join(folder, f".{os.getpid()}.{name}.partial")
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(partial, os.path.join(folder, f"{os.getpid()}.{name}"))


def is_there(path: str) -> bool:
    """os.path.exists, but charged to this file, so that what the agent allocates can be left out of the figures."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def capture_file(folder: str, phase: str) -> str:
    return os.path.join(folder, f"{os.getpid()}.{phase}.bin")


class Agent:
    """At most one tracker at a time, which memray demands; the process is left untracked at the end."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.tracker: Any = None

    def start(self) -> None:
        """In a new process, or in a forked child, which inherits its parent's tracker and lets go of it."""
        self.stop()
        phase = next(phase for phase in reversed(PHASES) if is_there(os.path.join(self.folder, phase)))
        if phase != "base":
            answer(self.folder, "late", phase)  # born under load: there is no base to tell it from
            return
        try:
            self.begin("base")
        except Exception as error:  # the service runs on untracked, and the parent is told
            answer(self.folder, "failed", f"{type(error).__name__}: {error}")
            return
        threading.Thread(target=self.watch, daemon=True, name="plimsoll-memory").start()
        answer(self.folder, "base", " ".join(getattr(sys, "orig_argv", sys.argv)))

    def begin(self, phase: str) -> None:
        import memray

        whole = memray.FileFormat.ALL_ALLOCATIONS if phase == "window" else memray.FileFormat.AGGREGATED_ALLOCATIONS
        self.tracker = memray.Tracker(
            destination=memray.FileDestination(capture_file(self.folder, phase), overwrite=True),
            file_format=whole,
            trace_python_allocators=True,
            memory_interval_ms=1000,
        )
        self.tracker.__enter__()

    def stop(self) -> None:
        tracker, self.tracker = self.tracker, None
        if tracker is not None:
            tracker.__exit__(None, None, None)

    def watch(self) -> None:
        try:
            for phase in PHASES[1:]:
                while not is_there(os.path.join(self.folder, phase)):
                    time.sleep(PAUSE_S)
                    if phase == "end" and self.tracker is not None and self.window_is_full():
                        self.stop()
                        answer(self.folder, "full", str(time.monotonic_ns()))
                self.stop()
                if phase != "end":
                    self.begin(phase)
                answer(self.folder, phase)
        except Exception as error:
            answer(self.folder, "failed", f"{type(error).__name__}: {error}")
            self.stop()

    def window_is_full(self) -> bool:
        return os.stat(capture_file(self.folder, "window")).st_size > MOST_WINDOW_BYTES


def allow_tracing() -> None:
    """Lets the profiler, which is no ancestor of this process, trace it where kernel.yama.ptrace_scope is 1."""
    import ctypes

    pr_set_ptracer, pr_set_ptracer_any = 0x59616D61, ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(pr_set_ptracer, pr_set_ptracer_any, 0, 0, 0)


if __name__ == "sitecustomize":
    if os.environ.get("PLIMSOLL_ALLOW_TRACING"):
        allow_tracing()
    if os.path.isdir(os.environ.get("PLIMSOLL_MEMORY_DIR", "")):
        agent = Agent(os.environ["PLIMSOLL_MEMORY_DIR"])
        agent.start()
        os.register_at_fork(after_in_child=agent.start)
    next_sitecustomize()
