"""One process tree: who belongs to it, and what each of its processes has used so far."""

import contextlib
import functools
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil

PROC = Path("/proc")
NANOSECONDS = 1e9
MOST_BYTES = 65_536
GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


class TrackedProcess:
    """A process by its identity (pid and start time), with what must be remembered between two readings."""

    def __init__(self, pid: int) -> None:
        """Raises psutil.NoSuchProcess where there is none."""
        self.process = psutil.Process(pid)
        self.pid = pid
        try:
            self.name = self.process.name()
        except psutil.AccessDenied:
            self.name = "?"
        self._delay_by_thread: dict[str, int] = {}
        self._delay_ns = 0

    def read(self) -> dict[str, Any] | None:
        """The columns of one row, null where a right is missing; None once the process has ended."""
        row: dict[str, Any] = {"pid": self.pid, "name": self.name}
        try:
            if not self.process.is_running():
                return None
            with self.process.oneshot():
                if self.process.status() == psutil.STATUS_ZOMBIE:
                    return None
                times = self.process.cpu_times()
                row["cpu_user_s"], row["cpu_system_s"] = times.user, times.system
                row["cpu_reaped_s"] = times.children_user + times.children_system
                row["threads"] = self.process.num_threads()
                row["rss_bytes"] = self.process.memory_info().rss
                with contextlib.suppress(psutil.AccessDenied):
                    switches = self.process.num_ctx_switches()
                    row["ctx_voluntary"], row["ctx_involuntary"] = switches.voluntary, switches.involuntary
                with contextlib.suppress(psutil.AccessDenied):
                    row["fds"] = self.process.num_fds()
                with contextlib.suppress(psutil.AccessDenied, AttributeError):  # macOS has no io_counters
                    io = self.process.io_counters()
                    row["read_bytes"], row["write_bytes"] = io.read_bytes, io.write_bytes
        except GONE:
            return None
        except (psutil.AccessDenied, OSError):
            return row if "cpu_user_s" in row else None
        return row

    def dear(self, column: str) -> float | None:
        """`uss_bytes` or `run_delay_s`: what costs more to read than the whole of `read`."""
        return self.uss_bytes() if column == "uss_bytes" else self.run_delay_s()

    def uss_bytes(self) -> int | None:
        """Memory that is this process's alone. The kernel walks its page tables for it: some 25 us a MiB."""
        try:
            return int(self.process.memory_full_info().uss)
        except (psutil.Error, OSError):
            return None

    def run_delay_s(self) -> float | None:
        """Cumulative over all threads, ended ones included as last seen; null without /proc/<pid>/task/*/schedstat."""
        seen = _delays_ns(f"{PROC}/{self.pid}/task")
        if not seen:
            return None
        before = self._delay_by_thread
        self._delay_ns += sum([max(0, now - before.get(thread, 0)) for thread, now in seen.items()])
        self._delay_by_thread = seen
        return self._delay_ns / NANOSECONDS


def _delays_ns(tasks: str) -> dict[str, int]:
    """Thread → run-queue delay; the folder opened once and a plain loop: this is most of what watching costs."""
    seen: dict[str, int] = {}
    try:
        folder = os.open(tasks, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return seen
    try:
        for thread in os.listdir(folder):  # noqa: PTH208  pathlib takes no open folder
            try:
                file = os.open(thread + "/schedstat", os.O_RDONLY, dir_fd=folder)
            except OSError:
                continue
            try:
                seen[thread] = int(os.read(file, 128).split()[1])
            except (OSError, ValueError, IndexError):
                continue
            finally:
                os.close(file)
    except OSError:
        pass
    finally:
        os.close(folder)
    return seen


def children(pid: int) -> list[int] | None:
    """Direct children; None where there is no such process. Linux tells them per thread; elsewhere the whole process
    table is read."""
    if not _children_told():
        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children()]
        return None
    tasks = f"{PROC}/{pid}/task"
    threads = _names(tasks)
    return (
        [int(child) for thread in threads for child in contents(f"{tasks}/{thread}/children").split()]
        if threads
        else None
    )


@functools.cache
def _children_told() -> bool:
    """Whether this kernel tells a thread's children (CONFIG_PROC_CHILDREN)."""
    return (PROC / "self" / "task" / str(os.getpid()) / "children").exists()


def tree(
    roots: Sequence[int], stop_at: Collection[int] = (), children_of: Callable[[int], list[int] | None] = children
) -> list[int]:
    """Pids of `roots` and all their descendants, parents first; trees below `stop_at` are left out."""
    found: list[int] = []
    todo = list(roots)
    while todo:
        pid = todo.pop(0)
        if pid in found or (pid in stop_at and pid not in roots):
            continue
        below = children_of(pid)
        if below is not None:
            found.append(pid)
            todo += below
    return found


def thread_cpu_s(pids: Iterable[int]) -> dict[tuple[int, int], tuple[str, float]]:
    """(pid, thread) → (the thread's name, CPU seconds so far), from schedstat; empty where the kernel keeps none."""
    found: dict[tuple[int, int], tuple[str, float]] = {}
    for pid in pids:
        tasks = f"{PROC}/{pid}/task"
        for thread in _names(tasks):
            with contextlib.suppress(ValueError, IndexError):
                seconds = int(contents(f"{tasks}/{thread}/schedstat").split()[0]) / NANOSECONDS
                name = contents(f"{tasks}/{thread}/comm").decode("utf-8", "replace").strip()
                found[pid, int(thread)] = (name, seconds)
    return found


def _names(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


def contents(file: str) -> bytes:
    """A small file of /proc, empty where it vanished; plain system calls: this runs for every thread, every second."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, MOST_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
