"""Records a piece of the block pool that `make prove-gate` evaluates gates from.

The service is the embedded kakao, its policy search answered from its cache, with so much CPU time planted in all alike
that a request takes 4.5 ms of it: of one that takes 1.5 ms the machine's own hiccups are most of the p95. Many equal
instances run at once, beside them some that are slower by more planted CPU time or a planted wait, or hold more memory;
each request goes to all of them in turn, and every piece starts all of them anew, in another order.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.gate import blocks as gate_blocks
from benchmarks.gate.metrics import P95_NEEDS
from benchmarks.gate.pools import PART_BLOCKS, Piece, kind_of
from benchmarks.gate.rules import Pair as Named
from loadtests.arrivals import Process, Stage
from plimsoll.duets import BUSY
from plimsoll.measure import Run, measure
from plimsoll.pair import Pair
from plimsoll.placement import place
from plimsoll.spec import Spec
from profiles import processes
from profiles.block_clock import pin
from targets.contract import Contract
from targets.contract_file import parse
from targets.control import Deployment

AT_ONCE = 4  # started side by side
SIZED_BY = 4  # versions at once that tell how large a change has to be
INSTANCES = {"equal": 23, "slower-5": 4, "slower-10": 2, "waits-20": 2, "cpu-20-memory-30": 2}
CPU_MS = 4.5  # of a request to an equal version
KEPT: tuple[Named, ...] = (
    ("search", "mean_ms"), ("search", "p50_ms"), ("search", "p95_ms"), ("all", "cpu_s_per_request"), ("all", "error_rate"),
    ("all", "peak_memory_mib"),
)  # fmt: skip
CONTRACT: dict[str, Any] = {
    "target": {
        "name": "kakao",
        "base_url": "http://127.0.0.1:8000",
        "control": {
            "start": "plimsoll serve kakao --port {port} --upstream {llm_url}",
            "needs": [{"name": "llm", "start": "plimsoll serve llm --port {port}"}],
        },
    },
    "endpoint": [
        {"name": "search", "kind": "search", "path": "/api/v1/policies/search", "query": {"q": "광고성 메시지", "k": 5},
         "timeout_s": 10, "expect": {"json_path": "$.policies[0].text"}}
    ],
}  # fmt: skip


def record(parts: int, planted: Mapping[str, Any] | None, instances: Mapping[str, int] = INSTANCES) -> Piece:
    """`parts` of five blocks each. Starts everything afresh, records, stops everything.

    What is planted is sized by a pilot in the first piece.
    """
    folder = Path(tempfile.mkdtemp(prefix="gate-pool-"))
    contract = parse(CONTRACT, folder / "contract.toml")
    if planted is None:
        planted = _sized(folder, contract, sum(instances.values()))
    labels = [f"{kind}.{k + 1}" for kind, count in instances.items() for k in range(count)]
    random.shuffle(labels)
    about = planted["about"]
    rate, block_s = float(about["rate_rps"]), float(about["block_s"])
    total = rate * len(labels)
    stages = [Stage("warmup", 5.0, total, total, warmup=True)]
    stages += [Stage(f"block-{k + 1:03d}", block_s, total, total) for k in range(parts * PART_BLOCKS)]
    with ExitStack() as stack:
        equal = {"planted_cpu_ms": float(about["planted_cpu_ms"])}
        settings = {label: equal | planted.get(kind_of(label), {}) for label in labels}
        pair = _started(stack, contract, folder, settings)
        run = _run(contract, pair, folder, stages, random.randrange(2**31))
    found = gate_blocks.versions(run.directory, labels, {"search": 10.0})
    invalid = [check["sentence"] for check in run.validity["checks"] if check["state"] == "invalid"]
    print(f"{rate:.0f} requests/s and version, {len(found)} blocks of {block_s:.1f} s; "
          f"void: {[why for _, _, why, _ in found if why]}; INVALID: {invalid}", flush=True)  # fmt: skip
    kept = [[_only(side) for side in sides] for _, _, why, sides in found if not why]
    return Piece(labels, kept, datetime.now(UTC).isoformat(timespec="seconds"), planted)


def _sized(folder: Path, contract: Contract, versions: int) -> dict[str, Any]:
    """Kind → settings that slow it by the share in its name: of what an equal version needs under such a load."""
    bare = _pilot(folder / "bare", contract, 0.0, 40.0)
    equal_ms = max(0.0, CPU_MS - 1e3 * _median(bare, ("all", "cpu_s_per_request")))
    sides = _pilot(folder / "sizing", contract, equal_ms, BUSY / (SIZED_BY * CPU_MS / 1e3))
    cpu_s = _median(sides, ("all", "cpu_s_per_request"))
    service_ms, rss_mib = _median(sides, ("search", "service_p50_ms")), _median(sides, ("all", "peak_memory_mib"))
    rate_rps = BUSY / (versions * cpu_s)
    return {
        "slower-5": {"planted_cpu_ms": equal_ms + 0.05 * service_ms},
        "slower-10": {"planted_cpu_ms": equal_ms + 0.10 * service_ms},
        "waits-20": {"planted_delay_ms": 0.20 * service_ms},
        "cpu-20-memory-30": {"planted_cpu_ms": equal_ms + 200 * cpu_s, "planted_memory_mib": 0.30 * rss_mib},
        "about": {"service_ms": service_ms, "cpu_s_per_request": cpu_s, "rss_mib": rss_mib, "rate_rps": rate_rps,
                  "planted_cpu_ms": equal_ms, "block_s": 1.02 * P95_NEEDS / rate_rps},
    }  # fmt: skip


def _pilot(folder: Path, contract: Contract, equal_ms: float, rate_rps: float) -> list[gate_blocks.Side]:
    """Figures of some equal versions at a rate each."""
    folder.mkdir()
    labels = [f"pilot.{k}" for k in range(SIZED_BY)]
    total = SIZED_BY * rate_rps
    stages = [Stage("warmup", 4.0, total, total, warmup=True), Stage("pilot", 8.0, total, total)]
    with ExitStack() as stack:
        pair = _started(stack, contract, folder, {label: {"planted_cpu_ms": equal_ms} for label in labels})
        run = _run(contract, pair, folder, stages, 2)
        [(_, _, _, sides)] = gate_blocks.versions(run.directory, labels, {"search": 10.0})
    return sides


def _median(sides: list[gate_blocks.Side], name: Named) -> float:
    return float(np.median([side.figures[name] for side in sides]))


def _only(side: gate_blocks.Side) -> gate_blocks.Side:
    """The figures that are judged, to five digits: a pool is a file that is kept."""
    return replace(side, figures={name: float(f"{v:.5g}") for name, v in side.figures.items() if name in KEPT})


def _started(stack: ExitStack, contract: Contract, folder: Path, settings: Mapping[str, dict[str, float]]) -> Pair:
    """One of each label, on the cores that a gate gives its versions. They start on all cores, several at once; the
    threads that start them live as long as they do, for a process that we start ends with the thread that started it."""
    starting = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
    first, *others = list(settings)

    def start(label: str, llm: str | None) -> Deployment:
        deployment = stack.enter_context(_deployment(contract, folder / label, settings[label], llm))
        _fill_cache(deployment.base_urls[0], contract)
        return deployment

    running = {first: starting.submit(start, first, None).result()}
    llm = running[first].needs["llm"]  # asked once, then the cache answers: one will do for all
    coming = {label: starting.submit(start, label, llm) for label in others}
    running |= {label: one.result() for label, one in coming.items()}
    pair, cpus = Pair(), place(1, True).target
    for label, deployment in running.items():
        pids = [pid for pids in deployment.roots.values() for pid in pids]
        pin(pids, cpus)
        _before_strangers(pids)
        pair.urls.append(deployment.base_urls[0])
        pair.roots[label] = deployment.roots["target"]
    return pair


def _fill_cache(url: str, contract: Contract) -> None:
    """One request, so that the load finds an answer in the cache: cold instances by the dozen would drown in its first
    second, and with real-time priority the machine with them."""
    [search] = contract.endpoint
    query = {name: str(value) for name, value in search.query.items()}
    httpx.get(url + search.path, params=query, timeout=60.0, trust_env=False).raise_for_status()


def _before_strangers(roots: Sequence[int]) -> None:
    """Real-time priority for all alike, where the right is there: what else the machine does is no property of the gate."""
    for pid in processes.tree(roots):
        with suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setscheduler(int(thread.name), os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def _deployment(contract: Contract, logs: Path, settings: dict[str, float], llm: str | None) -> Deployment:
    control = contract.target.control
    assert control is not None
    start = control.start + "".join(f" --set {name}={value:.4f}" for name, value in settings.items())
    changed = {"start": start} if llm is None else {"start": start.replace("{llm_url}", llm), "needs": []}
    target = contract.target.model_copy(update={"control": control.model_copy(update=changed)})
    one = contract.model_copy(update={"target": target})
    one._folder = contract.folder
    logs.mkdir()
    return Deployment(one, logs)


def _run(contract: Contract, pair: Pair, folder: Path, stages: list[Stage], seed: int) -> Run:
    spec = Spec(contract=contract, out=folder, name="pool", planned=tuple(stages), process=Process("constant"), pair=pair,
                seed=seed, rate_rps=stages[-1].start_rps, duration_s=1.0)  # fmt: skip
    return measure(spec)
