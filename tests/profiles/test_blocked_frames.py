"""What a thread was doing, from its frames and the kernel's word."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from profiles import frames
from profiles.frames import classify, summarise

LIB = "/usr/lib/python3.11"
SITE = f"{LIB}/site-packages"


def thread(
    call: str | None, *stack: tuple[str, str], active: bool = False, gil_elsewhere: bool = False
) -> dict[str, Any]:
    return {
        "pid": 1,
        "active": active,
        "owns_gil": False,
        "call": call,
        "gil_held_elsewhere": gil_elsewhere,
        "frames": [{"name": name, "filename": file, "line": 7} for name, file in stack],
    }


HANDLER = ("generate", "/srv/app/main.py")
SELECT = ("EpollSelector.select", f"{LIB}/selectors.py")
RUN_ONCE = ("BaseEventLoop._run_once", f"{LIB}/asyncio/base_events.py")
WORKER = ("_worker", f"{LIB}/concurrent/futures/thread.py")
GET = ("Queue.get", f"{LIB}/queue.py")
WAIT = ("Condition.wait", f"{LIB}/threading.py")


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (thread("sleep", HANDLER), "sleep"),
        (thread("futex", WAIT, HANDLER), "lock"),
        (thread("futex", HANDLER, gil_elsewhere=True), "gil"),
        (thread(None, HANDLER, active=True), "running"),
        (thread("poll", ("read", f"{SITE}/httpcore/_backends/sync.py"), HANDLER), "socket_read"),
        (thread("socket", ("SocketIO.readinto", f"{LIB}/socket.py"), HANDLER), "socket_read"),
        (thread("read", ("SSLSocket.read", f"{LIB}/ssl.py"), HANDLER), "socket_read"),
        (thread("read", HANDLER), "disk_or_pipe"),
        (
            thread(
                "futex",
                WAIT,
                ("Queue.get", f"{SITE}/sqlalchemy/util/queue.py"),
                ("QueuePool._do_get", f"{SITE}/sqlalchemy/pool/impl.py"),
                HANDLER,
            ),
            "pool_checkout",
        ),
        (thread("epoll", SELECT, RUN_ONCE), "idle"),
        (thread("epoll", ("asyncio_run", f"{SITE}/uvicorn/_compat.py"), HANDLER), "idle"),  # an event loop in C
        (thread("epoll", HANDLER), "other"),  # read at another moment than the stack
        (thread("futex", WORKER), "idle"),
        (thread("socket", ("SocketIO.readinto", f"{LIB}/socket.py"), ("handle_one_request", f"{LIB}/http/server.py")), "idle"),
        (thread("futex", WAIT, GET, ("WorkerThread.run", f"{SITE}/anyio/_backends/_asyncio.py")), "idle"),
        (thread("futex", WAIT, HANDLER, ("_WorkItem.run", f"{LIB}/concurrent/futures/thread.py"), WORKER), "lock"),
        (thread("futex"), "other"),
    ],
)  # fmt: skip
def test_a_thread_is_classified(seen: dict[str, Any], kind: str) -> None:
    assert classify(seen)[0] == kind


def test_who_waits_is_named_not_how() -> None:
    assert classify(thread("futex", WAIT, GET, HANDLER))[1] == (
        "generate",
        "/srv/app/main.py",
        7,
    )


def test_snapshots_are_counted_and_a_blocked_event_loop_is_named() -> None:
    blocked = thread("sleep", HANDLER, ("Handle._run", f"{LIB}/asyncio/events.py"), RUN_ONCE)
    idle = thread("epoll", SELECT, RUN_ONCE)
    found = summarise([[blocked], [blocked], [blocked], [idle]])
    assert found["threads_mean"] == {"sleep": 0.75, "idle": 0.25}
    assert found["frames"][0] == {
        "class": "sleep",
        "function": "generate",
        "file": "/srv/app/main.py",
        "line": 7,
        "count": 3,
        "share": 1.0,
    }
    assert found["event_loop"] == {"blocked_share": 0.75, "by": "generate (/srv/app/main.py:7)"}


@pytest.mark.parametrize(
    "starter",
    [
        RUN_ONCE,
        ("_run_once", f"{LIB}/asyncio/base_events.py"),  # Python 3.10
        ("Runner.run", f"{LIB}/asyncio/runners.py"),
        ("run", f"{SITE}/uvloop/__init__.py"),
        ("Server.run", f"{SITE}/uvicorn/server.py"),
        ("asyncio_run", f"{SITE}/uvicorn/_compat.py"),
    ],
)
def test_an_event_loop_that_runs_in_c_is_known_by_what_started_it(starter: tuple[str, str]) -> None:
    found = summarise([[thread("sleep", HANDLER, starter)]])
    assert found["event_loop"]["blocked_share"] == 1.0


@pytest.mark.parametrize(("before", "after", "told"), [("epoll", "epoll", "epoll"), ("epoll", "sleep", None)])
def test_the_kernels_word_counts_only_of_a_thread_that_stayed_where_it_was(
    monkeypatch: pytest.MonkeyPatch, before: str, after: str, told: str | None
) -> None:
    """Stack and system call are read one after the other; a thread that went on between them did neither."""
    words = iter([before, after])
    monkeypatch.setattr(frames, "_call", lambda pid, number: next(words))
    monkeypatch.setattr(frames, "_tasks", lambda pid: [Path("/proc/1/task/5")])
    seen = [{"pid": 1, "os_thread_id": 5, "owns_gil": False, "active": False, "frames": []}]
    answered = subprocess.CompletedProcess([], 0, json.dumps(seen), "")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: answered)
    (found,), _ = frames.dump("py-spy", 1)
    assert found["call"] == told
