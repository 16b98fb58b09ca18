"""Limits that the contract states: what a limiter lets through, and how much memory there is."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from capacity.documents import RunDocuments, Stage


def memory_mib(run: RunDocuments, stages: Sequence[Stage]) -> float | None:
    """Of all measured replicas: as enforced by a cgroup, else as the contract says."""
    enforced = next((v for s in stages if (v := s.figure("target", "cgroup_memory_max_mib")) is not None), None)
    stated = run.section("resources").get("memory_mib")
    if enforced is not None:
        return enforced * limited_replicas(run)
    return float(stated) * run.replicas if stated else None


def limited_replicas(run: RunDocuments) -> int:
    """How many groups with a limit of its own each there were: as many as replicas that we started and confined."""
    confined = [service for service in run.run.get("services") or [] if (service.get("limits") or {}).get("cpu_cores")]
    return max(1, len(confined))


def rates(run: RunDocuments) -> dict[str, float]:
    """What the contract's limiters let through in all, rps: the front proxy, and clients × their rate."""
    limits = run.section("limits")
    found = {}
    front = limits.get("front") or {}
    if front.get("rate"):
        found["front proxy"] = rate_rps(front["rate"])
    identities = int(run.section("users").get("identities") or 1)
    copies = run.replicas * run.workers if limits.get("per_client_scope") == "process" else 1
    for rate in limits.get("per_client") or []:
        found[f"limit of {rate} per client"] = rate_rps(rate) * prod((identities, copies))
    return found


def rate_rps(text: str) -> float:
    """ "10/minute" or "5/10 seconds" as requests per second."""
    amount, period = text.split("/", 1)
    words = period.split()
    count, unit = (float(words[0]), words[1]) if len(words) == 2 else (1.0, words[0])
    seconds = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[unit.rstrip("s")]
    return float(amount) / (count * seconds)
