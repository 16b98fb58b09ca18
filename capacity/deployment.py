"""What is deployed, read from plan and contract: one replica's size, how many, its probes, its limits, its alerts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from capacity.declared import rate_rps
from capacity.documents import RunDocuments
from measurements.interval import Refusal

# Sizes that Fargate offers: CPU units → (lowest, highest, step) MiB (AWS, "Task size", 2024).
FARGATE = {
    256: (512, 2048, 512), 512: (1024, 4096, 1024), 1024: (2048, 8192, 1024), 2048: (4096, 16384, 1024),
    4096: (8192, 30720, 1024), 8192: (16384, 61440, 4096), 16384: (32768, 122880, 8192),
}  # fmt: skip


@dataclass(frozen=True)
class Front:
    """A rate limit in front, as nginx writes it; `path` is the location that it covers."""

    nginx_rate: str
    burst: int
    path: str


@dataclass(frozen=True)
class Deployment:
    """Cores and MiB are of one replica. `larger`: workers, cores and MiB of one bigger machine, where the plan has it."""

    name: str
    port: int
    live: str
    ready: str
    timeout_s: int
    streams: bool
    replicas: int
    workers: int
    cores: float
    cores_asked: float
    memory_mib: int
    memory_asked_mib: int
    bottleneck: str
    demand_rps: float
    line_rps: float | None
    max_unavailable: int
    max_surge: int
    sentence: str
    front: Front | None = None
    larger: Mapping[str, Any] | None = None
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    alerts: list[Mapping[str, Any]] = field(default_factory=list)
    limits_per_process: bool = False

    @property
    def cpu_bound(self) -> bool:
        return self.bottleneck in ("cpu_one_core", "cpu_host")

    @property
    def fargate(self) -> tuple[int, int]:
        """The smallest (CPU units, MiB) that Fargate offers for a replica; the largest where none is enough."""
        for units, (lowest, highest, step) in FARGATE.items():
            memory = max(lowest, ceil(self.memory_mib / step) * step)
            if units >= self.cores * 1024 and memory <= highest:
                return units, memory
        return 16384, 122880


def of(plan: Mapping[str, Any], run: RunDocuments) -> Deployment | Refusal:
    """From plan.json (as a mapping) and the run that it rests on."""
    if not plan.get("scale_out"):
        reason = next(
            (r["reason"] for r in plan.get("refusals") or [] if r["field"] in ("scale_out", "capacity_rps")),
            "no option",
        )
        return Refusal(
            "deployment", f"the plan has no number of replicas: {reason}", f"plimsoll plan {run.path} --demand RPS"
        )
    option = plan["scale_out"][-1]
    resources, target = run.section("resources"), run.section("target")
    larger = next((o for o in plan.get("scale_up") or [] if o.get("what") == "workers"), None)
    endpoints = [endpoint for endpoint in run.contract.get("endpoint") or [] if endpoint.get("enabled", True)]
    memory = int(resources.get("memory_mib") or _measured_memory(plan))
    cores = float(resources.get("cpu") or run.workers)
    limits = run.section("limits")
    rollout = (target.get("control") or {}).get("rollout") or {}
    rolls = rollout if rollout.get("strategy") == "rolling" else {}
    return Deployment(
        name=re.sub(r"[^a-z0-9]+", "-", str(target.get("name") or "service").lower()).strip("-")[:40] or "service",
        port=_port(target),
        live=_probe(endpoints, target, "live"),
        ready=_probe(endpoints, target, "ready"),
        timeout_s=ceil(max((float(endpoint.get("timeout_s") or 30) for endpoint in endpoints), default=30)),
        streams=any(endpoint.get("stream") for endpoint in endpoints),
        replicas=int(option["recommended"]),
        workers=run.workers,
        cores=cores,
        cores_asked=float(resources.get("cpu_request") or cores),
        memory_mib=memory,
        memory_asked_mib=int(resources.get("memory_request_mib") or memory),
        bottleneck=str((plan.get("bottleneck") or {}).get("kind") or "unidentified"),
        demand_rps=float(option["demand_rps"]),
        line_rps=(plan.get("capacity_rps") or {}).get("low") or plan.get("capacity_at_least_rps"),
        max_unavailable=int(rolls.get("max_unavailable", 0)),
        max_surge=int(rolls.get("max_surge", 1)),
        sentence=" ".join(str(plan.get("sentence") or "").split()),
        front=_front(limits.get("front")),
        larger=_larger(larger, memory),
        limits=run.slo_limits(),
        alerts=list((run.section("alert").get("rule")) or []),
        limits_per_process=bool(limits.get("per_client")) and limits.get("per_client_scope") == "process",
    )


def _measured_memory(plan: Mapping[str, Any]) -> int:
    """The highest seen over 70 %, in steps of 256 MiB."""
    highest = float((plan.get("memory") or {}).get("highest_mib") or 700.0)
    return max(256, ceil(highest / 0.7 / 256) * 256)


def _larger(option: Mapping[str, Any] | None, memory_mib: int) -> Mapping[str, Any] | None:
    if option is None:
        return None
    workers = ceil(option["workers"]["high"])
    memory = (option.get("memory_mib") or {}).get("high") or memory_mib * workers
    return {"workers": workers, "cores": ceil(option["cores"]["high"]), "memory_mib": ceil(memory / 256) * 256}


def _port(target: Mapping[str, Any]) -> int:
    url = target.get("base_url")
    parts = urlsplit(str(url[0] if isinstance(url, list) else url))
    return parts.port or (443 if parts.scheme == "https" else 80)


def _probe(endpoints: list[Mapping[str, Any]], target: Mapping[str, Any], word: str) -> str:
    """The path for a probe: a health endpoint named after it, else any, else the control's `ready`, else /health."""
    paths = [str(endpoint["path"]) for endpoint in endpoints if endpoint.get("kind") == "health"]
    named = [path for path in paths if word in path]
    fallback = str((target.get("control") or {}).get("ready") or "/health")
    return (named or paths or [fallback])[0]


def _front(front: Mapping[str, Any] | None) -> Front | None:
    if not front:
        return None
    per_s = rate_rps(str(front["rate"]))
    rate = f"{per_s:.0f}r/s" if per_s >= 1 and per_s == round(per_s) else f"{max(1, round(per_s * 60))}r/m"
    path = str(front.get("paths") or "/")
    return Front(rate, int(front.get("burst") or 0), path if re.fullmatch(r"/[\w/.-]*", path) else "/")
