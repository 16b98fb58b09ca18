"""How many replicas a bounded queue takes at a demand: those that carry it for good, on the line that predictions scale, and a
spare."""

from __future__ import annotations

from functools import partial
from math import ceil
from typing import Any, get_args

from capacity import cpu_ends, queue_rate
from capacity.documents import between
from capacity.figures import figure
from capacity.model import Model
from capacity.queue_options import QueueModel
from capacity.queue_rate import AS_MEASURED, NO_SUCH_ENGINE, SLOWS, STRANGE
from capacity.replica_search import fewest
from capacity.simulation import Routing
from measurements.interval import Refusal

Variant = tuple[float, int]  # share of the growth of service times, seed


def needed(model: Model, queue: QueueModel, demand_rps: float) -> dict[str, Any] | Refusal:
    """Replicas at a demand (arrivals of the whole mix per second), by routing.

    The line (`queue_rate.line`), times what n replicas carry in a simulation without an end over what those measured do in
    stages like the line's, reaches the demand: at the survivors of a loss, so that there is one more.
    """
    search = f"plimsoll search {model.run.contract_path} --max-rate {figure(model.highest_rps * 3)}"
    if any(one.engine and one.engine.costs.off > STRANGE for one in model.queues):
        return Refusal("scale_out", f"queue {queue.name} was not simulated: {NO_SUCH_ENGINE}", search)
    now = queue_rate.as_measured(model)
    if not all(now.values()):
        said = f"queue {queue.name}: in the simulation it meets its SLO at no rate, which it did here"
        return Refusal("scale_out", said, search)
    mid = list(now)[:1]
    line, every = model.capacity_rps and queue_rate.line(model, model.capacity_rps), list(now)
    low_rps, mid_rps, high_rps = (line.low, line.mid, line.high) if line else (None, None, None)

    def reaches(replicas: int, routing: Routing, line_rps: float | None, variants: list[Variant], of: int) -> bool:
        """At least so many of the variants hold."""
        held = 0
        for left, (share, seed) in zip(range(len(variants), 0, -1), variants, strict=True):
            if held >= of or held + left < of:
                break
            scale = now[share, seed] / line_rps if line_rps else 1.0
            held += queue_rate.holds(model, queue, replicas, routing, seed, share)(demand_rps * scale)
        return held >= of

    guess = ceil(model.run.replicas * demand_rps / (mid_rps or min(now.values())))
    routings: tuple[Routing, ...] = (AS_MEASURED,) if queue.engine else get_args(Routing)
    best: Routing = AS_MEASURED if queue.engine else "least_outstanding"
    middle = fewest(partial(reaches, routing=best, line_rps=mid_rps, variants=mid, of=1), guess)
    by_routing = {
        routing: fewest(partial(reaches, routing=routing, line_rps=mid_rps, variants=mid, of=1), middle or guess)
        if routing != best
        else middle
        for routing in routings
    }
    low = fewest(partial(reaches, routing=best, line_rps=high_rps, variants=every, of=1), middle or guess)
    high = fewest(partial(reaches, routing=best, line_rps=low_rps, variants=every, of=len(every)), middle or guess)
    if low is None or middle is None or high is None or None in by_routing.values():
        said = f"queue {queue.name}: in the simulation no number of replicas meets the SLO at {figure(demand_rps)} rps"
        return Refusal("scale_out", said, search)
    mean_s = float(queue.service_s.mean())
    return {
        "needed": between(low + 1.0, middle + 1.0, high + 1.0),
        "recommended": high + 1,
        "by_routing": by_routing,
        "by_rate_alone": ceil(demand_rps * queue.share * mean_s / queue.setting.max_concurrent),
        "assumptions": [
            f"queue {queue.name}: {queue.setting.max_concurrent} slots, {queue.setting.max_queue_size} waiting, "
            f"{queue.setting.timeout_s:g} s, service times as measured (mean {figure(mean_s)} s), Poisson arrivals, simulated",
            "the replicas take turns, as those measured did"
            if queue.engine
            else "the balancer sends to the replica with the fewest requests; at random it takes "
            f"{by_routing['random']} without a spare, by turns {by_routing['round_robin']}",
            *([SLOWS] if len(queue_rate.variants(model)) > 1 and not queue.engine else []),
            *queue.assumptions,
            *[end.why for end in cpu_ends.of(model, middle) if end.full_now and end.rps.mid < demand_rps],
        ],
    }
