"""What a changed deployment will carry: the measured line times what the model says that the change is worth.

The model gives a ratio, so that what it gets wrong about this service in the same way before and after cancels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from capacity import cpu_ends, crowds, queue_rate
from capacity.documents import between
from capacity.figures import figure
from capacity.ledger import scaled, scaling_of
from capacity.model import Model
from capacity.options import CONTENTION, SHARED
from capacity.queue_rate import AS_MEASURED, NO_SUCH_ENGINE, STRANGE
from capacity.queue_settings import QueueSetting
from capacity.simulation import Routing
from measurements.interval import Interval, Refusal

EXTRAPOLATION = 1.5
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
    fell_over = crowds.refused(model)
    if change.is_nothing:
        beside = [fell_over.reason] if fell_over else []
        return _made(model, change, line, "line", ["the same deployment, measured again", *beside])
    if fell_over:
        return fell_over
    copies = (change.replicas or model.run.replicas) / model.run.replicas
    widths = (change.workers or model.run.workers) / model.run.workers
    if change.queues or (kind == "concurrency_limit" and model.queues and widths == 1):
        return _simulated(model, change, line)
    if kind in SHARED:
        return crowded(model, change, line) or _made(
            model, change, line, kind, [f"what binds is shared ({kind}): more of the service gains 0"]
        )
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
    if copies > 1 and predicted.mid > EXTRAPOLATION * model.highest_rps:
        predicted = replace(predicted, low=predicted.low / (1 + CONTENTION * (copies - 1)))
        said.append(
            f"{figure(predicted.mid / model.highest_rps)} times the highest rate measured: what all replicas share was not "
            f"seen at that, so the lower end lets them slow each other by {CONTENTION:.0%} each (assumed, not measured)"
        )
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
    for share, seeds in queue_rate.variants(model):
        before, after = [], []
        for queue in model.queues:
            changed = change.queues.get(queue.name, queue.setting)
            before.append(
                queue_rate.carried(model, queue, queue.setting, model.run.replicas, AS_MEASURED, seeds, share)
            )
            after.append(queue_rate.carried(model, queue, changed, replicas, change.routing, seeds, share))
        now, then = np.min(before, axis=0), np.min(after, axis=0)
        if not np.all(now > 0):
            return Refusal(
                "prediction", "in the simulation the queue meets its SLO at no rate, which it did here", _search(model)
            )
        gains += (then / now).tolist()
    low, mid, high = min(gains), gains[0], max(gains)
    line, read = queue_rate.line(model, line), line
    unseen = model.run.section("upstream") and _at_once(model, change) > EXTRAPOLATION
    low = min(low, 1.0) if unseen else low
    predicted = between(line.low * low, line.mid * mid, line.high * high)
    said = [
        "Poisson arrivals; the ratio of two simulations on measured service times scales the line, both in stages of "
        f"{figure(model.window_s)} s, as the line was read from (for hours a queue carries less)",
        f"the simulation says {figure(mid)} times ({figure(low)} to {figure(high)})",
        f"the line is {figure(line.mid)} rps, as simulated and as read ({figure(read.mid)}), weighted by how well each is known"
        if line is not read
        else "the line is as it was read alone: what is simulated here is too far from it, and only the ratio is used",
    ]
    if any(queue.engine for queue in model.queues):
        said += [
            "continuous batching: every stream shares each step; half of the gaps, first tokens and throughputs seen are "
            f"within {queue.engine.costs.off:.0%} of the engine that was fitted to them"
            for queue in model.queues
            if queue.engine
        ]
    elif len(queue_rate.variants(model)) > 1:
        said.append(queue_rate.SLOWS)
    said += [sentence for queue in model.queues for sentence in queue.assumptions]
    if model.run.section("upstream"):
        said.append("the upstream gives what it gave here to more at once; its own end was not seen")
    if unseen:
        said.append(
            f"{figure(_at_once(model, change))} times as many at once as were seen at the upstream: the lower end is that it "
            "gives no more than it gave"
        )
    if refused := crowded(model, change, predicted):
        return refused
    for end in cpu_ends.of(model, replicas):
        if end.rps.mid < predicted.mid:
            predicted = end.of(predicted, line)
            said.append(end.why)
    return _made(model, change, predicted, "queue_simulation", said)


def crowded(model: Model, change: Variation, predicted: Interval) -> Refusal | None:
    """Why nothing is predicted where a larger crowd than any that was seen may fill a dependency's core: if an answer cost it
    as many times more as there are more at once."""
    widths = (change.workers or model.run.workers) / model.run.workers
    times = _at_once(model, change) * (widths if model.queues else 1.0)  # each worker may have slots of its own
    for end in cpu_ends.of(model, change.replicas or model.run.replicas) if times > 1 else ():
        if end.crowded and end.rps.low / times < predicted.mid:
            slots = max(queue.setting.max_concurrent for queue in model.queues)
            return Refusal(
                "prediction",
                f"up to {figure(times)} times as many at once would share the upstream's one core: what an answer costs it in "
                "such a crowd was not seen, and larger batches may cost each one more",
                f"plimsoll run {model.run.contract_path} --start --shape breakpoint, with max_concurrent = "
                f"{round(slots * times)} in [limits.queue] of one replica",
            )
    return None


def _at_once(model: Model, change: Variation) -> float:
    """How many times as many slots there would be before the upstream, the largest of all queues."""
    copies = (change.replicas or model.run.replicas) / model.run.replicas
    return max(
        (copies * change.queues.get(q.name, q.setting).max_concurrent / q.setting.max_concurrent for q in model.queues),
        default=1.0,
    )


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
