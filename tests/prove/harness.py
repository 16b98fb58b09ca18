"""Starts a truth server, runs a load against it, and gives back the rows by arrival number."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from loadtests.arrivals import Process
from measurements.rundir import RunDirectory
from plimsoll.measure import Run, measure
from plimsoll.spec import Spec
from targets.contract_file import parse
from targets.process import die_with_parent

SERVER = Path(__file__).parent / "truth_server.py"


@dataclass
class Served:
    """Where a truth server listens; `log` is there once the context has ended."""

    url: str
    log: pd.DataFrame


@contextmanager
def served(folder: Path, **config: Any) -> Iterator[Served]:
    """A truth server on the service's core (the first), ended with SIGTERM so that it writes its log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {"seed": 1, "law": "exponential", "port": port, "log": str(folder / f"truth-{port}.csv"), **config}
    process = subprocess.Popen(
        [sys.executable, str(SERVER), json.dumps(config)], stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
    )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        found = Served(f"http://127.0.0.1:{port}", pd.DataFrame())
        yield found
        process.send_signal(signal.SIGTERM)
        process.wait(5)
        found.log = pd.read_csv(config["log"], names=["seq", "received_ns", "planned_ns", "sent_ns"])
    finally:
        process.kill()
        process.wait()


def load(
    url: str, out: Path, *, stream: bool = False, timeout_s: float = 30.0, think_s: float = 0.0, **words: Any
) -> Run:
    endpoint: dict[str, Any] = {"name": "ask", "path": "/ask", "timeout_s": timeout_s}
    if stream:
        endpoint |= {"stream": "sse", "expect": {"min_tokens": 1}}
    document = {
        "target": {"name": "truth", "base_url": url},
        "endpoint": [endpoint],
        "users": {"think_time_s": think_s},
    }
    spec = Spec(contract=parse(document, out / "contract"), out=out, process=Process("poisson"))
    return measure(replace(spec, **words))


def rows(run: Run, served: Served | None = None) -> pd.DataFrame:
    """Samples by arrival number, times in ms; with `served` also what the server stamped, on the run's own clock."""
    table = RunDirectory.open(run.directory.path).table("samples").to_pandas()
    table = table[table["seq"] >= 0].sort_values("seq").set_index("seq")
    for name in ("intended", "sent", "connect", "first_byte", "first_token", "done"):
        table[f"{name}_ms"] = table[f"{name}_ns"] / 1e6
    if served is not None:
        start_ns = run.document["workers"][0]["start_monotonic_ns"]
        first, last = served.log.groupby("seq").first(), served.log.groupby("seq").last()
        table["received_ms"] = (first["received_ns"] - start_ns) / 1e6
        table["server_done_ms"] = (last["sent_ns"] - start_ns) / 1e6
        table["held_up_ms"] = (last["sent_ns"] - last["planned_ns"]) / 1e6
    return table


def lindley(arrivals_s: np.ndarray, work_s: np.ndarray, servers: int) -> np.ndarray:
    """Response times of c servers with one line, first come first served (Lindley 1952; Kiefer and Wolfowitz 1955)."""
    import heapq

    if servers == 0:
        return work_s
    free = [0.0] * servers
    found = np.empty(len(work_s))
    for k, (at, work) in enumerate(zip(arrivals_s, work_s, strict=True)):
        begin = max(at, heapq.heappop(free))
        heapq.heappush(free, begin + work)
        found[k] = begin + work - at
    return found
