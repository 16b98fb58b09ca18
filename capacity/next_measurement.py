"""Which measurement would narrow the answer most per second of load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from capacity.documents import between
from capacity.figures import figure
from capacity.policy import Replica, size
from measurements.interval import Interval

SEARCH_S = 300.0
STEPS_S = 300.0
NARROW = 0.025  # half-width that a search is built for: a bracket of 5 %


def best(replica: Replica, demand_rps: float, contract: str, highest_rps: float) -> dict[str, Any] | None:
    """The candidate whose narrower input shortens the range of replicas most; None where nothing would."""
    sizing = size(replica, demand_rps)
    if replica.rate_rps is None or sizing.needed is None:
        return {
            "measurement": "the upper end of the capacity",
            "command": f"plimsoll search {contract} --max-rate {figure(highest_rps * 4)}",
            "load_seconds": SEARCH_S,
            "replicas_now": None,
            "replicas_after": None,
        }
    now = sizing.needed.high - sizing.needed.low
    candidates = [
        (
            "the highest rate within the SLO, to 5 %",
            f"plimsoll search {contract} --max-rate {figure(highest_rps * 1.5)} --budget {SEARCH_S:.0f}",
            SEARCH_S,
            replace(replica, rate_rps=_narrowed(replica.rate_rps, NARROW)),
        )
    ]
    if replica.demand is not None:
        cost = replace(replica.demand, per_arrival_s=_narrowed(replica.demand.per_arrival_s, NARROW))
        command = f"plimsoll run {contract} --shape breakpoint --rate {figure(replica.demand.highest_rps)} --duration {STEPS_S:.0f}"
        candidates.append(("the CPU time per request", command, STEPS_S, replace(replica, demand=cost)))
    found = []
    for what, command, seconds, narrower in candidates:
        after = size(narrower, demand_rps).needed
        if after is not None and now - (after.high - after.low) > 0:
            found.append(((now - (after.high - after.low)) / seconds, what, command, seconds, after))
    if not found:
        return None
    _, what, command, seconds, after = max(found, key=lambda one: one[0])
    return {
        "measurement": what,
        "command": command,
        "load_seconds": seconds,
        "replicas_now": sizing.needed.as_json(),
        "replicas_after": after.as_json(),
    }


def _narrowed(interval: Interval, share: float) -> Interval:
    half = min(interval.relative_half_width, share) * interval.mid
    return between(interval.mid - half, interval.mid, interval.mid + half, interval.confidence)
