"""What is said of an option beside its size: the simulation of queues, what scaling changes silently, how far it reaches."""

from __future__ import annotations

from typing import Any

from capacity import connections, queue_replicas
from capacity.documents import RunDocuments
from capacity.figures import figure
from capacity.model import Model
from measurements.interval import Refusal

PER_WORKER = (
    "the rate limit is per process: W workers let through W times as much per client, a silent change of policy"
)
SEEN, FARTHEST = 1.5, 10.0  # times the highest rate measured


def simulated(option: dict[str, Any], model: Model, demand_rps: float) -> dict[str, Any]:
    """Where bounded queues bind, the number that the simulation of their discipline gives, if it is larger."""
    if model.bottleneck.kind != "concurrency_limit":
        return option
    for queue in model.queues:
        found = queue_replicas.needed(model, queue, demand_rps)
        if isinstance(found, Refusal):
            said = f"{found.reason}; to know more: {found.remedy}"
            option = {**option, "assumptions": [*option["assumptions"], said]}
            continue
        option = {**option, "by_simulation": {queue.name: {k: v for k, v in found.items() if k != "needed"}}}
        option["by_simulation"][queue.name]["needed"] = found["needed"].as_json()
        option["by_rule"] = {**option["by_rule"], f"queue_{queue.name}": found["recommended"]}
        option["assumptions"] = [*option["assumptions"], *found["assumptions"]]
        if found["recommended"] > option["recommended"]:
            option |= {
                "recommended": found["recommended"],
                "replicas": found["needed"].as_json(),
                "replicas_at_most": None,
                "binding_rule": f"queue_{queue.name}",
                "survivors": found["recommended"] - 1,
                "survivors_hold": True,
            }
    return option


def silently_changed(option: dict[str, Any], run: RunDocuments) -> dict[str, Any]:
    """What more processes change without anybody having decided it: limits that each has for itself, connections."""
    replicas = option.get("recommended", 1)
    workers = option["workers"]["high"] if "workers" in option else option["workers_each"]
    said = []
    opened = connections.of(run, replicas, workers)
    said.append(str(opened) if opened else connections.GENERAL)
    if run.section("limits").get("per_client_scope") == "process":
        if "workers" in option:
            said.append(PER_WORKER)
        elif run.section("limits").get("per_client"):
            said.append(
                f"the rate limit is per process: {replicas} replicas let through {replicas} times as much per client, "
                "a silent change of policy"
            )
    return {
        **option,
        "assumptions": [*option["assumptions"], *said],
        "database_connections": opened.as_json() if opened else None,
    }


def far(option: dict[str, Any], run: RunDocuments, highest_rps: float) -> dict[str, Any]:
    """Each replica stays within what was measured; what all of them share does not. Hence no refusal as for one machine,
    but beyond `SEEN` it is said, and beyond `FARTHEST` the number is conditional."""
    times = option["demand_rps"] / highest_rps
    option = {**option, "extrapolated": times, "conditional": option["conditional"] or times > FARTHEST}
    if times <= SEEN:
        return option
    said = (
        f"{figure(times)} times the highest rate measured: what all replicas share (balancer, database, upstream, network) was "
        "not seen at that; name more replicas in base_url, then: "
        f"plimsoll run {run.contract_path} --shape breakpoint --rate {figure(option['demand_rps'])}"
    )
    return {**option, "assumptions": [*option["assumptions"], said]}
