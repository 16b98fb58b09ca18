"""One load over an observed service: what was asked, what it took, and what memory did meanwhile."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from profiles import growth, processes
from profiles.observer import Observer
from profiles.traffic import Done
from profiles.usage import over_time, per_window

PERIOD_S = 0.5
IDLE_S = 1.0  # before the load
SETTLE_S = 1.0  # after connections were closed
NANOSECONDS = 1e9


@dataclass
class Service:
    """The service looked into: `roots` of its process trees; `aside`: roots below them that serve something else."""

    roots: list[int]
    aside: list[int]

    def pids(self) -> list[int]:
        return processes.tree(self.roots, stop_at=self.aside)


@dataclass
class Pass:
    """One load and what the service used meanwhile; `start_s`, `end_s` (of the load) and `closed_s`
    (when its connections were gone) in seconds since the pass began."""

    name: str
    done: Done
    seconds: float
    cpu_s: float | None
    other_cores: float | None  # what neither the service nor we used
    table: pa.Table
    start_s: float
    end_s: float
    closed_s: float
    start_ns: int

    @property
    def cpu_ms_per_request(self) -> float | None:
        return None if self.cpu_s is None or not self.done.sent else self.cpu_s * 1e3 / self.done.sent

    def as_json(self, plain: "Pass | None") -> dict[str, Any]:
        document = {
            "pass": self.name,
            "requests": self.done.sent,
            "ok": self.done.ok,
            "problems": dict(self.done.problems),
            "seconds": self.seconds,
            "achieved_rps": self.done.sent / self.seconds if self.seconds else None,
            "response_ms_mean": self.done.mean_ms,
            "cpu_s": self.cpu_s,
            "cpu_ms_per_request": self.cpu_ms_per_request,
            "other_cores": self.other_cores,
            "overhead": None,
        }
        if plain is not None:
            document["overhead"] = overhead(plain, self)
        return document


def overhead(plain: Pass, other: Pass) -> dict[str, Any]:
    """Ratios to the plain pass, of the requests that both made: response_mean with its 95 % interval (paired by place
    in the load, normal; None where it would compare unlike loads), and cpu_per_request. The interval is that of single
    requests: how much faster or slower the machine was in one pass than in the other, often more, is not in it."""
    found: dict[str, Any] = {"response_mean": None, "ci95": None, "cpu_per_request": None}
    both = sorted(plain.done.took_ms.keys() & other.done.took_ms.keys())
    if len(both) > 1 and _alike(plain, other):
        a = np.array([plain.done.took_ms[place] for place in both])
        b = np.array([other.done.took_ms[place] for place in both])
        ratio, error = float(b.mean() / a.mean()), float(1.96 * (b - a).std(ddof=1) / len(both) ** 0.5 / a.mean())
        found["response_mean"], found["ci95"] = ratio, [ratio - error, ratio + error]
    if plain.cpu_ms_per_request and other.cpu_ms_per_request:
        found["cpu_per_request"] = other.cpu_ms_per_request / plain.cpu_ms_per_request
    return found


def _alike(a: Pass, b: Pass) -> bool:
    """A pass that is over sooner has less in flight while its last requests are answered: of long answers its times say
    nothing about the other's."""
    shorter_s, longer_s = sorted((a.seconds, b.seconds))
    return longer_s <= 1.2 * shorter_s or max(a.done.mean_ms or 0, b.done.mean_ms or 0) / 1e3 <= 0.05 * shorter_s


def observed(name: str, service: Service, work: Callable[[], Done], folder: Path, rest_s: float = 0.0) -> Pass:
    """Watches the service while `work` loads it; the figures are those of the loaded time alone.

    `folder`: the file system whose room is told. `rest_s`: watched on for so long after the connections were closed.
    """
    start_ns = time.monotonic_ns()
    origin_s = start_ns / NANOSECONDS
    roots = {"target": service.roots, "ourselves": [os.getpid()], "dependency": service.aside}
    observer = Observer(roots, start_ns, PERIOD_S, folder)
    observer.start()
    try:
        time.sleep(IDLE_S)
        done = work()
        closed_s = time.monotonic() - origin_s
        time.sleep(rest_s)
    finally:
        observer.stop()
    table = observer.table()
    start_s, end_s = done.began_s - origin_s, done.ended_s - origin_s
    used = per_window(table, [(name, start_s, end_s)])[name]
    return Pass(
        name=name,
        done=done,
        seconds=end_s - start_s,
        cpu_s=used["target"]["cpu_s"] if "target" in used else None,
        other_cores=_other_cores(used),
        table=table,
        start_s=start_s,
        end_s=end_s,
        closed_s=closed_s,
        start_ns=start_ns,
    )


def _other_cores(used: dict[str, dict[str, Any]]) -> float | None:
    host = used.get("host")
    if host is None:
        return None
    ours = sum(role["cpu_cores_mean"] for name, role in used.items() if name != "host")
    return max(0.0, float(host["cpu_share_mean"]) * int(host["cores"]) - ours)


def memory_over_time(plain: Pass) -> dict[str, Any]:
    """{"memory_over_time": {at_s, rss_mib, phases}, "users": hold and drain, or None}."""
    at_s, rss = over_time(plain.table, "target", "rss_bytes")
    last_s = float(at_s[-1]) if len(at_s) else 0.0
    phases = {
        "idle": (0.0, plain.start_s),
        "load": (plain.start_s, plain.end_s),
        "hold": (plain.end_s, plain.closed_s),
        "drained": (plain.closed_s + SETTLE_S, last_s),
    }
    held = {name: rss[(at_s > low) & (at_s <= high)] for name, (low, high) in phases.items()}
    users = None
    if all(len(held[name]) for name in ("idle", "hold", "drained")):
        idle, hold, drained = (float(np.median(held[name])) for name in ("idle", "hold", "drained"))
        users = growth.per_user(hold, drained, idle, plain.done.connections)
    shown = {name: list(span) for name, span in phases.items()}
    series = {"at_s": at_s.tolist(), "rss_mib": (rss / growth.MIB).tolist(), "phases": shown}
    return {"memory_over_time": series, "users": users}


def grown(loaded: Pass, stated_mib: float | None) -> dict[str, Any]:
    """Growth of the service's RSS over the requests of one pass; `stated_mib`: the contract's memory limit."""
    at_s, rss = over_time(loaded.table, "target", "rss_bytes")
    done_s = [moment - loaded.start_ns / NANOSECONDS for moment in loaded.done.done_s]
    limit = limit_bytes(loaded.table, stated_mib)
    return growth.growth(
        at_s.tolist(), rss.tolist(), done_s, start_s=loaded.start_s, end_s=loaded.end_s, limit_bytes=limit,
        processes=processes_of(loaded.table),
    )  # fmt: skip


def processes_of(table: pa.Table) -> int:
    """How many processes of the service were seen."""
    rows = table.select(["role", "pid"]).to_pandas()
    return int(rows.loc[rows["role"] == "target", "pid"].nunique())


def limit_bytes(table: pa.Table, stated_mib: float | None) -> float | None:
    """What memory may reach: the control group's limit, the contract's, or else the machine's memory."""
    set_here = [value for value in table["cgroup_memory_max_bytes"].to_pylist() if value]
    total = [value for value in table["host_memory_total_bytes"].to_pylist() if value]
    stated = stated_mib * growth.MIB if stated_mib else None
    return set_here[-1] if set_here else stated or (total[-1] if total else None)
