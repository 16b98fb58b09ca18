"""What a changed deployment will carry: the measured line times what the model says that the change is worth.

The model gives a ratio, so that what it gets wrong about this service in the same way before and after cancels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from capacity.documents import between
from capacity.model import Model
from capacity.options import CONTENTION, SHARED
from capacity.queue_options import QueueModel
from capacity.queue_settings import QueueSetting
from capacity.replica_search import highest_rate
from capacity.simulation import Routing
from measurements.interval import Interval, Refusal

SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Variation:
    """What is changed against the measured deployment; None: nothing. `queues`: name → new settings."""

    replicas: int | None = None
    workers: int | None = None
    queues: Mapping[str, QueueSetting] = field(default_factory=dict)
    routing: Routing = "round_robin"

    def __str__(self) -> str:
        parts = [f"{self.replicas} replicas"] if self.replicas else []
        parts += [f"{self.workers} workers"] if self.workers else []
        for name, q in self.queues.items():
            parts.append(f"queue {name} {q.max_concurrent}, {q.max_queue_size}, {q.timeout_s:g} s")
        return ", ".join(parts) or "as measured"


@dataclass(frozen=True)
class Prediction:
    """`capacity_rps` of the changed deployment as a whole. `model`: which one said so, for the ledger."""

    what: str
    capacity_rps: Interval
    model: str
    extrapolation: float
    assumptions: list[str]


def predict(model: Model, change: Variation) -> Prediction | Refusal:
    """By what binds: shared limits keep the line, a replica's own multiply it, queues are simulated before and after."""
    kind, line = model.bottleneck.kind, model.capacity_rps
    if line is None:
        return Refusal("prediction", "the line itself is not known", _search(model))
    copies = (change.replicas or model.run.replicas) / model.run.replicas
    widths = (change.workers or model.run.workers) / model.run.workers
    if change.queues or (kind == "concurrency_limit" and model.queues):
        return _simulated(model, change, line)
    if kind in SHARED or (kind == "unidentified" and copies * widths == 1):
        return _made(model, change, line, kind, [f"what binds is shared ({kind}): more of the service gains 0"])
    if kind in ("cpu_one_core", "cpu_host", "memory", "concurrency_limit", "connection_pool"):
        predicted = line.scaled(copies)
        said = ["each replica has cores of its own and an equal share of the load"]
        if widths != 1:
            worst = 1 / (1 + CONTENTION * (widths - 1)) if widths > 1 else 1.0
            predicted = between(
                predicted.low * widths * worst, predicted.mid * widths * (1 + worst) / 2, predicted.high * widths
            )
            said.append(f"workers slow each other by 0 to {CONTENTION:.0%} each")
        return _made(model, change, predicted, kind, said)
    return Refusal(
        "prediction",
        "what binds is not identified, so nobody knows what more of the service would change",
        f"plimsoll profile {model.run.contract_path} --rate {model.highest_rps:.0f} --cpu",
    )


def _simulated(model: Model, change: Variation, line: Interval) -> Prediction | Refusal:
    """The queue that binds now, simulated as it is and as it would be; CPU caps what slots can gain."""
    unknown = [name for name in change.queues if name not in {queue.name for queue in model.queues}]
    if unknown:
        known = ", ".join(queue.name for queue in model.queues) or "none"
        return Refusal("prediction", f"queue {unknown[0]} was not measured (known: {known})", _search(model))
    before = [_carried(queue, queue.setting, model.run.replicas, change.routing, SEEDS) for queue in model.queues]
    after = [
        _carried(
            queue,
            change.queues.get(queue.name, queue.setting),
            change.replicas or model.run.replicas,
            change.routing,
            SEEDS,
        )
        for queue in model.queues
    ]
    ratios = np.min(after, axis=0) / np.maximum(np.min(before, axis=0), 1e-9)
    low, mid, high = float(ratios.min()), float(np.median(ratios)), float(ratios.max())
    predicted = between(line.low * low, line.mid * mid, line.high * high)
    said = [
        "service times without waiting stay as measured; Poisson arrivals; the ratio of two simulations scales the line",
        f"the simulation says {mid:.3g} times ({low:.3g} to {high:.3g} over {len(SEEDS)} seeds)",
    ]
    cores = (model.facts.allotted_cores or 0.0) * (change.replicas or model.run.replicas) / model.run.replicas
    limit = model.cost.rate_at(cores) if model.cost and cores else None
    if limit is not None and limit.mid < predicted.mid:
        predicted = between(min(predicted.low, limit.low), limit.mid, min(predicted.high, limit.high))
        said.append(f"CPU ends it earlier: {cores:.3g} core(s) carry {limit.mid:.3g} rps by the utilisation law")
    return _made(model, change, predicted, "queue_simulation", said)


def _carried(
    queue: QueueModel, setting: QueueSetting, replicas: int, routing: Routing, seeds: tuple[int, ...]
) -> list[float]:
    """Arrivals of the mix per second that a queue carries, a value per seed; service times resampled for each."""
    discipline = replace(
        queue.discipline, slots=setting.max_concurrent, queue=setting.max_queue_size, timeout_s=setting.timeout_s,
        replicas=replicas, routing=routing,
    )  # fmt: skip
    found = []
    for seed in seeds:
        drawn = np.random.default_rng(seed).choice(queue.service_s, len(queue.service_s))
        found.append(highest_rate(discipline, drawn, queue.goal, seed) / queue.share)
    return found


def _made(model: Model, change: Variation, predicted: Interval, name: str, said: list[str]) -> Prediction:
    return Prediction(f"capacity with {change}", predicted, name, predicted.mid / model.highest_rps, said)


def _search(model: Model) -> str:
    return f"plimsoll search {model.run.contract_path} --max-rate {model.highest_rps * 3:.0f}"
