"""Traps that a contract and a run give away: settings that look harmless and cost money, users or a deployment. Pure.

Each is derived from what the contract states and what the run saw; `state` says how it is known: "binds" (this run met
it), "costs" (measured, and priced), "declared" (follows from the contract; this run neither met nor refuted it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from targets.contract import Contract, Endpoint
from targets.limits import LimitFound, Load, amount_and_window, in_words, rate_rps

DAY_S = 86_400.0
PERIODS_S = {"readiness": 5.0, "liveness": 10.0}  # as the reference team probes; Kubernetes' default is 10 s for both
IN_A_ROW = 3  # failures of a liveness check after which Kubernetes restarts a container, by default
TABLE = re.compile(r"(limit\w*|clients?|buckets?)_(addresses|clients|keys|entries|buckets|size)$")


@dataclass(frozen=True)
class Table:
    """A gauge that counts clients that the service remembers, as it stood from scrape to scrape.

    `requests_in_window`: at each scrape, how many requests had come within the limiter's window: no table that forgets
    can hold more.
    """

    name: str
    at_s: Sequence[float]
    entries: Sequence[float]
    requests_in_window: Sequence[int]


@dataclass(frozen=True)
class Seen:
    """What the run saw. `asked`: each health check asked once without load ({endpoint, path, purpose, calls, tokens_in,
    tokens_out}); `health`: endpoint → {asked, failed, failed_in_a_row} under load; `peak_rps`: the most that came;
    `restarts_s`: when the service began anew."""

    load: Load
    peak_rps: float = 0.0
    limits: Sequence[LimitFound] = ()
    asked: Sequence[Mapping[str, Any]] = ()
    health: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    restarts_s: Sequence[float] = ()


@dataclass(frozen=True)
class TrapFound:
    """`figures`: the numbers of the sentence, with their units in the names."""

    trap: str
    state: str
    sentence: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def find(contract: Contract, seen: Seen) -> list[TrapFound]:
    """Those that are there, met ones first."""
    found = [trap for look in TRAPS if (trap := look(contract, seen)) is not None]
    return sorted(found, key=lambda trap: ("binds", "costs", "declared").index(trap.state))


def health_calls_paid_llm(contract: Contract, seen: Seen) -> TrapFound | None:
    """Calls a day = Σ over checks of replicas × 86,400 s / period × calls per probe; money at the contract's prices."""
    dear = [check for check in seen.asked if (check.get("calls") or 0) > 0]
    upstream = contract.upstream
    if not dear or upstream is None:
        return None
    replicas = contract.resources.replicas
    calls = usd = 0.0
    said = []
    for check in dear:
        period_s = PERIODS_S[check.get("purpose") or "liveness"]
        probes = replicas * DAY_S / period_s
        calls += probes * check["calls"]
        usd += probes * (
            (check.get("tokens_in") or 0) * upstream.usd_per_1k_tokens_in
            + (check.get("tokens_out") or 0) * upstream.usd_per_1k_tokens_out
        ) / 1000  # fmt: skip
        said.append(f"{check['path']} (asked every {period_s:g} s)")
    tokens = sum((check.get("tokens_in") or 0) + (check.get("tokens_out") or 0) for check in dear) / len(dear)
    price = f", {usd:.2f} USD a day at the contract's prices" if usd else ""
    model = f" ({upstream.model})" if upstream.model else ""
    sentence = (
        f"health checks call the LLM{model} at every probe: {' and '.join(said)} on {replicas} replicas make {calls:,.0f} calls "
        f"a day of {tokens:.0f} tokens each{price}, and the service is taken for ill whenever the LLM is; list its models "
        "instead, or ask once a minute and remember"
    )
    return TrapFound("health_calls_paid_llm", "costs", sentence, {"calls_per_day": calls, "usd_per_day": usd})


def limit_by_peer_address(contract: Contract, seen: Seen) -> TrapFound | None:
    """A limiter that keys on the address it sees, with a proxy in front: every user has the proxy's address."""
    limits = contract.limits
    if limits.client_key != "address" or limits.front is None or not limits.per_client:
        return None
    rate = min(limits.per_client, key=rate_rps)
    copies = _copies(contract)
    all_rps = rate_rps(rate) * copies
    each = f" in each of {copies} processes, {in_words(all_rps)} in all" if copies > 1 else ""
    refused = sum(found.refused for found in seen.limits if found.kind == "client")
    binds = bool(seen.load.front and refused)
    met = f"; {refused:,} requests were refused here" if binds else f"; this run sent up to {in_words(seen.peak_rps)}"
    sentence = (
        f"the rate limit keys on the address that the service sees: behind {limits.front.proxy} that is the proxy's, so all "
        f"users together share {rate}{each}{met}; key on the address that the proxy passes on"
    )
    return TrapFound("limit_by_peer_address", "binds" if binds else "declared", sentence, {"all_users_rps": all_rps})


def limiter_never_forgets(contract: Contract, seen: Seen) -> TrapFound | None:
    """More entries than requests came within the limit's window: it keeps those that have expired."""
    if not contract.limits.per_client:
        return None
    window_s = max(amount_and_window(rate)[1] for rate in contract.limits.per_client)
    for table in seen.tables:
        kept = max(
            (held - came for held, came in zip(table.entries, table.requests_in_window, strict=True)), default=0.0
        )
        last = table.entries[-1] if table.entries else 0.0
        if kept > 0:
            sentence = (
                f"the limiter's table of clients ({table.name}) does not forget: it held {last:,.0f} at the end, and once "
                f"{kept:,.0f} more than requests had come within its window of {window_s:g} s; each client that ever came "
                "stays in memory until a restart"
            )
            return TrapFound("limiter_never_forgets", "costs", sentence, {"entries": last})
        span_s = table.at_s[-1] - table.at_s[0] if table.at_s else 0.0
        only_grew = all(later >= before for before, later in zip(table.entries, table.entries[1:], strict=False))
        if last and only_grew and span_s > window_s:
            sentence = (
                f"the limiter's table of clients ({table.name}) only grew, to {last:,.0f}, in {span_s:.0f} s, longer than "
                f"its window of {window_s:g} s; a run with a quiet end tells whether it ever forgets"
            )
            return TrapFound("limiter_never_forgets", "declared", sentence, {"entries": last})
    return None


def limit_per_process(contract: Contract, seen: Seen) -> TrapFound | None:
    limits, resources = contract.limits, contract.resources
    copies = _copies(contract)
    if limits.per_client_scope != "process" or copies < 2 or not limits.per_client:
        return None
    rate = limits.per_client[0]
    amount, _ = amount_and_window(rate)
    real = f"{amount * copies}/{rate.split('/', 1)[1]}"
    binds = seen.load.processes > 1 and any(found.kind == "client" and found.binds for found in seen.limits)
    deployed = f"{resources.replicas} × {resources.workers}"
    sentence = (
        f"the limit of {rate} is counted in each process: as deployed (replicas × workers: {deployed}) one client may send "
        f"up to {real}, and every scale-out raises it; count where all processes see it"
    )
    return TrapFound("limit_per_process", "binds" if binds else "declared", sentence, {"copies": copies})


def proxy_limits_health(contract: Contract, seen: Seen) -> TrapFound | None:
    """The proxy's limit covers the health checks, and their own rate is above it or they were refused."""
    front = contract.limits.front
    if front is None:
        return None
    covered = _covered(contract)
    if not covered:
        return None
    failed = [e for e in covered if (seen.health.get(e.name) or {}).get("failed")]
    probes_rps = sum(1 / period_s for period_s in PERIODS_S.values())
    too_many = probes_rps > rate_rps(front.rate)
    binds = bool(seen.load.front and failed)
    if not (binds or too_many):
        return None
    paths = " and ".join(e.path for e in covered)
    often = f"readiness and liveness alone make {probes_rps * 60:.0f} probes a minute per replica"
    met = "; they failed in this run" if binds else ""
    sentence = f"{front.proxy}'s limit of {front.rate} covers the health checks too ({paths}): {often}{met}; exempt them from it"
    return TrapFound("proxy_limits_health", "binds" if binds else "declared", sentence)


def health_fails_under_load(contract: Contract, seen: Seen) -> TrapFound | None:
    """A check that says ill because the service is busy: who restarts on it makes an outage of a full house."""
    failed = {name: told for name, told in seen.health.items() if told.get("failed")}
    if not failed or (seen.load.front and set(failed) <= {endpoint.name for endpoint in _covered(contract)}):
        return None
    said = ", ".join(
        f"{name} {told['failed']} of {told['asked']} times ({told['failed_in_a_row']} in a row)"
        for name, told in failed.items()
    )
    full = [found.limit for found in seen.limits if found.kind == "queue" and found.binds]
    if not full and max(told["failed_in_a_row"] for told in failed.values()) < IN_A_ROW:
        return None
    why = f" while queue {', '.join(full)} was full" if full else ""
    sentence = (
        f"under this load the health check failed{why}: {said}; whoever restarts on it (an orchestrator, or the service "
        "itself) turns a busy service into one that is down"
    )
    trap = "full_queue_is_unhealthy" if full else "health_fails_under_load"
    return TrapFound(trap, "binds", sentence, {"failed": sum(told["failed"] for told in failed.values())})


def self_restart(contract: Contract, seen: Seen) -> TrapFound | None:
    """It began anew under load and nobody here told it to."""
    if not seen.restarts_s:
        return None
    times = " and ".join(f"{at_s:.0f} s" for at_s in seen.restarts_s)
    ill = [name for name, told in seen.health.items() if told.get("failed")]
    after = f", and {' and '.join(ill)} failed in this run" if ill else ""
    sentence = (
        f"the service restarted under this load, at {times} (its counters began at zero again{after}): what it was doing then "
        "was lost; whoever restarts it on a failed health check should ask for more than one failure, and not while it is busy"
    )
    return TrapFound("self_restart", "binds", sentence, {"restarts": len(seen.restarts_s)})


def _covered(contract: Contract) -> list[Endpoint]:
    """Health checks on the paths that the proxy limits."""
    front = contract.limits.front
    health = [endpoint for endpoint in contract.endpoint if endpoint.kind == "health" and endpoint.enabled]
    return [e for e in health if e.path.startswith(front.paths.rstrip("*"))] if front else []


def _copies(contract: Contract) -> int:
    """Processes that count for themselves, as deployed."""
    per_process = contract.limits.per_client_scope == "process"
    return contract.resources.workers * contract.resources.replicas if per_process else 1


TRAPS: tuple[Callable[[Contract, Seen], TrapFound | None], ...] = (
    health_calls_paid_llm,
    limit_by_peer_address,
    limiter_never_forgets,
    limit_per_process,
    proxy_limits_health,
    health_fails_under_load,
    self_restart,
)
