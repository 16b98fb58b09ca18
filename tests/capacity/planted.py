"""Runs of services whose bottleneck is known: a queue in virtual time, its rows summarised by the real spine."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from capacity.documents import RunDocuments
from measurements import streams
from measurements.frame import Frame
from measurements.sample import OUTCOMES
from measurements.streams import Streams
from measurements.summary import RunFacts, Window, summarise

OK, REJECTED, TIMEOUT = (OUTCOMES.index(name) for name in ("ok", "rejected", "timeout"))
EMPTY = np.empty(0, dtype=np.int64)
NO_TOKENS = Streams(EMPTY, EMPTY, EMPTY, EMPTY, EMPTY.astype(float), EMPTY)
assert streams.STEPS  # the module whose empty value stands above


@dataclass(frozen=True)
class Service:
    """`servers` places of `service_ms` each; of a request `cpu_ms` are CPU time, the rest is waiting for others."""

    servers: int = 1
    service_ms: float = 20.0
    cpu_ms: float = 20.0
    variation: str = "exponential"
    queue: int = 1_000_000
    timeout_s: float = 30.0
    bucket_rps: float | None = None
    bucket_burst: int = 5
    llm_cpu_ms: float = 0.0
    base_cores: float = 0.02
    rss_mib: float = 200.0
    rss_per_in_flight_mib: float = 0.5
    processes: int = 1


@dataclass(frozen=True)
class Bench:
    rates: tuple[float, ...] = tuple(np.linspace(10, 100, 10).tolist())
    stage_s: float = 12.0
    seed: int = 1
    slo: dict[str, Any] = field(default_factory=lambda: {"all": {"p95_ms": 500.0, "error_rate": 0.05}})
    contract: dict[str, Any] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=lambda: {"cpu_model": "Xeon", "cores": 2, "memory_mib": 8192})
    placement: dict[str, Any] = field(default_factory=lambda: {"generator": [[0]], "target": [1]})
    endpoints: dict[str, float] = field(default_factory=lambda: {"work": 1.0})
    blocked_frames: dict[str, float] | None = None


def run(service: Service, bench: Bench | None = None) -> RunDocuments:
    """Drive the service with Poisson arrivals, a stage per rate, and write the three documents."""
    return with_rows(service, bench)[0]


def with_rows(service: Service, bench: Bench | None = None) -> tuple[RunDocuments, Frame]:
    """The documents, and the rows that they sum up."""
    bench = bench or Bench()
    rng = np.random.default_rng(bench.seed)
    windows, arrivals, stage_of = [], [], []
    for index, rate in enumerate(bench.rates):
        start = index * bench.stage_s
        windows.append(Window(f"step-{index + 1:02d}", start, start + bench.stage_s, rate, rate))
        times = np.sort(rng.uniform(0, bench.stage_s, rng.poisson(rate * bench.stage_s))) + start
        arrivals += times.tolist()
        stage_of += [index] * len(times)
    frame, worked_until = _frame(
        arrivals=np.array(arrivals), stage=np.array(stage_of), service=service, rng=rng, windows=windows, bench=bench
    )
    facts = RunFacts(
        "planted", "open", "poisson", bench.seed, "completed", windows,
        default_timeout_s=service.timeout_s, limits=bench.slo,
        usage=_usage(frame, worked_until, windows, service, rng, float(bench.host["cores"])),
    )  # fmt: skip
    summary = summarise(frame, NO_TOKENS, facts)
    contract = {
        "target": {"name": "planted", "base_url": "http://127.0.0.1:8000"},
        "slo": bench.slo,
        "resources": {"workers": 1, "replicas": 1, "platform": "process"},
        **bench.contract,
    }
    document = {
        "schema": 1, "run": "planted", "command": "plimsoll run planted.toml --shape breakpoint", "contract": contract,
        "host": bench.host, "placement": bench.placement, "git_commit": "abc",
    }  # fmt: skip
    checked = {"valid": True, "checks": []}
    return RunDocuments(document, summary, checked, "runs/planted", bench.blocked_frames), frame


def _frame(
    *,
    arrivals: np.ndarray,
    stage: np.ndarray,
    service: Service,
    rng: np.random.Generator,
    windows: list[Window],
    bench: Bench,
) -> tuple[Frame, np.ndarray]:
    n = len(arrivals)
    work_s = np.full(n, service.service_ms / 1000)
    if service.variation == "exponential":
        work_s = rng.exponential(service.service_ms / 1000, n)
    done, outcome = _serve(arrivals, work_s, service)
    worked_until = np.where(outcome == OK, done, -1.0)  # a timeout does not stop the work
    names = list(bench.endpoints)
    endpoint = rng.choice(len(names), n, p=np.array(list(bench.endpoints.values())) / sum(bench.endpoints.values()))
    late = done - arrivals > service.timeout_s
    done = np.where(late, arrivals + service.timeout_s, done)
    outcome = np.where(late, TIMEOUT, outcome)
    intended_ns, done_ns = np.round(arrivals * 1e9).astype(np.int64), np.round(done * 1e9).astype(np.int64)
    nothing = np.full(n, -1, dtype=np.int64)
    frame = Frame(
        seq=np.arange(n), step=np.zeros(n, dtype=np.int64), stage=stage, endpoint=endpoint, user=np.arange(n),
        outcome=outcome,
        tokens_in=nothing, tokens_out=nothing, intended_ns=intended_ns, sent_ns=intended_ns, connect_ns=nothing,
        first_token_ns=nothing, done_ns=done_ns, stages=[window.name for window in windows], endpoints=names,
    )  # fmt: skip
    return frame, worked_until


def _serve(arrivals: np.ndarray, work_s: np.ndarray, service: Service) -> tuple[np.ndarray, np.ndarray]:
    """First come, first served by `servers` places; a full queue or an empty bucket rejects at once."""
    done, outcome = np.empty(len(arrivals)), np.zeros(len(arrivals), dtype=np.int64)
    free = [0.0] * service.servers
    starts: deque[float] = deque()
    tokens, last = float(service.bucket_burst), 0.0
    for k, now in enumerate(arrivals.tolist()):
        if service.bucket_rps is not None:
            tokens, last = min(service.bucket_burst, tokens + (now - last) * service.bucket_rps), now
            if tokens < 1:
                done[k], outcome[k] = now + 0.001, REJECTED
                continue
            tokens -= 1
        while starts and starts[0] <= now:
            starts.popleft()
        if len(starts) >= service.queue and free[0] > now:
            done[k], outcome[k] = now + 0.001, REJECTED
            continue
        begin = max(now, heapq.heappop(free))
        done[k] = begin + work_s[k]
        heapq.heappush(free, done[k])
        starts.append(begin)
    return done, outcome


def _usage(
    frame: Frame,
    worked_until: np.ndarray,
    windows: list[Window],
    service: Service,
    rng: np.random.Generator,
    host_cores: float,
) -> dict[str, Any]:
    """CPU of what was really worked on in each window, and memory by what was in flight."""
    found: dict[str, Any] = {}
    for window in windows:
        begin, end = window.start_s * 1e9, window.end_s * 1e9
        served = int(((worked_until >= window.start_s) & (worked_until < window.end_s)).sum())
        in_flight = float(
            np.maximum(np.minimum(frame.done_ns, end) - np.maximum(frame.intended_ns, begin), 0).sum() / (end - begin)
        )
        cpu_s = service.base_cores * window.duration_s + served * service.cpu_ms / 1000 * rng.normal(1, 0.01)
        room = (1.0 if service.processes == 1 else float(service.processes)) * window.duration_s
        cpu_s = min(cpu_s, room)
        cores = cpu_s / window.duration_s
        rss = service.rss_mib + service.rss_per_in_flight_mib * in_flight
        roles = {
            "target": _role(cpu_s, cores, cores / service.processes, rss, service.processes),
            "generator": _role(0.1 * window.duration_s, 0.1, 0.1, 90.0, 1),
            "host": {
                "cpu_share_mean": min(1.0, (cores + 0.1) / host_cores),
                "cores": host_cores,
                "memory_used_mib": 900,
                "memory_total_mib": 8192,
            },
        }
        if service.llm_cpu_ms:
            llm = served * service.llm_cpu_ms / 1000
            roles["llm"] = _role(llm, llm / window.duration_s, llm / window.duration_s, 150.0, 1)
        found[window.name] = roles
    return found


def _role(cpu_s: float, cores: float, busiest: float, rss_mib: float, processes: int) -> dict[str, Any]:
    return {
        "cpu_s": cpu_s, "cpu_cores_mean": cores, "cpu_cores_max": cores, "busiest_process_cores": busiest,
        "rss_mib_mean": rss_mib, "rss_mib_max": rss_mib + 1, "processes": processes,
    }  # fmt: skip
