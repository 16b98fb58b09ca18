"""Sampled stacks: read from a speedscope file, tabulated by function and by package.

A function's *self* time is that of samples in which it is the innermost Python function (what it called in C is its
own); its *total* time that of samples in which it is anywhere on the stack. A package is charged with the innermost
frame that can be charged at all: the C library and the interpreter's core belong to whoever called them.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from measurements.errors import FormatError

PROFILE_NAME = re.compile(r"Process (\d+)(?: Thread (\d+))?")
COMMAND = re.compile(r"process \d+(?=:)")
OWN = "the service's own code"
NATIVE_THREADS = "threads of extensions"
UNKNOWN = "interpreter"
OFTEN_S = 0.2  # twenty samples
STDLIB = re.compile(
    r"[/\\](?:lib[/\\]python3\.\d+t?|Lib)[/\\](?!site-packages|dist-packages)(?:lib-dynload[/\\])?_?(\w+)"
)
INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]_?([\w\-]+)")
STDLIB_IN_C = re.compile(r"[/\\]Modules[/\\](?:\w+[/\\])*_?(\w+?)(?:module)?\.c(?:\.h)?$")
BUILT = re.compile(
    r"^/project/(?!build|src)(\w+)/|[/\\]\.cargo[/\\]registry[/\\]src[/\\][^/\\]+[/\\]([\w\-]+?)-\d|^(\w+)/[\w/]+\.pyx$"
)
CORE = re.compile(
    r"[/\\](?:Objects|Python|Parser|Programs|Include|include[/\\]python3\.\d+t?)[/\\][\w.\-/]+\.[ch]$|libpython3|[/\\]python3?(?:\.\d+)?t?$|"
    r"[/\\](?:libc|libm|libpthread|libstdc\+\+|libgcc_s|ld-linux|ld-musl|libdl|librt)[\-.\w]*\.so|vdso|^\[|^<|^\??$"
)
NATIVE = re.compile(
    r"\.so(?:\.\d+)*$|\.[ch](?:c|pp|xx)?$|\.rs$|\.pyx$|\.pyd$|\.dylib$|^\[|^\??$|[/\\]python3?(?:\.\d+)?t?$"
)
FROZEN = re.compile(r"^<frozen (?:importlib\._bootstrap(?:_external)?|zipimport)>$|[/\\]importlib[/\\]__init__\.py$")


WAITING_FILES = re.compile(
    r"(?:^|[/\\])(?:threading|queue|selectors|_weakrefset|multiprocessing[/\\](?:connection|synchronize|queues))\.py$"
)
WAITING_CALLS = re.compile(
    r"(?:__)?(?:epoll_p?wait2?|p?poll|p?select|clock_nanosleep|nanosleep|futex\w*|pthread_cond_\w*wait|sem_\w*wait|"
    r"recv(?:from|msg)?|accept4?|wait4|waitid|PyThread_acquire_lock_timed|take_gil|kevent)$"
)
WAITING_PYTHON = re.compile(
    r"(?:^|[/\\])(?:threading\.py:.*(?:wait|acquire|_wait_for_tstate_lock)|queue\.py:.*get|selectors\.py:.*select|"
    r"multiprocessing[/\\]connection\.py:.*(?:_recv|_poll|wait)|socket\.py:.*(?:readinto|accept)|"
    r"ssl\.py:.*(?:read|recv\w*|accept))$"
)


class Frame(NamedTuple):
    """A place in the code; `line` is the line that was running (0 in native code without symbols)."""

    name: str
    file: str
    line: int

    @property
    def is_python(self) -> bool:
        return not NATIVE.search(self.file)

    @property
    def place(self) -> str:
        return f"{shortened(self.file)}:{self.line}"


Stack = tuple[Frame, ...]


Thread = tuple[int, int]  # pid, thread id of the kernel


@dataclass
class Capture:
    """Seconds by thread and stack (outermost frame first)."""

    seconds: dict[Thread, dict[Stack, float]] = field(default_factory=dict)

    @property
    def total_s(self) -> float:
        return sum(sum(stacks.values()) for stacks in self.seconds.values())

    def stacks(self) -> Iterator[tuple[Stack, float]]:
        for stacks in self.seconds.values():
            yield from stacks.items()

    def by_process(self) -> dict[int, float]:
        """Seconds by pid."""
        found: dict[int, float] = defaultdict(float)
        for (pid, _), stacks in self.seconds.items():
            found[pid] += sum(stacks.values())
        return dict(found)

    def without(self, pids: Iterable[int]) -> "Capture":
        """The same without some processes."""
        unwanted = set(pids)
        return Capture({thread: stacks for thread, stacks in self.seconds.items() if thread[0] not in unwanted})

    def calibrated(self, cpu_s: Mapping[Thread, tuple[str, float]], ended_cpu_s: Mapping[int, float]) -> "Capture":
        """Samples scaled to the CPU time that the kernel charged: `cpu_s` {thread: (name, seconds)}, `ended_cpu_s`
        {pid: seconds of threads that ended meanwhile}.

        A sampler cannot tell well a thread that computes from one that has just been woken; the kernel can. Samples
        that wait in a system call are dropped; what is left of a thread is scaled to its CPU time, threads with few
        samples (a thread per connection) together. CPU of threads that were never sampled (an extension's own) is
        entered under `NATIVE_THREADS` by the thread's name. Processes that ended keep their samples' seconds.
        """
        scaled: dict[Thread, dict[Stack, float]] = {}
        alive = {pid for pid, _ in cpu_s} | set(ended_cpu_s)
        for pid in {pid for pid, _ in self.seconds}:
            own = {key: stacks for key, stacks in self.seconds.items() if key[0] == pid}
            awake = {key: {s: t for s, t in stacks.items() if not waits(s)} for key, stacks in own.items()}
            if pid not in alive:
                scaled |= awake
                continue
            often = {key for key, stacks in awake.items() if sum(stacks.values()) >= OFTEN_S and key in cpu_s}
            for key in often:
                scaled[key] = _scaled(awake[key], cpu_s[key][1])
            few_s = ended_cpu_s.get(pid, 0.0) + sum(cpu_s[key][1] for key in own if key in cpu_s and key not in often)
            few = _summed(awake[key] for key in own if key not in often)
            scaled[pid, 0] = _scaled(few or _summed(awake.values()) or _summed(own.values()), few_s)
        for key, (name, seconds) in cpu_s.items():
            if key not in self.seconds and seconds > 0:
                scaled[key] = {(Frame(name, f"[{NATIVE_THREADS}]", 0),): seconds}
        return Capture(scaled)


def _summed(captured: Iterable[Mapping[Stack, float]]) -> dict[Stack, float]:
    total: dict[Stack, float] = defaultdict(float)
    for stacks in captured:
        for stack, seconds in stacks.items():
            total[stack] += seconds
    return dict(total)


def _scaled(stacks: Mapping[Stack, float], to_s: float) -> dict[Stack, float]:
    whole_s = sum(stacks.values())
    return {stack: seconds * to_s / whole_s for stack, seconds in stacks.items()} if whole_s else {}


def waits(stack: Stack) -> bool:
    """Whether the innermost call is one that a thread sleeps in: by its name in C, by file and name in Python."""
    for frame in reversed(stack):
        if frame.is_python:
            return bool(WAITING_PYTHON.search(f"{shortened(frame.file)}:{frame.name}"))
        if WAITING_CALLS.match(frame.name):
            return True
    return False


def read_speedscope(paths: Iterable[Path]) -> Capture:
    """Merges py-spy's speedscope files (several roots of one service). FormatError where one cannot be read."""
    capture = Capture()
    for path in paths:
        try:
            document = json.loads(path.read_text(encoding="utf-8", errors="replace"))
            told = document["shared"]["frames"]
            frames = [Frame(_named(str(f["name"])), str(f.get("file") or ""), int(f.get("line") or 0)) for f in told]
            for profile in document["profiles"]:
                match = PROFILE_NAME.search(str(profile["name"]))
                thread = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
                own = capture.seconds.setdefault(thread, defaultdict(float))
                for sample, weight in zip(profile["samples"], profile["weights"], strict=True):
                    own[tuple(frames[index] for index in sample)] += float(weight)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise FormatError(f"{path} is no speedscope capture ({type(error).__name__}); take it again") from error
    return capture


def _named(name: str) -> str:
    """py-spy puts a process's command line above its stacks; it may hold secrets and names no function."""
    return match[0] if (match := COMMAND.match(name)) else name


def write_speedscope(capture: Capture, path: Path, title: str) -> None:
    """One file for speedscope.app and for `read_speedscope`: a profile per thread, a sample per different stack."""
    places: dict[Frame, int] = {}
    profiles = []
    for (pid, thread), own in sorted(capture.seconds.items()):
        samples = [[places.setdefault(frame, len(places)) for frame in stack] for stack in own]
        name = f"Process {pid} Thread {thread}" if thread else f"Process {pid} other threads"
        weights = list(own.values())
        profiles.append(
            {
                "type": "sampled",
                "name": name,
                "unit": "seconds",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": samples,
                "weights": weights,
            }
        )
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": title,
        "exporter": "plimsoll",
        "shared": {"frames": [frame._asdict() for frame in places]},
        "profiles": profiles,
    }
    path.write_text(json.dumps(document), encoding="utf-8")


def functions(capture: Capture, most: int = 200) -> list[dict[str, Any]]:
    """[{function, file, line, self_s, total_s, self_share, total_share, package}], by self time; `line` the hottest."""
    self_s: dict[tuple[str, str], float] = defaultdict(float)
    total_s: dict[tuple[str, str], float] = defaultdict(float)
    lines: dict[tuple[str, str], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for stack, seconds in capture.stacks():
        python = [frame for frame in stack if frame.is_python] or list(stack[-1:])
        for key in {(frame.name, frame.file) for frame in python}:
            total_s[key] += seconds
        if python:
            leaf = python[-1]
            self_s[leaf.name, leaf.file] += seconds
            lines[leaf.name, leaf.file][leaf.line] += seconds
    all_s = capture.total_s or 1.0
    keys = sorted(total_s, key=lambda key: (-self_s[key], -total_s[key]))[:most]
    return [
        {
            "function": name,
            "file": shortened(file),
            "line": max(lines[name, file], key=lines[name, file].__getitem__, default=None),
            "self_s": self_s[name, file],
            "total_s": total_s[name, file],
            "self_share": self_s[name, file] / all_s,
            "total_share": total_s[name, file] / all_s,
            "package": package(file),
        }
        for name, file in keys
    ]


def packages(capture: Capture) -> list[dict[str, Any]]:
    """[{package, self_s, share, function, file}], largest first; shares add up to 1; its largest function with it."""
    self_s: dict[str, float] = defaultdict(float)
    largest: dict[str, dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    for stack, seconds in capture.stacks():
        frame = charged(stack)
        if frame is None:
            continue
        name = package(frame.file)
        self_s[name] += seconds
        largest[name][frame.name, shortened(frame.file)] += seconds
    all_s = capture.total_s or 1.0
    found = []
    for name in sorted(self_s, key=lambda name: -self_s[name]):
        function, file = max(largest[name], key=largest[name].__getitem__)
        share = self_s[name] / all_s
        found.append({"package": name, "self_s": self_s[name], "share": share, "function": function, "file": file})
    return found


def charged(stack: Stack) -> Frame | None:
    """The innermost frame whose package can be told; the interpreter's core and the C library have none."""
    return next((frame for frame in reversed(stack) if package(frame.file) != UNKNOWN), stack[-1] if stack else None)


def package(file: str) -> str:
    """`chromadb`, `json (stdlib)`, `import machinery`, or the service's own code; "interpreter" for what has none."""
    if FROZEN.search(file):
        return "import machinery"
    if file == f"[{NATIVE_THREADS}]":
        return NATIVE_THREADS
    if match := INSTALLED.search(file):
        return match[1].removesuffix("-libs").split(".")[0]
    if CORE.search(file):
        return UNKNOWN
    if match := STDLIB_IN_C.search(file) or STDLIB.search(file):
        return f"{match[1]} (stdlib)"
    if match := BUILT.search(file):
        return next(name for name in match.groups() if name)
    return UNKNOWN if NATIVE.search(file) else OWN


def shortened(file: str) -> str:
    """The part of a path that says which file it is: below site-packages or the standard library, else as it is."""
    for mark in ("site-packages/", "dist-packages/"):
        if mark in file:
            return file.rsplit(mark, 1)[1]
    if match := re.search(r"[/\\]lib[/\\]python3\.\d+t?[/\\](.+)$", file):
        return match[1]
    return file
