"""The proofs' server of known truth, on the first core; its stamps are there once the context has ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.csv as pacsv

from benchmarks.peers.server import Server
from measurements.errors import UsageError
from targets.process import die_with_parent

PROGRAM = Path(__file__).parents[2] / "tests" / "prove" / "truth_server.py"
COLUMNS = ["seq", "received", "planned", "sent"]


@dataclass
class Truth:
    """`shares` of its core, one for each second that somebody looked."""

    url: str
    process: Server
    shares: list[float] = field(default_factory=list)

    def look(self) -> None:
        self.shares.append(self.process.busy_share())


@contextmanager
def truth(folder: Path, config: dict[str, Any]) -> Iterator[tuple[Truth, Path]]:
    if not PROGRAM.exists():
        raise UsageError(f"{PROGRAM} is missing: run this from a clone of the repository")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / f"truth-{port}.csv"
    words = json.dumps({**config, "port": port, "log": str(log)})
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), words], stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
    )
    os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise UsageError(f"the server of the figures did not start: {words}")
        yield Truth(f"http://127.0.0.1:{port}", Server("", [psutil.Process(process.pid)])), log
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        process.wait()


def stamps(log: Path) -> Any:
    """A row per thing sent: number of the arrival, when it came, when this was due, when it was sent (ns)."""
    return pacsv.read_csv(log, pacsv.ReadOptions(column_names=COLUMNS))
