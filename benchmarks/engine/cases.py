"""The cases: each starts its server, runs `plimsoll run`, and reads figures from the rows that it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.server import nginx
from benchmarks.peers.truth import Truth, stamps, truth
from measurements.errors import UsageError
from measurements.rundir import RunDirectory
from targets.process import die_with_parent

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
    bare = json.loads(_on_the_generators_core("benchmarks.engine.bare_timer", "8"))
    return [
        Figure(name, "sent per second", f"{summary['offered_rps']:,.0f}"),
        Figure(name, "dropped", f"{summary['all']['outcomes'].get('dropped', 0)}"),
        Figure(name, "lateness p50 / p99 / p99.9", _ms(*np.quantile(late_ms, (0.5, 0.99, 0.999)))),
        Figure(name, "CPU of the load process", _cores(summary)),
        Figure("a bare timer on that core", "lateness p50 / p99 / p99.9", _ms(*bare["quantiles_ms"])),
        Figure("a bare timer on that core", "wake-ups over 1 ms late", f"{bare['late_per_s']:.1f} a second"),
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


def journal(folder: Path, seconds: int) -> list[Figure]:
    """What a row costs until it is on disk, of what a request costs in a closed loop that fills the core."""
    with nginx(folder, min(os.sched_getaffinity(0))) as server:
        _, made = _run(folder, server.url, "--users", "32", "--duration", "5")
    row_us = float(_on_the_generators_core("benchmarks.engine.journal_cost", str(folder / "cost")))
    request_us = 1e6 / made["achieved_rps"]
    share = f"{row_us:.2f} of {request_us:.2f} µs per request = {row_us / request_us:.1%} of the rate"
    return [Figure("journal, closed loop of 32", "a row, from the hot path to the disk", share)]


CASES: dict[str, Callable[[Path, int], list[Figure]]] = {
    "open_loop": open_loop, "streams": streams, "memory": memory, "journal": journal,
}  # fmt: skip


def _streamed(folder: Path, seconds: int, users: int, rate: int) -> list[Figure]:
    """Streams of two seconds, begun evenly, so that `users` of them are open at any time."""
    tokens = 2 * rate
    sse = {"kind": "sse", "first_s": 0.01, "gap_s": 1 / rate, "tokens": tokens, "seed": 1, "law": "constant"}
    name = f"{users:,} streams, {rate} tokens/s each"
    with truth(folder, sse) as (server, log):
        run, summary = _run(folder, server.url, "--rate", str(users / 2), "--arrivals", "constant", "--duration", str(seconds),
                            more='stream = "sse"', watch=server)  # fmt: skip
    stamped = stamps(log)
    entry = summary["endpoints"]["ask"]
    ok = entry["ok"]
    gaps = run.table("tokens", ["seq", "step"])
    full = int((np.unique(gaps["seq"].to_numpy(), return_counts=True)[1] == tokens).sum())
    late_ms = _after_stamp_ms(run, stamped["seq"].to_numpy(), stamped["sent"].to_numpy())
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


def _on_the_generators_core(module: str, word: str) -> str:
    """What it printed."""
    core = max(os.sched_getaffinity(0))
    command = [sys.executable, "-P", "-m", module, word]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    ).stdout


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


def _run(
    folder: Path, url: str, *words: str, more: str = "", watch: Truth | None = None
) -> tuple[RunDirectory, dict[str, Any]]:
    contract = folder / "engine.toml"
    contract.write_text(CONTRACT.format(url=url, more=more), encoding="utf-8")
    plimsoll = Path(sys.executable).parent / "plimsoll"
    command = [str(plimsoll), "run", str(contract), *words, "--json", "--out", str(folder / "runs")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent
    )
    if watch:
        watch.process.busy_share()
    while True:
        try:
            text, said = process.communicate(timeout=1.0)
            break
        except subprocess.TimeoutExpired:
            if watch:
                watch.look()
    if not text.startswith("{"):
        raise UsageError(f"plimsoll run ended with {process.returncode}: {said.strip()[-300:]}")
    return RunDirectory.open(folder / "runs" / "latest"), json.loads(text)


def _cores(summary: dict[str, Any]) -> str:
    return f"{summary['resources']['generator']['cpu_cores_mean']:.2f} cores"


def _ms(*values: float | None) -> str:
    return " / ".join("-" if value is None else f"{value:.2f}" for value in values) + " ms"
