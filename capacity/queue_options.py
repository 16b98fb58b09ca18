"""Options where a bounded queue binds: replicas by simulation, slots by what CPU carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np

from capacity import engine, queue_settings, service_times
from capacity.demand import ServiceDemand
from capacity.documents import RunDocuments, Stage, between
from capacity.engine import EngineModel
from capacity.figures import figure
from capacity.queue_settings import QueueSetting
from capacity.queueing import allen_cunneen_wait_s
from capacity.replica_search import Goal, holds, interval, replicas_for
from capacity.simulation import Discipline, Routing


@dataclass(frozen=True)
class QueueModel:
    """A queue of the contract with the service times (n,) in s that were measured behind it.

    `share`: this endpoint's requests per arrival. `cpu_s`: CPU-seconds of one of its requests,
    None where no CPU was seen. `engine`: where the target
    is an LLM engine, whose places share every step.
    """

    name: str
    endpoint: str
    setting: QueueSetting
    service_s: np.ndarray
    share: float
    cpu_s: float | None
    goal: Goal
    engine: EngineModel | None = None
    carried: dict[Any, float] = field(default_factory=dict, repr=False, compare=False)  # what was simulated before

    @property
    def discipline(self) -> Discipline:
        """A job whose time is up while it waits is never run; one that runs keeps its slot until it is done."""
        return Discipline(self.setting.max_concurrent, self.setting.max_queue_size, self.setting.timeout_s)


def models(
    run: RunDocuments, stages: Sequence[Stage], cost: ServiceDemand | None, rows: Mapping[str, Any] | None
) -> list[QueueModel]:
    """One per queue of the contract whose endpoint was measured."""
    found = []
    limits = run.slo_limits()
    names = sorted({name for stage in stages for name in stage.endpoints})
    for queue, section in (run.section("limits").get("queue") or {}).items():
        endpoint = endpoint_of(queue, names)
        times = service_times.of(stages, endpoint, rows) if endpoint else None
        if endpoint is None or times is None:
            continue
        counts = [(stage.endpoints.get(endpoint) or {}).get("count") or 0 for stage in stages]
        arrivals = sum(stage.rate_rps * stage.duration_s for stage in stages)
        share = sum(counts) / arrivals
        setting = QueueSetting.of(section)
        times = without_waiting(times, setting, _calm_rate_rps(stages) * share / run.replicas)
        cpu_s = _cpu_s(stages, cost, endpoint)
        slo = {**limits.get("all", {}), **limits.get(endpoint, {})}
        within = slo.get("p95_ms")
        goal = Goal(slo.get("error_rate", 0.01), 0.95, within / 1000 if within else None)
        found.append(
            QueueModel(
                queue, endpoint, setting, times, share, min(cpu_s, float(times.mean())) if cpu_s is not None else None,
                goal, engine.of(run, stages, endpoint, setting),
            )
        )  # fmt: skip
    return found


def without_waiting(service_s: np.ndarray, setting: QueueSetting, rate_rps: float) -> np.ndarray:
    """Times (n,) that were measured at the service's door at `rate_rps` a replica, less what even a calm stage waits:
    scaled so that their mean and Allen and Cunneen's wait before the slots give the mean that was seen."""
    mean_s = float(service_s.mean())
    varies = min(1.0, float(service_s.std()) / mean_s) if mean_s else 0.0
    low, high = 0.2, 1.0
    for _ in range(40):
        share = (low + high) / 2
        wait_s = allen_cunneen_wait_s(rate_rps, share * mean_s, setting.max_concurrent, 1.0, varies)
        low, high = (share, high) if share * mean_s + wait_s < mean_s else (low, share)
    return np.asarray(service_s) * low


def _calm_rate_rps(stages: Sequence[Stage]) -> float:
    calm = service_times.calm(stages)
    return sum(stage.rate_rps for stage in calm) / len(calm) if calm else 0.0


def _cpu_s(stages: Sequence[Stage], cost: ServiceDemand | None, endpoint: str) -> float | None:
    """CPU-seconds of a request: as fitted, else the least that any stage used per request, which is at most too much."""
    own = (cost.per_endpoint_s if cost else {}).get(endpoint)
    if own or cost:
        return own.mid if own else cost.per_arrival_s.mid if cost else None
    used = [
        cores / stage.completed_rps
        for stage in stages
        if (cores := stage.cores("target")) is not None and stage.completed_rps
    ]
    return min(used, default=None)


def endpoint_of(queue: str, endpoints: Sequence[str]) -> str | None:
    """The endpoint that a queue stands before: the same name, else the only one whose name is part of it."""
    if queue in endpoints:
        return queue
    close = [name for name in endpoints if name in queue or queue in name]
    if len(close) == 1:
        return close[0]
    return endpoints[0] if len(endpoints) == 1 else None


def replicas(model: QueueModel, demand_rps: float, seed: int = 1) -> dict[str, Any] | None:
    """Replicas at a demand (arrivals of the whole mix per second), by routing; None where not even many are enough."""
    rate = demand_rps * model.share
    by_routing = {
        routing: replicas_for(replace(model.discipline, routing=routing), model.service_s, rate, model.goal, seed)
        for routing in get_args(Routing)
    }
    best = replace(model.discipline, routing="least_outstanding")
    span = interval(best, model.service_s, rate, model.goal, seed)
    if span is None or any(count is None for count in by_routing.values()):
        return None
    count = int(span.high) + 1
    while not holds(replace(best, replicas=count - 1), model.service_s, rate, model.goal, seed):
        count += 1
    mean_s = float(model.service_s.mean())
    return {
        "needed": between(span.low + 1, span.mid + 1, max(span.high + 1, count)),
        "recommended": count,
        "by_routing": by_routing,
        "by_rate_alone": int(np.ceil(rate * mean_s / model.setting.max_concurrent)),
        "assumptions": [
            f"queue {model.name}: {model.setting.max_concurrent} slots, {model.setting.max_queue_size} waiting, "
            f"{model.setting.timeout_s:g} s, service times as measured (mean {figure(mean_s)} s), Poisson arrivals, simulated",
            "the balancer sends to the replica with the fewest requests; at random it takes "
            f"{by_routing['random']} without a spare, by turns {by_routing['round_robin']}",
        ],
    }


def settings(found: Sequence[QueueModel], cores: float | None) -> list[dict[str, Any]]:
    """Advice on every queue of the contract whose requests' CPU time is known: slots are worth what CPU there is."""
    return [
        queue_settings.advise(
            model.name, model.setting, model.service_s, model.cpu_s, cores or 1.0, model.goal.within_s
        )
        for model in found
        if model.cpu_s is not None
    ]
