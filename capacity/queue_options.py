"""The queues of the contract, with the service times measured behind them and what their clients do; advice on slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from capacity import engine, queue_settings, service_times
from capacity.demand import ServiceDemand
from capacity.documents import Json, RunDocuments, Stage
from capacity.engine import EngineModel
from capacity.queue_settings import QueueSetting
from capacity.queueing import allen_cunneen_wait_s, erlang_c
from capacity.replica_search import Goal
from capacity.simulation import Discipline

# answers in calm stages tell as much as so many independent ones (means of planted queues scattered 1.6 times as much): they
# meet each other, and their stages are chosen for being calm
INDEPENDENT = 0.4
FIRST_PAUSE_S, PAUSES_GROW = 0.1, 2.0  # of clients that try again (`loadtests.lane`)


@dataclass(frozen=True)
class QueueModel:
    """A queue of the contract with the service times (n,) in s that were measured behind it.

    `counted`: the independent answers that their mean rests on. `share`: this endpoint's requests per arrival. `cpu_s`:
    CPU-seconds of one of its requests, None where no CPU was seen. `engine`: where the target is an LLM engine, whose places
    share every step. `retries` and `patience_s`: of the endpoint's clients, who leave
    after their own timeout.
    """

    name: str
    endpoint: str
    setting: QueueSetting
    service_s: np.ndarray
    share: float
    cpu_s: float | None
    goal: Goal
    counted: float
    engine: EngineModel | None = None
    retries: int = 0
    patience_s: float = inf
    carried: dict[Any, float] = field(default_factory=dict, repr=False, compare=False)  # what was simulated before

    @property
    def discipline(self) -> Discipline:
        """A job whose time is up while it waits is never run; one that runs keeps its slot until it is done. Clients repeat
        as `plimsoll run` does where no Retry-After says otherwise; what the queue's timeout ends is no 429 or 503."""
        return Discipline(
            self.setting.max_concurrent, self.setting.max_queue_size, self.setting.timeout_s, retries=self.retries,
            retry_after_s=FIRST_PAUSE_S, retry_growth=PAUSES_GROW, retries_timeouts=False, patience_s=self.patience_s,
        )  # fmt: skip

    @property
    def unsure(self) -> float:
        """Standard error of the mean service time, as a share of it."""
        return float(self.service_s.std() / self.service_s.mean()) / self.counted**0.5

    @property
    def assumptions(self) -> list[str]:
        """What no run and no contract tells of this queue and its clients, and is taken to be so."""
        found = [
            f"queue {self.name}: work that has begun goes on when its client leaves; what waits longer than the timeout is "
            "never begun"
        ]
        if self.retries:
            found.append(
                f"clients of {self.endpoint} repeat a refusal up to {self.retries} times, after {FIRST_PAUSE_S:g} s and then "
                "twice as long each time (a Retry-After of the service would be kept instead), but no timeout of the queue"
            )
        return found


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
                goal, _answers(stages, endpoint), engine.of(run, stages, endpoint, setting), *_clients(run, endpoint),
            )
        )  # fmt: skip
    return found


def _clients(run: RunDocuments, endpoint: str) -> tuple[int, float]:
    """(retries, patience in s) that the contract gives an endpoint; a locustfile's users do not try again by themselves."""
    stated: Json = next((one for one in run.contract.get("endpoint") or [] if one.get("name") == endpoint), {})
    retries = 0 if run.section("target").get("locustfile") else int(stated.get("retries") or 0)
    return retries, float(stated.get("timeout_s") or inf)


def without_waiting(service_s: np.ndarray, setting: QueueSetting, rate_rps: float) -> np.ndarray:
    """Times (n,) that were measured at the service's door at `rate_rps` a replica, less what even a calm stage waits.

    Their mean is such that Allen and Cunneen's wait before the slots gives the mean that was seen; their variance is what was
    seen less that of the wait, which of those who wait is taken to be exponential. Waiting adds more to the mean than to
    the spread: times that are only made shorter would have too few long ones among them.
    """
    times_s = np.asarray(service_s)
    seen_s, spread_s, slots = float(times_s.mean()), float(times_s.std()), setting.max_concurrent
    varies = min(1.0, spread_s / seen_s) if seen_s else 0.0
    low, high = 0.2, 1.0
    for _ in range(40):
        share = (low + high) / 2
        wait_s = allen_cunneen_wait_s(rate_rps, share * seen_s, slots, 1.0, varies)
        low, high = (share, high) if share * seen_s + wait_s < seen_s else (low, share)
    mean_s, waits = low * seen_s, erlang_c(slots, rate_rps * low * seen_s)
    wait_var = (seen_s - mean_s) ** 2 * (2 / waits - 1) if waits else 0.0
    narrower = max(0.0, 1 - wait_var / spread_s**2) ** 0.5 if spread_s else 1.0
    moved = np.maximum(mean_s + (times_s - seen_s) * narrower, 0.0)
    return moved * (mean_s / float(moved.mean()))


def _answers(stages: Sequence[Stage], endpoint: str) -> float:
    """Of an endpoint in the calm stages, which its service times are from: as many independent ones as tell as much."""
    return INDEPENDENT * float(
        sum((stage.endpoints.get(endpoint) or {}).get("ok") or 0 for stage in service_times.calm(stages))
    )


def _calm_rate_rps(stages: Sequence[Stage]) -> float:
    """Of the calm stages, weighted by requests, as their times are."""
    calm = service_times.calm(stages)
    return sum(s.rate_rps * s.count for s in calm) / sum(s.count for s in calm) if calm else 0.0


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


def timeouts_s(run: RunDocuments, stages: Sequence[Stage]) -> dict[str, float]:
    """endpoint → the timeout of the queue before it."""
    names = sorted({name for stage in stages for name in stage.endpoints})
    queues = (run.section("limits").get("queue") or {}).items()
    return {
        endpoint: QueueSetting.of(section).timeout_s
        for queue, section in queues
        if (endpoint := endpoint_of(queue, names)) is not None
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
