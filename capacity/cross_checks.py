"""Simple laws beside the answer: where they are far off, the answer deserves a second look."""

from __future__ import annotations

from typing import Any

from capacity import demand, usl
from capacity.demand import ServiceDemand
from capacity.model import Model
from capacity.queueing import allen_cunneen_wait_s, kingman_wait_s, mm_c_mean_s
from measurements.interval import Interval


def of(model: Model) -> dict[str, Any]:
    """The scalability law over requests in flight; Kingman's wait for a service that fills its core; the wait before each
    queue's slots."""
    return {"scalability": _scalability(model), "waiting": _waiting(model), "queues": _queues(model)}


def _queues(model: Model) -> list[dict[str, Any]]:
    """Mean wait before each queue of the contract, measured, by M/M/c and by Allen and Cunneen with the measured variation
    of service times: stages without losses, slots busy for less than 95 %, all replicas sharing the load evenly."""
    rows = []
    for queue in model.queues:
        service_s, copies = float(queue.service_s.mean()), model.run.replicas
        varies = float(queue.service_s.std()) / service_s
        for stage in demand.usable(model.stages):
            mean_ms = ((stage.endpoints.get(queue.endpoint) or {}).get("response_ms") or {}).get("mean")
            rate = stage.rate_rps * queue.share / copies
            if mean_ms is None or stage.error_rate > 0.01 or rate * service_s >= 0.95 * queue.setting.max_concurrent:
                continue
            slots = queue.setting.max_concurrent
            rows.append(
                {
                    "queue": queue.name,
                    "stage": stage.name,
                    "measured_ms": max(0.0, mean_ms - 1000 * service_s),
                    "mm_c_ms": 1000 * (mm_c_mean_s(rate, service_s, slots) - service_s),
                    "allen_cunneen_ms": 1000 * allen_cunneen_wait_s(rate, service_s, slots, 1.0, varies),
                }
            )
    return rows


def _scalability(model: Model) -> dict[str, Any] | None:
    points = [
        (s.in_flight_mean, s.completed_rps)
        for s in model.stages
        if (s.in_flight_mean or 0) >= 1 and s.completed_rps > 0
    ]
    found = usl.fit([float(level or 0) for level, _ in points], [rate for _, rate in points])
    if not isinstance(found, usl.Scalability):
        return None
    at_edge = found.throughput(found.highest_level)
    return {
        "law": "X(N) = λN / (1 + σ(N−1) + κN(N−1)), N: requests in flight",
        "one_rps": found.one_rps.as_json(),
        "contention": found.contention.as_json(),
        "coherency": found.coherency.as_json(),
        "best_in_flight": found.best_level,
        "highest_in_flight": found.highest_level,
        "at_highest_rps": at_edge.as_json() if isinstance(at_edge, Interval) else None,
    }


def _waiting(model: Model) -> list[dict[str, Any]]:
    """Mean time above the calm stage's, against Kingman's with exponential work: Poisson arrivals, one server, S = the
    busiest process's CPU-seconds per arrival."""
    cost, calm_ms = model.facts.busiest_demand, model.facts.calm.response_mean_ms
    if model.bottleneck.kind != "cpu_one_core" or not isinstance(cost, ServiceDemand) or calm_ms is None:
        return []
    service_s = cost.per_arrival_s.mid
    rows = []
    for stage in demand.usable(model.stages):
        if stage.response_mean_ms is None or stage.rate_rps * service_s >= 0.95:
            continue
        calm_wait = kingman_wait_s(model.facts.calm.rate_rps, service_s, 1.0, 1.0)
        rows.append(
            {
                "stage": stage.name,
                "measured_ms": stage.response_mean_ms - calm_ms,
                "kingman_ms": 1000 * (kingman_wait_s(stage.rate_rps, service_s, 1.0, 1.0) - calm_wait),
            }
        )
    return rows
