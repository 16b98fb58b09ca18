"""The CPU pass: py-spy on every Python process of a service while something loads it."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from profiles import processes, stacks
from profiles.flamegraph import Node, by_change, svg
from profiles.rights import missing_program, no_python, program, ptrace_remedy

RATE_HZ = 100
START_S = 20.0
WRITE_S = 60.0
MOST_CAPTURE_S = 24 * 3600
LEAST_IN_TREE, DEEPEST_IN_TREE = 0.005, 80


@dataclass
class Recording:
    """What py-spy saw, calibrated by the kernel's account of each thread's CPU time. `why_not` is a sentence where
    nothing could be recorded; `notes` qualify what was."""

    # seconds are the kernel's, by thread; py-spy's samples say where within each
    capture: stacks.Capture = field(default_factory=stacks.Capture)
    seconds: float = 0.0
    sampled_s: float = 0.0
    profiler_cpu_s: float = 0.0
    native: bool = False
    why_not: str | None = None
    notes: list[str] = field(default_factory=list)


def python_roots(roots: Sequence[int]) -> list[int]:
    """The topmost Python processes of the trees below `roots` (a shell or make may stand above them)."""
    found: list[int] = []
    for pid in processes.tree(roots):
        with contextlib.suppress(psutil.Error):
            above = {parent.pid for parent in psutil.Process(pid).parents()}
            if not above & set(found) and is_python(pid):
                found.append(pid)
    return found


def record(roots: Sequence[int], folder: Path, during: Callable[[], None], native: bool = True) -> Recording:
    """Runs `during` (the load) exactly once, sampling meanwhile at 100 Hz; children born later are followed.

    With `native`, time in extensions is charged to them and not to the line that called them; where py-spy cannot
    unwind natively here it falls back to Python frames and says so.
    """
    found = python_roots(roots)
    recording = Recording()
    spy = program("py-spy")
    if spy is None or not found:
        recording.why_not = missing_program("py-spy") if spy is None else no_python(processes.tree(roots))
        during()
        return recording
    spies = [_Spy.start(spy, pid, folder / f"cpu-{pid}.speedscope.json", native, recording.notes) for pid in found]
    account = _Account(roots)
    began_s = time.monotonic()
    try:
        during()
    finally:
        recording.seconds = time.monotonic() - began_s
        account.close()
        for running in spies:
            running.end()
    recording.native = any(spy.native for spy in spies)
    recording.profiler_cpu_s = sum(spy.cpu_s for spy in spies)
    recording.notes += [spy.why_not for spy in spies if spy.why_not]
    if any("behind in sampling" in spy.said for spy in spies):
        recording.notes.append("py-spy fell behind 100 samples a second: places are coarser, seconds hold")
    files = [spy.output for spy in spies if not spy.why_not]
    sampled = stacks.read_speedscope(files)
    for file in files:
        file.unlink()
    recording.sampled_s = sampled.total_s
    recording.capture = account.applied_to(sampled) if recording.sampled_s else sampled
    if recording.capture.total_s == 0:
        recording.why_not = "; ".join(recording.notes) or "no sample was taken: the service used no CPU in that time"
    return recording


def flame_graph(capture: stacks.Capture, title: str) -> str:
    """SVG of CPU seconds by call stack, all processes together."""
    root = Node("all")
    for stack, seconds in capture.stacks():
        root.add(_labels(stack), seconds)
    return svg(root, title, lambda seconds: f"{seconds:.2f} s")


def tree(capture: stacks.Capture) -> dict[str, Any]:
    """The flame graph as nested {name, seconds, children}, for a report to draw; branches under half a percent are cut."""
    root = Node("all")
    for stack, seconds in capture.stacks():
        root.add(_labels(stack), seconds)
    return _branch(root, LEAST_IN_TREE * root.weight, 0)


def _branch(node: Node, least_s: float, depth: int) -> dict[str, Any]:
    kept = [child for child in node.children.values() if child.weight >= least_s] if depth < DEEPEST_IN_TREE else []
    children = [_branch(child, least_s, depth + 1) for child in sorted(kept, key=lambda child: -child.weight)]
    return {"name": node.name[:160], "seconds": node.weight, "children": children}


def difference(
    before: stacks.Capture, after: stacks.Capture, ms_per_request: tuple[float, float]
) -> list[dict[str, Any]]:
    """What changed by function between two captures, largest change first: [{function, file, before_ms, after_ms,
    change_ms, ci95_ms}], self CPU per request.

    `ms_per_request`: CPU of the whole service per request, before and after. A share p of n samples has the standard
    error sqrt(p(1-p)/n); functions whose change is within two of them are left out: sampling alone would show them.
    """
    rows: dict[tuple[str, str], list[tuple[float, float]]] = {}
    samples = [max(1.0, capture.total_s * RATE_HZ) for capture in (before, after)]
    for at, capture in enumerate((before, after)):
        for row in stacks.functions(capture, most=10_000):
            own = rows.setdefault((row["function"], row["file"]), [(0.0, 0.0), (0.0, 0.0)])
            p = row["self_share"]
            own[at] = (p * ms_per_request[at], (p * (1 - p) / samples[at]) ** 0.5 * ms_per_request[at])
    changes = []
    for (function, file), ((old, old_error), (new, new_error)) in rows.items():
        change, error = new - old, 1.96 * (old_error**2 + new_error**2) ** 0.5
        if abs(change) > error:
            changes.append(
                {
                    "function": function,
                    "file": file,
                    "before_ms": old,
                    "after_ms": new,
                    "change_ms": change,
                    "ci95_ms": [change - error, change + error],
                }
            )
    return sorted(changes, key=lambda row: -abs(row["change_ms"]))


def difference_graph(
    before: stacks.Capture, after: stacks.Capture, ms_per_request: tuple[float, float], title: str
) -> str:
    """SVG of the second capture, red where a request costs more than in the first, blue where less."""
    root = Node("all")
    for at, capture in enumerate((before, after)):
        scale = ms_per_request[at] / (capture.total_s or 1.0)
        for stack, seconds in capture.stacks():
            weight = seconds * scale
            root.add(_labels(stack), weight if at else 0.0, 0.0 if at else weight)
    return svg(root, title, lambda ms: f"{ms:.3f} ms per request", by_change)


def _labels(stack: stacks.Stack) -> list[str]:
    """A stack for reading: without the interpreter's own frames, without C between Python functions (an event loop's, seen
    in some samples and not in others) and without repetitions; the innermost frame always stays."""
    labels: list[str] = []
    innermost = max((at for at, frame in enumerate(stack) if frame.is_python), default=-1)
    for at, frame in enumerate(stack):
        between = at < innermost and not frame.is_python
        if frame.file and frame is not stack[-1] and (between or stacks.CORE.search(frame.file)):
            continue
        label = f"{frame.name} ({stacks.shortened(frame.file)})" if frame.file else frame.name
        if not labels or labels[-1] != label:
            labels.append(label)
    return labels


def is_python(pid: int) -> bool:
    """Whether a process runs CPython, under its own name or with the library in it; False where we may not look."""
    try:
        process = psutil.Process(pid)
        if Path(process.exe()).name.startswith(("python", "pypy")):
            return True
        return any("libpython" in region.path for region in process.memory_maps())
    except (psutil.Error, OSError, AttributeError):
        return False


class _Account:
    """What the kernel charged each thread and process below `roots` between now and `close`."""

    def __init__(self, roots: Sequence[int]) -> None:
        self._roots = roots
        self._threads, self._processes = self._read()
        self.by_thread: dict[stacks.Thread, tuple[str, float]] = {}
        self.ended_s: dict[int, float] = {}

    def close(self) -> None:
        threads, whole = self._read()
        self.by_thread = {
            thread: (name, cpu_s - self._threads.get(thread, ("", 0.0))[1]) for thread, (name, cpu_s) in threads.items()
        }
        for pid, cpu_s in whole.items():
            living_s = sum(seconds for (owner, _), (_, seconds) in self.by_thread.items() if owner == pid)
            self.ended_s[pid] = max(0.0, cpu_s - self._processes.get(pid, 0.0) - living_s)

    def applied_to(self, capture: stacks.Capture) -> stacks.Capture:
        """As sampled where the kernel keeps no account by thread."""
        return capture.calibrated(self.by_thread, self.ended_s) if self.by_thread else capture

    def _read(self) -> tuple[dict[stacks.Thread, tuple[str, float]], dict[int, float]]:
        pids = processes.tree(self._roots)
        whole: dict[int, float] = {}
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                whole[pid] = times.user + times.system
        return processes.thread_cpu_s(pids), whole


class _Spy:
    """One py-spy at work; `why_not` once it could not start or ended badly."""

    def __init__(self, spy: str, pid: int, output: Path, native: bool) -> None:
        self.pid, self.output, self.native = pid, output, native
        self.cpu_s = 0.0
        self.why_not: str | None = None
        self.said_at_end = ""
        self._log = output.with_suffix(".log")
        command = [spy, "record", "--pid", str(pid), "--subprocesses", "--threads", "--full-filenames"]
        command += [
            "--rate",
            str(RATE_HZ),
            "--duration",
            str(MOST_CAPTURE_S),
            "--format",
            "speedscope",
            "--output",
            str(output),
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *(["--native"] if native else [])], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline_s = time.monotonic() + START_S
        while "Sampling process" not in self.said and self._process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.05)
        if self._process.poll() is not None:
            self._fail()

    @classmethod
    def start(cls, spy: str, pid: int, output: Path, native: bool, notes: list[str]) -> "_Spy":
        """With native frames where py-spy can unwind them here; where not, without, and a note."""
        started = cls(spy, pid, output, native)
        if native and started.why_not and "native" in started.said.lower():
            notes.append("py-spy cannot unwind extensions here: their time is charged to the line that calls them")
            return cls(spy, pid, output, native=False)
        return started

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else self.said_at_end

    def end(self) -> None:
        """Tells py-spy to write what it has."""
        if self.why_not:
            return
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(self._process.pid).cpu_times()
            self.cpu_s = times.user + times.system
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=WRITE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self.why_not = (
                f"py-spy did not write its capture of process {self.pid} within {WRITE_S:g} s; use a lower --duration"
            )
            return
        if self._process.returncode != 0 or not self.output.exists():
            self._fail()
        else:
            self.said_at_end = self.said
            self._log.unlink(missing_ok=True)

    def _fail(self) -> None:
        said = self.said.strip()
        # of a process that we know to run Python py-spy says the last where it may not look
        denied = ("permission denied", "eperm", "operation not permitted", "no python processes found")
        if any(word in said.lower() for word in denied):
            self.why_not = ptrace_remedy(self.pid)
        else:
            last = next(
                (line for line in said.splitlines() if line.startswith("Error")), said.splitlines()[-1] if said else ""
            )
            self.why_not = f"py-spy could not sample process {self.pid} ({last[:200]})"
