"""The plan in one sentence, for the terminal and the head of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capacity.figures import figure

KINDS = {
    "cpu_one_core": "the CPU of one core",
    "cpu_host": "the host's CPUs",
    "concurrency_limit": "the number of slots",
    "upstream": "the upstream",
    "rate_limit": "a rate limit (a policy, not a capacity)",
    "memory": "memory",
    "connection_pool": "the connection pool",
    "lock": "a lock",
    "slow_replica": "one slow replica",
    "bandwidth": "bandwidth",
}
PURCHASE = {"C": "evidence grade C: not for purchase", "B": "evidence grade B", "A": "evidence grade A"}


def sentence(plan: Mapping[str, Any]) -> str:
    """What to run for the demand, how sure, what binds, what it is worth. Numbers as in the document, rounded."""
    end = f" ({PURCHASE[plan['evidence_grade']]})."
    option = plan["scale_out"][-1] if plan["scale_out"] else None
    if option is None:
        if plan["refusals"] and plan["capacity_rps"] is None:
            return f"No recommendation: {plan['refusals'][0]['reason']}{end}"
        gained = next((r["reason"] for r in plan["refusals"] if r["field"] == "scale_out"), "no option could be sized")
        return f"{_holds(plan)}; {gained}{end}"
    count = option["recommended"]
    replicas = option["replicas"]
    span = (
        f"{figure(100 * replicas['confidence'])} % range {replicas['low']:.0f} to {replicas['high']:.0f}"
        if replicas
        else "at most; a lower bound of capacity stood behind it"
    )
    asked = "" if plan["demand"]["given"] else " (twice what one carries; no demand was given)"
    head = f"For {figure(option['demand_rps'])} rps{asked}"
    if option["conditional"]:
        return (
            f"{head} {count} replicas ({span}) would do, if what binds is each replica's own: "
            f"{_holds(plan)}, {_binds(plan)}{end}"
        )
    return f"{head} run {count} replicas ({span}): {_holds(plan)}, {_binds(plan)}{end}"


def _holds(plan: Mapping[str, Any]) -> str:
    capacity = plan["capacity_rps"]
    if capacity:
        return f"what was measured holds its SLO up to {figure(capacity['low'])} to {figure(capacity['high'])} rps"
    return f"what was measured holds its SLO at least up to {figure(plan['capacity_at_least_rps'])} rps"


def _binds(plan: Mapping[str, Any]) -> str:
    found = plan["bottleneck"]
    if not found or found["kind"] == "unidentified":
        return "what binds first is unidentified"
    return f"{KINDS[found['kind']]} binds first"
