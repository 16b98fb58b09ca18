"""What to buy: bigger (scale-up) or more (scale-out), by what binds. An option that gains nothing is refused."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from capacity import beside, headroom
from capacity.bottleneck import Bottleneck
from capacity.documents import RunDocuments, between
from capacity.figures import figure
from capacity.model import Model
from capacity.policy import CPU_SHARE, MEMORY_SHARE, Replica, size
from measurements.interval import Interval, Refusal

SHARED = {
    "upstream": "the upstream binds, and all replicas share it",
    "rate_limit": "a rate limit binds, and it is one for all replicas",
    "slow_replica": "one slow replica binds: mend or replace it",
    "lock": "a lock binds; replicas help only where each has its own, which was not shown",
}
CONTENTION = 0.05


@dataclass(frozen=True)
class Options:
    scale_up: list[dict[str, Any]]
    scale_out: list[dict[str, Any]]
    refusals: list[Refusal]
    binding_rule: str | None


def make(model: Model, demands_rps: list[float]) -> Options:
    """An entry per demand and way; refusals where a way gains nothing or lies too far from what was measured."""
    up: list[dict[str, Any]] = []
    out: list[dict[str, Any]] = []
    refusals: list[Refusal] = []
    run, replica = model.run, model.replica
    if replica is None:
        return Options(up, out, refusals, None)
    for demand_rps in demands_rps:
        found = scale_out(run, replica, model.bottleneck, demand_rps)
        if isinstance(found, Refusal):
            refusals += [found] if found not in refusals else []
        else:
            out.append(
                beside.far(
                    beside.silently_changed(beside.simulated(found, model, demand_rps), run), run, model.highest_rps
                )
            )
        bigger = scale_up(run, replica, model.bottleneck, demand_rps, model.highest_rps)
        if isinstance(bigger, Refusal):
            refusals.append(bigger)
        else:
            up.append(beside.silently_changed(bigger, run) if bigger["what"] == "workers" else bigger)
    never = headroom.unkept(replica)
    binding = never[0].rule if never else (out[-1]["binding_rule"] if out else None)
    return Options(up, out, refusals, binding)


def scale_out(
    run: RunDocuments, replica: Replica, bottleneck: Bottleneck, demand_rps: float
) -> dict[str, Any] | Refusal:
    shared = SHARED.get(bottleneck.kind)
    per_process = run.section("limits").get("per_client_scope") == "process" and run.section("limits").get("per_client")
    room = replica.at_least_rps * replica.measured
    if shared and demand_rps > room and not (bottleneck.kind == "rate_limit" and per_process):
        return Refusal(
            "scale_out",
            f"replicas gain 0 at {figure(demand_rps)} rps: {shared}",
            f"raise that limit (for an upstream: quota, a second provider, a faster engine; slots where its core has room), then "
            f"measure again: plimsoll run {run.contract_path} --shape breakpoint --rate {figure(demand_rps * 1.5)}",
        )
    sizing = size(replica, demand_rps)
    if sizing.unkept:
        return headroom.refusal(run, replica, sizing.unkept[0])
    conditional = bottleneck.kind == "unidentified" and demand_rps > room
    return {
        "demand_rps": demand_rps,
        "conditional": conditional,
        "replicas": sizing.needed.as_json() if sizing.needed else None,
        "replicas_at_most": None if sizing.needed else sizing.recommended,
        "recommended": sizing.recommended,
        "workers_each": run.workers,
        "binding_rule": sizing.binding_rule,
        "by_rule": sizing.by_rule,
        "per_replica_rps": replica.rate_rps.as_json() if replica.rate_rps else None,
        "cpu_share": sizing.cpu_share,
        "memory_share": sizing.memory_share,
        "restart_every_h": _restart_h(replica, demand_rps / sizing.recommended),
        "survivors": sizing.recommended - 1,
        "survivors_hold": sizing.survivors_hold,
        "assumptions": [
            *_out_assumptions(run, bottleneck),
            *headroom.doubts(run, replica),
        ],
    }


def _restart_h(replica: Replica, rate_rps: float) -> float | None:
    """Hours until memory kept per request reaches 70 % of the limit: a leak, or a cache that is still filling."""
    if replica.memory is None or replica.memory_mib is None:
        return None
    return replica.memory.hours_to(MEMORY_SHARE * replica.memory_mib * replica.measured, rate_rps * replica.measured)


def _out_assumptions(run: RunDocuments, bottleneck: Bottleneck) -> list[str]:
    found = [
        "each replica stands on cores of its own, like those measured, and gets an equal share of the load",
    ]  # fmt: skip
    if bottleneck.kind == "unidentified":
        found.append("what binds belongs to each replica: nothing measured here shows it, plimsoll verify would")
    if run.section("upstream"):
        found.append("the upstream carries the whole demand; only what was driven here has been seen of it")
    return found


def scale_up(
    run: RunDocuments, replica: Replica, bottleneck: Bottleneck, demand_rps: float, highest_rps: float
) -> dict[str, Any] | Refusal:
    if bottleneck.kind == "memory":
        return _more_memory(run, replica, demand_rps)
    if bottleneck.kind in ("cpu_one_core", "cpu_host"):
        return _more_workers(run, replica, demand_rps, highest_rps)
    never = headroom.unkept(replica)
    if any(one.rule == "memory_70_percent" for one in never) and demand_rps <= replica.at_least_rps:
        return _more_memory(run, replica, demand_rps)
    if demand_rps <= replica.at_least_rps:
        return {
            "demand_rps": demand_rps,
            "what": "nothing",
            "assumptions": [
                "the machine as measured carries this demand within its SLO, without a spare",
                *[headroom.said(one) for one in never],
            ],
        }
    why = {
        "unidentified": "what binds is not identified, so a bigger machine cannot be promised to help",
        "concurrency_limit": "slots bind, not the machine: more cores alone gain 0",
        "connection_pool": "the connection pool binds, not the machine: more cores alone gain 0",
    }.get(bottleneck.kind, f"{SHARED.get(bottleneck.kind, bottleneck.kind + ' binds')}: a bigger machine gains 0")
    return Refusal(
        "scale_up",
        f"at {figure(demand_rps)} rps: {why}",
        f"plimsoll profile {run.contract_path} --rate {figure(highest_rps)} --cpu (stacks at the plateau name what waits)",
    )


def _more_workers(
    run: RunDocuments, replica: Replica, demand_rps: float, highest_rps: float
) -> dict[str, Any] | Refusal:
    """Workers W so that W·X₁/(1 + σ(W−1)) ≥ demand, σ in 0..0.05: contention as in Gunther's USL, not measured."""
    demand = replica.demand
    rate = replica.rate_rps
    if demand is None or rate is None:
        return Refusal(
            "scale_up",
            "the demand per request or the upper end of the capacity is not known",
            f"plimsoll run {run.contract_path} --shape breakpoint --rate {figure(highest_rps * 2)} --duration 300",
        )
    if demand_rps > beside.FARTHEST * highest_rps:
        return Refusal(
            "scale_up",
            f"{figure(demand_rps)} rps on one machine is more than {beside.FARTHEST:.0f} times the highest rate measured "
            f"({figure(highest_rps)} rps)",
            f"set workers = {ceil(demand_rps / rate.low)} under [resources], then on the larger machine: "
            f"plimsoll run {run.contract_path} --shape breakpoint --rate {figure(demand_rps)}",
        )
    one = rate.scaled(1 / run.workers)
    cores = between(
        demand.cores_at(demand_rps).low / CPU_SHARE,
        demand.cores_at(demand_rps).mid / CPU_SHARE,
        demand.cores_at(demand_rps).high / CPU_SHARE,
    )
    workers = between(
        max(_workers(demand_rps, one.high, 0.0), ceil(cores.low)),
        max(_workers(demand_rps, one.mid, CONTENTION / 2), ceil(cores.mid)),
        max(_workers(demand_rps, one.low, CONTENTION), ceil(cores.high)),
        rate.confidence,
    )
    base = replica.memory.base_mib.mid / run.workers / replica.measured if replica.memory else None
    return {
        "demand_rps": demand_rps,
        "what": "workers",
        "workers": workers.as_json(),
        "workers_now": run.workers,
        "cores": workers.as_json(),
        "cores_busy": demand.cores_at(demand_rps).as_json(),
        "memory_mib": workers.scaled(base / MEMORY_SHARE).as_json() if base else None,
        "extrapolated": demand_rps / highest_rps,
        "assumptions": [
            "a core for each worker; more cores without more workers gain 0",
            f"workers slow each other by 0 to {CONTENTION:.0%} per further worker (contention of the scalability law): "
            "assumed, not measured; plimsoll verify tells",
            "one machine has no survivor: it meets the demand, not the loss of itself",
            *(["each worker needs as much memory as one does now"] if base else []),
        ],
    }


def _workers(demand_rps: float, one_rps: float, contention: float) -> float:
    """Smallest W with W·x/(1 + σ(W−1)) ≥ demand; capped where contention makes it unreachable."""
    need = demand_rps / one_rps
    room = 1 - contention * need
    if room <= 0:
        return float(ceil(need * 1000))
    return float(max(1, ceil(need * (1 - contention) / room - 1e-9)))


def _more_memory(run: RunDocuments, replica: Replica, demand_rps: float) -> dict[str, Any] | Refusal:
    """Memory of one machine for the whole demand; memory that did not grow with the load needs what it needed at most."""
    memory, per_rps = replica.memory, replica.in_flight_per_rps
    grows = memory is not None and memory.per_in_flight_mib is not None
    if memory is None or (grows and per_rps is None) or (not grows and not headroom.unkept(replica)):
        remedy = f"plimsoll run {run.contract_path} --shape soak --duration 1800"
        return Refusal("scale_up", "memory binds, but its growth with load could not be fitted", remedy)
    needed = memory.at(demand_rps * (per_rps or 0.0))
    return {
        "demand_rps": demand_rps,
        "what": "memory",
        "memory_mib": needed.scaled(1 / MEMORY_SHARE).as_json(),
        "assumptions": [f"memory at most {MEMORY_SHARE:.0%} full; what grows with requests served only buys time"],
    }


def do_nothing(
    demand_rps: float, capacity: Interval | None, at_least: float | None, plateau: Interval | None
) -> dict[str, Any]:
    """What the demand meets if nothing is bought."""
    low = capacity.low if capacity else at_least
    found: dict[str, Any] = {"demand_rps": demand_rps, "loss_share": None}
    if low is None:
        return {**found, "state": "unknown", "text": "no capacity was found, so nothing can be said"}
    if demand_rps <= low:
        return {
            **found,
            "state": "holds",
            "text": f"{figure(demand_rps)} rps is within what was shown to hold ({figure(low)} rps)",
        }
    if capacity is None or demand_rps <= capacity.high:
        return {
            **found,
            "state": "at_risk",
            "text": f"{figure(demand_rps)} rps lies above what was shown to hold, {figure(low)} rps",
        }
    text = f"{figure(demand_rps)} rps is above {figure(capacity.high)} rps, where the SLO was missed"
    if plateau is None:
        return {**found, "state": "breaks", "text": text}
    loss = between(
        max(0.0, 1 - plateau.high / demand_rps),
        max(0.0, 1 - plateau.mid / demand_rps),
        max(0.0, 1 - plateau.low / demand_rps),
    )
    text += f"; at peak about {loss.mid:.0%} of the requests get no answer in time, and the rest wait"
    return {**found, "state": "breaks", "loss_share": loss.as_json(), "text": text}
