"""Blocked frames: some snapshots of every Python thread, and what each was doing, as evidence for a bottleneck's name.

py-spy reads the stacks without stopping the process; the kernel tells which call each thread sleeps in. What an
asyncio task awaits stands on no thread's stack: such waiting shows only as an idle event loop.
"""

import json
import linecache
import platform
import random
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from profiles.cpu import is_python
from profiles.processes import tree
from profiles.rights import missing_program, no_python, program, ptrace_remedy
from profiles.stacks import OWN, WAITING_FILES, WAITING_PYTHON, package, shortened

SNAPSHOTS = 10
DUMP_S = 10.0
CLASSES = ("running", "lock", "pool_checkout", "socket_read", "sleep", "gil", "disk_or_pipe", "idle", "other")

# Linux system calls that a thread waits in, by machine (arch/x86/entry/syscalls/syscall_64.tbl;
# include/uapi/asm-generic/unistd.h): futex, the sleeps, epoll, poll and select, reads and writes, …
CALLS: dict[str, dict[str, tuple[int, ...]]] = {
    "x86_64": {
        "futex": (202,),
        "sleep": (35, 230),
        "epoll": (232, 281, 441),
        "poll": (7, 23, 270, 271),
        "socket": (42, 44, 45, 46, 47),
        "accept": (43, 288),
        "read": (0, 1, 17, 18, 19, 20, 74, 75),
        "child": (61, 247),
    },
    "aarch64": {
        "futex": (98,),
        "sleep": (101, 115),
        "epoll": (22, 441),
        "poll": (72, 73),
        "socket": (203, 206, 207, 211, 212),
        "accept": (202, 242),
        "read": (63, 64, 65, 66, 67, 68, 82, 83),
        "child": (95, 260),
    },
}

POOL = re.compile(
    r"sqlalchemy/(?:pool|util/queue)|psycopg_pool|asyncpg/pool|aiomysql/pool|pymysqlpool|dbutils|redis/connection|"
    r"httpcore/.*connection_pool|urllib3/connectionpool|peewee|pymongo/.*pool|pool(?:ed)?_?(?:db|connection)",
    re.IGNORECASE,
)
CHECKOUT = re.compile(r"get_?conn|checkout|_do_get|acquire|get_connection|wait_for_connection|\bget\b", re.IGNORECASE)
IDLE = re.compile(
    r"concurrent/futures/(?:thread\.py:_worker|process\.py:)|anyio/_backends/_asyncio\.py:(?:WorkerThread\.)?run|"
    r"multiprocessing/(?:pool|resource_tracker)\.py:|asyncio/base_events\.py:(?:BaseEventLoop\.)?_run_once|"
    r"asyncio/runners\.py:Runner\.run|socketserver\.py:.*serve_forever|uvicorn/supervisors/|apscheduler/|"
    r"gunicorn/(?:arbiter|workers)|logging/handlers\.py:|prometheus_client/|watchfiles/"
)
# whose event loop runs in C (uvloop), and who tells no qualified names (Python 3.10), are known by what started them
LOOP = re.compile(
    r"asyncio/base_events\.py:(?:BaseEventLoop\.)?_run_once$|asyncio/runners\.py:(?:Runner\.)?run$|"
    r"uvloop/__init__\.py:run$|uvicorn/(?:server\.py:(?:Server\.)?run|_compat\.py:asyncio_run)$"
)
LOCKING = re.compile(r"\.acquire\(|\bwith\b|\.wait\(|\.join\(|\.get\(|\.result\(|lock", re.IGNORECASE)
BLOCKED = ("lock", "pool_checkout", "socket_read", "sleep", "disk_or_pipe")
MOST_SOURCE_BYTES = 4 << 20


def capture(
    roots: Sequence[int],
    spread_s: float = 5.0,
    *,
    snapshots: int = SNAPSHOTS,
    skip: Collection[int] = (),
    seed: int = 1,
) -> dict[str, Any]:
    """Takes `snapshots` of all Python processes below `roots` but the trees below `skip`, at random moments within `spread_s`.

    Returns {snapshots, threads_mean: {class: mean number of threads}, frames: [{class, function, file, line, count,
    share}] (share of snapshots × threads that were blocked or running), event_loop: {blocked_share, by}, why_not}.
    """
    spy = program("py-spy")
    if spy is None:
        return _nothing(missing_program("py-spy"))
    moments = sorted(random.Random(seed).uniform(0, spread_s) for _ in range(snapshots))
    began_s, taken, why_not = time.monotonic(), [], None
    for moment_s in moments:
        time.sleep(max(0.0, began_s + moment_s - time.monotonic()))
        threads: list[dict[str, Any]] = []
        for pid in filter(is_python, tree(roots, stop_at=skip)):
            found, why_not = dump(spy, pid)
            threads += found
        taken.append(threads)
    if not any(taken):
        return _nothing(why_not or no_python(tree(roots, stop_at=skip)))
    return summarise(taken)


def summarise(taken: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """Counts classified threads of several snapshots. Pure."""
    by_class: dict[str, int] = defaultdict(int)
    places: dict[tuple[str, str, str, int], int] = defaultdict(int)
    loops = blocked_loops = 0
    loop_blockers: dict[str, int] = defaultdict(int)
    for thread in (thread for threads in taken for thread in threads):
        kind, place = classify(thread)
        by_class[kind] += 1
        if kind != "idle":
            places[kind, *place] += 1
        if any(_is_loop(frame) for frame in thread["frames"]):
            loops += 1
            if kind in BLOCKED:
                blocked_loops += 1
                loop_blockers[f"{place[0]} ({place[1]}:{place[2]})"] += 1
    busy = sum(places.values()) or 1
    ordered = sorted(places.items(), key=lambda item: -item[1])
    return {
        "snapshots": len(taken),
        "threads_mean": {kind: by_class[kind] / len(taken) for kind in CLASSES if by_class[kind]},
        "frames": [
            {"class": kind, "function": function, "file": file, "line": line, "count": count, "share": count / busy}
            for (kind, function, file, line), count in ordered[:30]
        ],
        "event_loop": {
            "blocked_share": blocked_loops / loops if loops else None,
            "by": max(loop_blockers, key=loop_blockers.__getitem__, default=None),
        },
        "why_not": None,
    }


def classify(thread: dict[str, Any]) -> tuple[str, tuple[str, str, int]]:
    """Class of one thread (py-spy's JSON plus "call", the kernel's word) and who waits: function, file, line.

    The place is the innermost frame outside the standard library. A thread that waits with nothing but the standard
    library on its stack (a pool's worker, a connection without a request) waits for work.
    """
    frames = thread["frames"]
    if not frames:
        return "other", ("?", "?", 0)
    told = next((frame for frame in frames if not WAITING_FILES.search(_file(frame))), frames[0])
    own = next((frame for frame in frames if not package(str(frame["filename"])).endswith("(stdlib)")), None)
    named = own or told
    place = (str(named["name"]), _file(named), int(named["line"]))
    woken = WAITING_PYTHON.search(f"{_file(frames[0])}:{frames[0]['name']}")
    if thread["active"] and not thread.get("call") and not woken:
        return "running", place
    call = thread.get("call")
    in_handler = package(str(frames[0]["filename"])) == OWN
    if not call or (call == "epoll" and in_handler):  # whose own line does not wait for the loop's events
        call = _call_by_source(frames[0])
    names = [f"{_file(frame)}:{frame['name']}" for frame in frames]
    locks = _waits_for_lock(frames[0])
    pool = any(POOL.search(name) and CHECKOUT.search(name) for name in names[:12])
    kinds = {
        "sleep": "pool_checkout" if pool else "sleep",
        "futex": "pool_checkout" if pool else "gil" if thread.get("gil_held_elsewhere") and not locks else "lock",
        "epoll": "idle",
        "accept": "idle",
        "child": "idle",
        "poll": "socket_read",
        "socket": "socket_read",
        "read": "socket_read" if any("socket" in name or "ssl" in name for name in names[:3]) else "disk_or_pipe",
    }
    kind = kinds.get(call, "lock" if locks else "other")
    waits_for_work = own is None or IDLE.search(f"{_file(told)}:{told['name']}") is not None
    return ("idle" if waits_for_work and kind != "sleep" else kind), place


def dump(spy: str, pid: int) -> tuple[list[dict[str, Any]], str | None]:
    """Every thread of one process, with the kernel's word; or a sentence why not."""
    command = [spy, "dump", "--pid", str(pid), "--nonblocking", "--json", "--full-filenames"]
    before = {int(task.name): _call(pid, int(task.name)) for task in _tasks(pid)}
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=DUMP_S, check=False)
        threads = json.loads(answer.stdout) if answer.returncode == 0 else []
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return [], f"py-spy could not look into process {pid}"
    if answer.returncode != 0:
        denied = "ermission" in answer.stderr or "EPERM" in answer.stderr
        return [], ptrace_remedy(pid) if denied else f"py-spy could not look into process {pid}: {answer.stderr[:200]}"
    holders = {thread["pid"] for thread in threads if thread["owns_gil"]}
    for thread in threads:
        # a thread that went on meanwhile waited elsewhere when its stack was read: the kernel's word is not about it
        number = thread.get("os_thread_id")
        call = _call(pid, number)
        thread["call"] = call if call == before.get(number) else None
        thread["gil_held_elsewhere"] = thread["pid"] in holders and not thread["owns_gil"]
    return threads, None


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _call(pid: int, thread: int | None) -> str | None:
    """What the kernel says the thread waits in; None where it waits in nothing or the kernel does not tell."""
    try:
        word = Path(f"/proc/{pid}/task/{thread}/syscall").read_text(encoding="ascii").split()[0]
    except (OSError, IndexError):
        return None
    calls = CALLS.get(platform.machine(), {})
    return next((kind for kind, numbers in calls.items() if word.isdigit() and int(word) in numbers), None)


def _call_by_source(frame: dict[str, Any]) -> str:
    """The same guessed from the innermost Python line, where the kernel does not tell."""
    line, file = _source(frame), _file(frame)
    if "sleep(" in line:
        return "sleep"
    if file.endswith(("socket.py", "ssl.py")) or ".recv" in line:
        return "socket"
    return "epoll" if file.endswith("selectors.py") else "futex" if _waits_for_lock(frame) else "?"


def _file(frame: dict[str, Any]) -> str:
    return shortened(str(frame["filename"]))


def _source(frame: dict[str, Any]) -> str:
    """The line's text, of a regular file of sensible size only: the name comes from the process looked into."""
    path = Path(str(frame["filename"]))
    try:
        readable = path.is_file() and path.stat().st_size < MOST_SOURCE_BYTES
    except (OSError, ValueError):
        return ""
    return linecache.getline(str(path), int(frame["line"])) if readable else ""


def _waits_for_lock(frame: dict[str, Any]) -> bool:
    return bool(WAITING_FILES.search(_file(frame)) or LOCKING.search(_source(frame)))


def _is_loop(frame: dict[str, Any]) -> bool:
    return bool(LOOP.search(f"{_file(frame)}:{frame['name']}"))


def _nothing(why_not: str) -> dict[str, Any]:
    loop = {"blocked_share": None, "by": None}
    return {"snapshots": 0, "threads_mean": {}, "frames": [], "event_loop": loop, "why_not": why_not}
