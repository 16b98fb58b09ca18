"""Blocked frames of a service while it is overloaded, as evidence for the name of what binds.

snapshots = Snapshots(roots); snapshots.calm(); snapshots.start(start_ns, load_s)
…snapshots.progress(worker, in_flight) once a second…; snapshots.stop(); snapshots.document()

Nothing is looked at before requests pile up, so that the stages whose latency counts stay untouched; a look costs 10 to
30 ms of CPU and stops nothing (py-spy, nonblocking). Threads that wait at the same place while nobody asks anything are
the service's background, and serve no request.
"""

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from profiles import frames
from profiles.cpu import is_python
from profiles.processes import tree
from profiles.rights import missing_program, no_python, program

MOST = 24
FEWEST_SEEN = 10  # threads, before a share is named
SPACING_S = 1.0
LEAST_IN_FLIGHT, PILED_UP = 4, 3  # at least so many, and so many times what was usual until then
KINDS = {
    "lock": "lock",
    "pool_checkout": "pool",
    "socket_read": "socket",
    "sleep": "sleep",
    "running": "cpu",
    "gil": "cpu",
    "disk_or_pipe": "disk",
}
Waiting = tuple[int, int, str, str, int]


class Snapshots:
    """`roots`: pids of the service's process trees."""

    def __init__(self, roots: Sequence[int]) -> None:
        self._roots = list(roots)
        self._spy = program("py-spy")
        self._background: set[Waiting] = set()
        self._in_flight: dict[int, int] = {}
        self._usual: list[int] = []
        self._taken: list[dict[str, Any]] = []
        self._why_not = missing_program("py-spy") if self._spy is None else None
        self._start_ns, self._spacing_s = 0, SPACING_S
        self._ended = threading.Event()
        self._piled_up = threading.Event()
        self._thread: threading.Thread | None = None

    def calm(self) -> None:
        """One look at the service at rest."""
        for thread in self._look():
            self._background.add(_waiting(thread))

    def start(self, start_ns: int, load_s: float) -> None:
        """`load_s`: how long the load goes on; the snapshots are spread over what is left when requests pile up."""
        self._start_ns = start_ns
        self._spacing_s = max(SPACING_S, load_s / MOST)
        if self._spy is not None:
            self._thread = threading.Thread(target=self._watch, name="snapshots", daemon=True)
            self._thread.start()

    def progress(self, worker: int, in_flight: int) -> None:
        """How many requests of one load process are open."""
        self._in_flight[worker] = in_flight
        whole = sum(self._in_flight.values())
        usual = statistics.median(self._usual) if self._usual else whole
        if whole >= max(LEAST_IN_FLIGHT, PILED_UP * usual):
            self._piled_up.set()
        else:
            self._piled_up.clear()
            self._usual.append(whole)

    def stop(self) -> None:
        self._ended.set()
        self._piled_up.set()
        if self._thread is not None:
            self._thread.join()

    def document(self) -> dict[str, Any]:
        """{snapshots: [{at_s, threads: [{class, function, file, line}]}], why_not}; threads that serve requests only."""
        why_not = None if self._taken else self._why_not or "requests never piled up"
        return {"schema": 1, "snapshots": self._taken, "why_not": why_not}

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._piled_up.wait()
            if self._ended.is_set() or len(self._taken) >= MOST:
                return
            at_s = (time.monotonic_ns() - self._start_ns) / 1e9
            threads = [_described(thread) for thread in self._look() if _waiting(thread) not in self._background]
            self._taken.append({"at_s": at_s, "threads": [one for one in threads if one["class"] in KINDS]})
            self._ended.wait(self._spacing_s)

    def _look(self) -> list[dict[str, Any]]:
        if self._spy is None:
            return []
        found: list[dict[str, Any]] = []
        pids = tree(self._roots)
        looked_at = [pid for pid in pids if is_python(pid)]
        for pid in looked_at:
            threads, why_not = frames.dump(self._spy, pid)
            found += threads
            self._why_not = why_not or self._why_not
        if not looked_at:
            self._why_not = no_python(pids)
        return found


def shares(document: Mapping[str, Any], spans: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Kind (lock, pool, socket, sleep, cpu, disk) → share of the serving threads seen in the spans (s of the run);
    empty under ten of them."""
    counts: dict[str, int] = defaultdict(int)
    for row in _inside(document, spans):
        counts[KINDS[row["class"]]] += 1
    whole = sum(counts.values())
    return {kind: count / whole for kind, count in counts.items()} if whole >= FEWEST_SEEN else {}


def places(document: Mapping[str, Any], spans: Sequence[tuple[float, float]], most: int = 10) -> list[dict[str, Any]]:
    """[{class, function, file, line, count, share}], the most seen first."""
    counts: dict[tuple[str, str, str, int], int] = defaultdict(int)
    for row in _inside(document, spans):
        counts[row["class"], row["function"], row["file"], row["line"]] += 1
    whole = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: -item[1])[:most]
    return [
        {"class": kind, "function": function, "file": file, "line": line, "count": count, "share": count / whole}
        for (kind, function, file, line), count in ordered
    ]


def _inside(document: Mapping[str, Any], spans: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    return [
        row
        for snapshot in document.get("snapshots") or []
        if any(start <= snapshot["at_s"] <= end for start, end in spans)
        for row in snapshot["threads"]
    ]


def _described(thread: dict[str, Any]) -> dict[str, Any]:
    kind, (function, file, line) = frames.classify(thread)
    return {"class": kind, "function": function, "file": file, "line": line}


def _waiting(thread: dict[str, Any]) -> Waiting:
    _, (function, file, line) = frames.classify(thread)
    return thread["pid"], int(thread.get("os_thread_id") or 0), function, file, line
