"""When stacks are looked at during a run, and what of them is evidence."""

import time
from typing import Any

import pytest

from profiles import snapshots
from profiles.snapshots import Snapshots

WAIT = ("Condition.wait", "/usr/lib/python3.11/threading.py")


def thread(number: int, function: str, call: str | None = "futex") -> dict[str, Any]:
    frames = [
        {"name": WAIT[0], "filename": WAIT[1], "line": 5},
        {"name": function, "filename": "/srv/app.py", "line": 9},
    ]
    return {"pid": 1, "os_thread_id": number, "active": False, "owns_gil": False, "call": call, "frames": frames}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Snapshots:
    found = Snapshots([1])
    found._spy = "py-spy"
    seen = [
        [thread(10, "flush_forever")],
        [thread(10, "flush_forever"), thread(11, "checkout"), thread(12, "checkout")],
    ]
    monkeypatch.setattr(found, "_look", lambda: seen.pop(0) if len(seen) > 1 else seen[0])
    monkeypatch.setattr(snapshots, "SPACING_S", 0.01)
    return found


def settle(watched: Snapshots, until: int) -> None:
    end = time.monotonic() + 3
    while len(watched._taken) < until and time.monotonic() < end:
        time.sleep(0.01)


def test_nothing_is_looked_at_before_requests_pile_up_and_a_background_thread_serves_none(watched: Snapshots) -> None:
    watched.calm()
    watched.start(time.monotonic_ns(), 0.1)
    for in_flight in (1, 2, 2, 3):
        watched.progress(0, in_flight)
    time.sleep(0.1)
    assert watched.document()["snapshots"] == []
    assert watched.document()["why_not"] == "requests never piled up"
    watched.progress(0, 20)
    settle(watched, 3)
    watched.progress(0, 1)
    watched.stop()
    taken = watched.document()["snapshots"]
    assert len(taken) >= 3
    assert {row["function"] for one in taken for row in one["threads"]} == {"checkout"}
    assert {row["class"] for one in taken for row in one["threads"]} == {"lock"}


def test_the_number_of_looks_is_bounded(watched: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST", 5)
    watched.calm()
    watched.start(time.monotonic_ns(), 0.01)
    watched.progress(0, 1)
    watched.progress(0, 50)
    time.sleep(0.3)
    watched.stop()
    assert len(watched.document()["snapshots"]) == 5


def test_without_py_spy_the_document_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "program", lambda name: None)
    watched = Snapshots([1])
    watched.calm()
    watched.start(0, 1.0)
    watched.progress(0, 99)
    watched.stop()
    assert "pip install" in watched.document()["why_not"]


def document(*moments: tuple[float, str, int]) -> dict[str, Any]:
    return {
        "snapshots": [
            {"at_s": at_s, "threads": [{"class": kind, "function": "f", "file": "a.py", "line": 1}] * count}
            for at_s, kind, count in moments
        ]
    }


def test_only_what_was_seen_at_the_plateau_counts_and_few_threads_are_no_evidence() -> None:
    seen = document((1.0, "running", 50), (11.0, "lock", 9), (12.0, "pool_checkout", 3))
    assert snapshots.shares(seen, [(10.0, 20.0)]) == {"lock": 0.75, "pool": 0.25}
    assert snapshots.shares(seen, [(12.0, 20.0)]) == {}
    assert snapshots.shares(seen, []) == {}
    (first, *_) = snapshots.places(seen, [(10.0, 20.0)])
    assert (first["class"], first["count"], first["share"]) == ("lock", 9, 0.75)
