"""What a changed deployment will carry: the measured line times what the model says that the change is worth.

The model gives a ratio, so that what it gets wrong about this service in the same way before and after cancels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import sqrt

import numpy as np

from capacity import engine, slowing
from capacity.documents import between
from capacity.figures import figure
from capacity.ledger import scaled, scaling_of
from capacity.model import Model
from capacity.options import CONTENTION, SHARED
from capacity.queue_options import QueueModel
from capacity.queue_settings import QueueSetting
from capacity.replica_search import highest_rate
from capacity.simulation import Routing
from measurements.interval import Interval, Refusal

SEEDS = (1, 2, 3)
# how service times grow with what runs at once: as fitted, half and one and a half times that; of an engine as fitted, and
# the two ends of what is not seen from outside
SLOWING = (1.0, 0.5, 1.5)
EXTRAPOLATION = 1.5
STRANGE = 0.2  # half of what streams showed is further off than this from the best engine that shares its steps
NO_SUCH_ENGINE = (
    "no engine whose streams share every step shows what these streams showed (half of the figures are more than "
    f"{STRANGE:.0%} off)"
)
# share of a dependency's CPU that its busiest process takes; cores that are one core's
ONE_PROCESS, FULL_CORE = 0.9, 1.1
MULTIPLIED = ("cpu_one_core", "cpu_host", "memory", "concurrency_limit", "connection_pool")


@dataclass(frozen=True)
class Variation:
    """What is changed against the measured deployment; None: nothing. `queues`: name → new settings."""

    replicas: int | None = None
    workers: int | None = None
    queues: Mapping[str, QueueSetting] = field(default_factory=dict)
    routing: Routing = "round_robin"

    @property
    def is_nothing(self) -> bool:
        return not (self.replicas or self.workers or self.queues)

    def __str__(self) -> str:
        parts = [f"{self.replicas} replicas"] if self.replicas else []
        parts += [f"{self.workers} workers"] if self.workers else []
        for name, q in self.queues.items():
            parts.append(f"queue {name} {q.max_concurrent}, {q.max_queue_size}, {q.timeout_s:g} s")
        return ", ".join(parts) or "as measured"


@dataclass(frozen=True)
class Prediction:
    """`capacity_rps` of the changed deployment as a whole. `model`: which one said so, for the ledger; `scaling`: what that
    model's record multiplied its half-widths by."""

    what: str
    capacity_rps: Interval
    model: str
    extrapolation: float
    assumptions: list[str]
    scaling: float | None = None


def predict(model: Model, change: Variation) -> Prediction | Refusal:
    """By what binds: shared limits keep the line, a replica's own multiply it, queues are simulated before and after."""
    kind, line = model.bottleneck.kind, model.unscaled_rps
    if line is None:
        return Refusal("prediction", "the line itself is not known", _search(model))
    if change.is_nothing:
        return _made(model, change, line, "line", ["the same deployment, measured again"])
    copies = (change.replicas or model.run.replicas) / model.run.replicas
    widths = (change.workers or model.run.workers) / model.run.workers
    if change.queues or (kind == "concurrency_limit" and model.queues and widths == 1):
        return _simulated(model, change, line)
    if kind in SHARED:
        return _made(model, change, line, kind, [f"what binds is shared ({kind}): more of the service gains 0"])
    if kind in MULTIPLIED and (widths == 1 or kind.startswith("cpu")):
        return _multiplied(model, change, line, copies, widths)
    if kind == "unidentified":
        return Refusal(
            "prediction",
            "what binds is not identified, so nobody knows what more of the service would change",
            f"plimsoll profile {model.run.contract_path} --rate {figure(model.highest_rps)} --cpu",
        )
    return Refusal(
        "prediction",
        f"whether each worker has a {kind.replace('_', ' ')} of its own was not shown",
        f"plimsoll run {model.run.contract_path} --start --service-workers {change.workers} --shape breakpoint",
    )


def _multiplied(model: Model, change: Variation, line: Interval, copies: float, widths: float) -> Prediction:
    predicted = line.scaled(copies)
    said = ["each replica has cores of its own and an equal share of the load"]
    if widths != 1:
        worst = 1 / (1 + CONTENTION * (widths - 1)) if widths > 1 else 1.0
        predicted = between(
            predicted.low * widths * worst, predicted.mid * widths * (1 + worst) / 2, predicted.high * widths
        )
        said.append(f"workers slow each other by 0 to {CONTENTION:.0%} each")
    return _made(model, change, predicted, model.bottleneck.kind, said)


def _simulated(model: Model, change: Variation, line: Interval) -> Prediction | Refusal:
    """The queue that binds now, simulated as it is and as it would be; CPU caps what slots can gain."""
    unknown = [name for name in change.queues if name not in {queue.name for queue in model.queues}]
    if unknown:
        known = ", ".join(queue.name for queue in model.queues) or "none"
        return Refusal("prediction", f"queue {unknown[0]} was not measured (known: {known})", _search(model))
    if any(queue.engine and queue.engine.costs.off > STRANGE for queue in model.queues):
        return Refusal("prediction", NO_SUCH_ENGINE, _search(model))
    replicas = change.replicas or model.run.replicas
    gains: list[float] = []
    slows = any(queue.engine or slowing.of(model, queue).per_running_s for queue in model.queues)
    for share in SLOWING if slows else SLOWING[:1]:
        seeds = SEEDS if share == 1 else SEEDS[:1]
        before, after = [], []
        for queue in model.queues:
            changed = change.queues.get(queue.name, queue.setting)
            before.append(_carried(model, queue, queue.setting, model.run.replicas, change.routing, seeds, share))
            after.append(_carried(model, queue, changed, replicas, change.routing, seeds, share))
        now, then = np.min(before, axis=0), np.min(after, axis=0)
        if not np.all(now > 0):
            return Refusal(
                "prediction", "in the simulation the queue meets its SLO at no rate, which it did here", _search(model)
            )
        gains += (then / now).tolist()
    low, mid, high = min(gains), float(np.median(gains[: len(SEEDS)])), max(gains)
    unseen = model.run.section("upstream") and _at_once(model, change) > EXTRAPOLATION
    low = min(low, 1.0) if unseen else low
    predicted = between(line.low * low, line.mid * mid, line.high * high)
    said = [
        "Poisson arrivals; the ratio of two simulations on measured service times scales the line",
        f"the simulation says {figure(mid)} times ({figure(low)} to {figure(high)})",
    ]
    if any(queue.engine for queue in model.queues):
        said += [
            "continuous batching: every stream shares each step; half of the gaps, first tokens and throughputs seen are "
            f"within {queue.engine.costs.off:.0%} of the engine that was fitted to them"
            for queue in model.queues
            if queue.engine
        ]
    elif slows:
        said.append("service times grow with what runs at once, as they did between calm and plateau")
    if model.run.section("upstream"):
        said.append("the upstream gives what it gave here to more at once; its own end was not seen")
    if unseen:
        said.append(
            f"{figure(_at_once(model, change))} times as many at once as were seen at the upstream: the lower end is that it "
            "gives no more than it gave"
        )
    for end in _ends(model, replicas):
        if end.rps.mid < predicted.mid:
            predicted = end.of(predicted, line)
            said.append(end.why)
    return _made(model, change, predicted, "queue_simulation", said)


@dataclass(frozen=True)
class _End:
    """A rate at which CPU ends what slots gain. `full_now`: it stays as it is, so the line itself was met near its end."""

    rps: Interval
    why: str
    full_now: bool = False

    def of(self, predicted: Interval, line: Interval) -> Interval:
        """No more than the end; where the core is as full as it was at the line, between no gain at all and its end: the
        law knows throughput, not response times, so the SLO breaks before it."""
        low, high = min(predicted.low, self.rps.low), min(predicted.high, self.rps.high)
        if not self.full_now or line.mid >= self.rps.mid:
            return between(low, self.rps.mid, high)
        return between(min(low, line.low), sqrt(line.mid * self.rps.mid), high)


def _ends(model: Model, replicas: int) -> list[_End]:
    """By the utilisation law: of the service's own CPU, and of each dependency, of which there is no more than before and
    whose work is that of one process; with the service's, where they have one core together."""
    facts, found = model.facts, []
    cores = (facts.allotted_cores or 0.0) * replicas / model.run.replicas
    own = model.cost.rate_at(cores) if model.cost and cores else None
    if own is not None:
        found.append(
            _End(
                own, f"CPU ends it earlier: {figure(cores)} core(s) carry {figure(own.mid)} rps by the utilisation law"
            )
        )
    beside = model.cost.rate_at(1.0) if model.cost and (facts.placed_cores or 2.0) <= FULL_CORE else None
    for role, demand in facts.dependency_demand.items():
        busiest, whole = facts.dependency_busiest.get(role, 0.0), facts.dependency_cores.get(role, 0.0)
        limit = None if isinstance(demand, Refusal) else demand.rate_at(1.0)
        if limit is not None and busiest > ONE_PROCESS * whole and busiest <= FULL_CORE:
            rps = _together(limit, beside) if beside else limit
            core = "the core that it shares with the service here" if beside else "one core of its process"
            found.append(
                _End(rps, f"{role} stays as it is: {core} ends at {figure(rps.mid)} rps by the utilisation law", True)
            )
    return found


def _together(one: Interval, other: Interval) -> Interval:
    """The rate at which the demands of both fill one core."""
    ends = [1 / (1 / a + 1 / b) for a, b in ((one.low, other.low), (one.mid, other.mid), (one.high, other.high))]
    return between(*ends)


def _at_once(model: Model, change: Variation) -> float:
    """How many times as many slots there would be before the upstream, the largest of all queues."""
    copies = (change.replicas or model.run.replicas) / model.run.replicas
    return max(
        copies * change.queues.get(q.name, q.setting).max_concurrent / q.setting.max_concurrent for q in model.queues
    )


def _carried(
    model: Model, queue: QueueModel, setting: QueueSetting, replicas: int, routing: Routing, seeds: tuple[int, ...],
    share: float,
) -> list[float]:  # fmt: skip
    """Arrivals of the mix per second that a queue carries, a value per seed; service times resampled for each. `share`:
    how much of the fitted growth of service times with what runs at once is taken to be there."""
    found = []
    for seed in seeds:
        key = (setting, replicas, routing, seed, share)
        if key not in queue.carried:
            queue.carried[key] = _highest(model, queue, setting, replicas, routing, seed, share) / queue.share
        found.append(queue.carried[key])
    return found


def _highest(
    model: Model, queue: QueueModel, setting: QueueSetting, replicas: int, routing: Routing, seed: int, share: float
) -> float:
    if queue.engine is not None:
        variant = queue.engine.variants[SLOWING.index(share)]
        return engine.highest_rate(queue.engine, engine.with_slots(variant, setting), replicas, seed)
    slows = slowing.of(model, queue).scaled(share)
    discipline = replace(
        queue.discipline, slots=setting.max_concurrent, queue=setting.max_queue_size, timeout_s=setting.timeout_s,
        replicas=replicas, routing=routing,
    )  # fmt: skip
    drawn = np.random.default_rng(seed).choice(queue.service_s, len(queue.service_s))
    slower = partial(slows.at, slots=setting.max_concurrent, replicas=replicas)
    return highest_rate(discipline, drawn, queue.goal, seed, slower)


def _made(model: Model, change: Variation, predicted: Interval, name: str, said: list[str]) -> Prediction:
    what = "capacity as measured" if change.is_nothing else f"capacity with {change}"
    scaling = scaling_of(name, model.past)
    if scaling is not None:
        predicted = scaled(predicted, scaling.factor)
        said = [*said, f"half-widths times {figure(scaling.factor)}, by the record of {scaling.by}"]
    factor = scaling.factor if scaling else None
    return Prediction(what, predicted, name, predicted.mid / model.highest_rps, said, factor)


def _search(model: Model) -> str:
    return f"plimsoll search {model.run.contract_path} --max-rate {model.highest_rps * 3:.0f}"
