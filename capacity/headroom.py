"""What a replica uses at rest beyond the share that the headroom policy leaves it: said, for more replicas do not help."""

from __future__ import annotations

from math import ceil

from capacity.documents import RunDocuments
from capacity.figures import figure
from capacity.policy import AtRest, Replica, at_rest
from measurements.interval import Refusal


def unkept(replica: Replica) -> list[AtRest]:
    """Rules that no number of such replicas keeps."""
    return [one for one in at_rest(replica) if one.no_number_helps]


def refusal(run: RunDocuments, replica: Replica, one: AtRest) -> Refusal:
    """Instead of a number of replicas."""
    larger = (
        f"cpu = {figure(_enough(replica, one))}"
        if one.unit == "core(s)"
        else f"memory_mib = {ceil(_enough(replica, one))}"
    )
    return Refusal(
        "scale_out",
        said(one),
        f"set {larger} or more under [resources], then measure again: "
        f"plimsoll run {run.contract_path} --shape breakpoint --rate {figure(replica.at_least_rps * replica.measured * 2)}",
    )


def said(one: AtRest) -> str:
    return f"no number of replicas keeps {one.what} at most {one.share:.0%} used, a bigger one is needed: {one}"


def doubts(run: RunDocuments, replica: Replica) -> list[str]:
    """Where the upper end of what is used at rest would leave no room, and the number stands on its middle."""
    return [
        f"{one.what} may never keep to {one.share:.0%} ({one}): the number stands on the middle of that; to narrow it: "
        f"plimsoll run {run.contract_path} --shape breakpoint --duration 600"
        for one in at_rest(replica)
        if one.may_be_beyond
    ]


def _enough(replica: Replica, one: AtRest) -> float:
    """Of the same unit as the limit: so much that one replica at its own rate within the SLO keeps the share."""
    rate_rps = replica.rate_rps.low if replica.rate_rps else replica.at_least_rps
    if one.unit == "core(s)":
        per_rps = replica.demand.per_arrival_s.high if replica.demand else 0.0
    else:
        slope = replica.memory.per_in_flight_mib if replica.memory else None
        per_rps = max(0.0, slope.high) * (replica.in_flight_per_rps or 0.0) if slope else 0.0
    return (one.used.high + per_rps * rate_rps) / one.share
