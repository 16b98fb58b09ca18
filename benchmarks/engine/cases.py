"""The cases: each starts its server, runs `plimsoll run`, and reads figures from the rows that it left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.csv as pacsv

from benchmarks.peers.server import Server, nginx
from measurements.errors import UsageError
from measurements.rundir import RunDirectory

TRUTH = Path(__file__).parents[2] / "tests" / "prove" / "truth_server.py"
LIMITED = 0.95
CONTRACT = """
[target]
name = "engine"
base_url = "{url}"
[[endpoint]]
name = "ask"
method = "POST"
path = "/api/ask"
json = {{ question = "hello there how are you" }}
{more}
"""


@dataclass(frozen=True)
class Figure:
    case: str
    name: str
    value: str


def open_loop(folder: Path, seconds: int) -> list[Figure]:
    """10,000 arrivals a second."""
    with nginx(folder, min(os.sched_getaffinity(0))) as server:
        run, summary = _run(folder, server.url, "--rate", "10000", "--duration", str(seconds))
    rows = run.table("samples", ["intended_ns", "sent_ns"]).drop_null()
    late_ms = np.subtract(rows["sent_ns"].to_numpy(), rows["intended_ns"].to_numpy()) / 1e6
    name = f"open loop, 10,000/s for {seconds} s"
    return [
        Figure(name, "sent per second", f"{summary['offered_rps']:,.0f}"),
        Figure(name, "dropped", f"{summary['all']['outcomes'].get('dropped', 0)}"),
        Figure(name, "lateness p50 / p99 / p99.9", _ms(*np.quantile(late_ms, (0.5, 0.99, 0.999)))),
        Figure(name, "CPU of the load process", _cores(summary)),
    ]


def streams(folder: Path, seconds: int) -> list[Figure]:
    """256 streams of 100 tokens a second, then 1,000 of 50."""
    return [*_streamed(folder, seconds, 256, 100), *_streamed(folder, seconds, 1_000, 50)]


def memory(folder: Path, seconds: int) -> list[Figure]:
    """Resident memory of the load process after five million samples (as long as those take, at most 150 s)."""
    with nginx(folder, min(os.sched_getaffinity(0))) as server:
        _, short = _run(folder, server.url, "--users", "32", "--duration", "5")
        long_s = min(150, round(5_000_000 / short["achieved_rps"]) + 3)
        _, long = _run(folder, server.url, "--users", "32", "--duration", str(long_s))
    name = "memory, closed loop of 32"
    return [Figure(name, f"resident after {made['all']['count']:,} samples",
                   f"{made['resources']['generator']['rss_mib_max']:.0f} MiB") for made in (short, long)]  # fmt: skip


CASES: dict[str, Callable[[Path, int], list[Figure]]] = {
    "open_loop": open_loop, "streams": streams, "memory": memory,
}  # fmt: skip


def _streamed(folder: Path, seconds: int, users: int, rate: int) -> list[Figure]:
    """Streams of two seconds, begun evenly, so that `users` of them are open at any time."""
    tokens = 2 * rate
    sse = {"kind": "sse", "first_s": 0.01, "gap_s": 1 / rate, "tokens": tokens, "seed": 1, "law": "constant"}
    name = f"{users:,} streams, {rate} tokens/s each"
    with _truth(folder, sse) as (server, log):
        run, summary = _run(folder, server.url, "--rate", str(users / 2), "--arrivals", "constant", "--duration", str(seconds),
                            more='stream = "sse"', watch=server)  # fmt: skip
    stamps = pacsv.read_csv(log, pacsv.ReadOptions(column_names=["seq", "received", "planned", "sent"]))
    entry = summary["endpoints"]["ask"]
    ok = entry["ok"]
    gaps = run.table("tokens", ["seq", "step"])
    full = int((np.unique(gaps["seq"].to_numpy(), return_counts=True)[1] == tokens).sum())
    late_ms = _after_stamp_ms(run, stamps["seq"].to_numpy(), stamps["sent"].to_numpy())
    share = float(np.median(server.shares)) if server.shares else 0.0
    limit = f" (the server used {share:.0%} of its core: it is the limit)" if share >= LIMITED else ""
    return [
        Figure(name, "tokens received per second", f"{len(gaps) / summary['duration_s']:,.0f}{limit}"),
        Figure(name, "streams with every token's time kept", f"{min(full, ok):,} of {ok:,}"),
        Figure(name, "first token after the server's stamp, p50 / p95 / p99",
               _ms(*np.quantile(late_ms, (0.5, 0.95, 0.99)))),
        Figure(name, "CPU of the load process", _cores(summary)),
        Figure(name, "run", "VALID" if summary["valid"] else "INVALID: " + summary["reasons"][0]["sentence"]),
    ]  # fmt: skip


def _after_stamp_ms(run: RunDirectory, seq: np.ndarray, sent_ns: np.ndarray) -> np.ndarray:
    """Our first_token_ns minus the server's stamp of its first content event, for each stream that both know."""
    table = run.table("samples", ["seq", "first_token_ns", "outcome"]).to_pandas()
    table = table[(table["outcome"] == "ok") & table["first_token_ns"].notna()]
    start_ns = run.read_json("run.json")["workers"][0]["start_monotonic_ns"]
    order = np.lexsort((sent_ns, seq))
    number, first = np.unique(seq[order], return_index=True)
    stamp = dict(zip(number.tolist(), sent_ns[order][first + 1].tolist(), strict=True))  # [0] is the role-only event
    pairs = zip(table["seq"].tolist(), table["first_token_ns"].astype("int64").tolist(), strict=True)
    return np.array([(start_ns + at - stamp[k]) / 1e6 for k, at in pairs if k in stamp])


@dataclass
class Watched:
    url: str
    process: Server
    shares: list[float] = field(default_factory=list)


@contextmanager
def _truth(folder: Path, config: dict[str, Any]) -> Iterator[tuple[Watched, Path]]:
    """The proofs' truth server on the first core; its log is there once the context has ended."""
    if not TRUTH.exists():
        raise UsageError(f"{TRUTH} is missing: run this from a clone of the repository")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / f"truth-{port}.csv"
    words = json.dumps({**config, "port": port, "log": str(log)})
    process = subprocess.Popen([sys.executable, str(TRUTH), words], stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise UsageError(f"the server of the figures did not start: {words}")
        yield Watched(f"http://127.0.0.1:{port}", Server("", [psutil.Process(process.pid)])), log
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        process.wait()


def _run(
    folder: Path, url: str, *words: str, more: str = "", watch: Watched | None = None
) -> tuple[RunDirectory, dict[str, Any]]:
    contract = folder / "engine.toml"
    contract.write_text(CONTRACT.format(url=url, more=more), encoding="utf-8")
    plimsoll = Path(sys.executable).parent / "plimsoll"
    command = [str(plimsoll), "run", str(contract), *words, "--json", "--out", str(folder / "runs")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if watch:
        watch.process.busy_share()
    while True:
        try:
            text, said = process.communicate(timeout=1.0)
            break
        except subprocess.TimeoutExpired:
            if watch:
                watch.shares.append(watch.process.busy_share())
    if not text.startswith("{"):
        raise UsageError(f"plimsoll run ended with {process.returncode}: {said.strip()[-300:]}")
    return RunDirectory.open(folder / "runs" / "latest"), json.loads(text)


def _cores(summary: dict[str, Any]) -> str:
    return f"{summary['resources']['generator']['cpu_cores_mean']:.2f} cores"


def _ms(*values: float | None) -> str:
    return " / ".join("-" if value is None else f"{value:.2f}" for value in values) + " ms"
