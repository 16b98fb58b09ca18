"""What a queue carries at its goal, simulated with its discipline: other limits, or more replicas.

Predictions and plans ask here, so that they speak of the same queue: service times that grow with what runs at once
(`slowing`), an LLM engine whose streams share every step (`engine`), clients that try again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import exp, hypot, log
from statistics import NormalDist

import numpy as np

from capacity import engine, slowing
from capacity.documents import between
from capacity.edge import SPREAD
from capacity.model import Model
from capacity.queue_options import QueueModel
from capacity.queue_settings import QueueSetting
from capacity.replica_search import Goal, highest_rate, meets
from capacity.simulation import Discipline, Routing
from measurements.interval import Interval

# the first: service times as they were measured; the others: drawn anew, with another mean as far as it is known
SEEDS = (1, 2, 3)
AS_MEASURED: Routing = "round_robin"  # the client balanced over the replicas by turns
# how service times grow with what runs at once: as fitted, half and one and a half times that; of an engine as fitted, and
# the two ends of what is not seen from outside
SLOWING = (1.0, 0.5, 1.5)
SLOWS = "service times grow with what runs at once, as they did between calm and plateau"
SIMULATED = 0.05  # standard error of a simulated line: what the model leaves out of a service, beside few service times
CONTRADICT = 2.0  # standard errors
STRANGE = 0.2  # half of what streams showed is further off than this from the best engine that shares its steps
NO_SUCH_ENGINE = (
    "no engine whose streams share every step shows what these streams showed (half of the figures are more than "
    f"{STRANGE:.0%} off)"
)


def variants(model: Model) -> list[tuple[float, tuple[int, ...]]]:
    """(share, seeds): how much of the fitted growth of service times is taken to be there; as fitted, with more seeds. The first
    of all is what the model holds to be so, the others say how sure that is."""
    slows = any(queue.engine or slowing.of(model, queue).per_running_s for queue in model.queues)
    return [(share, SEEDS if share == 1 else SEEDS[:1]) for share in (SLOWING if slows else SLOWING[:1])]


def carried(
    model: Model, queue: QueueModel, setting: QueueSetting, replicas: int, routing: Routing, seeds: tuple[int, ...],
    share: float,
) -> list[float]:  # fmt: skip
    """Arrivals of the mix per second that a queue carries, a value per seed, as stages of the length show it from which the
    line was read; service times resampled for each."""
    found = []
    for seed in seeds:
        key = (setting, replicas, routing, seed, share)
        if key not in queue.carried:
            queue.carried[key] = _highest(model, queue, setting, replicas, routing, seed, share) / queue.share
        found.append(queue.carried[key])
    return found


def as_measured(model: Model) -> dict[tuple[float, int], float]:
    """What the queues carry as measured, by variant: the least of them is the line."""
    return {
        (share, seed): min(
            carried(model, one, one.setting, model.run.replicas, AS_MEASURED, (seed,), share)[0] for one in model.queues
        )
        for share, seeds in variants(model)
        for seed in seeds
    }


def line(model: Model, read: Interval) -> Interval:
    """The line as it was read where a figure crossed its limit, and as it was simulated, weighted by how well each is known:
    two readings of one thing. As read alone where the two contradict each other: then the simulation is wrong about this
    service, and only its ratios are used."""
    found = as_measured(model)
    if min(found.values()) <= 0:
        return read
    logs = np.log(list(found.values()))
    simulated = log(found[1.0, SEEDS[0]])
    off = max((queue.engine.costs.off for queue in model.queues if queue.engine), default=0.0)
    wide = NormalDist().inv_cdf((1 + read.confidence) / 2)
    read_error = log(read.high / read.low) / 2 / wide
    few = max(one.unsure for one in model.queues)
    error = max(hypot(SIMULATED, few), off, float(np.ptp(logs)) / 2)
    if abs(simulated - log(read.mid)) > CONTRADICT * hypot(error, read_error):
        return read
    weight = error**2 / (error**2 + read_error**2)
    mid = exp(weight * log(read.mid) + (1 - weight) * simulated)
    half = max(wide * error * read_error / hypot(error, read_error), SPREAD)
    return between(mid * exp(-half), mid, mid * exp(half), read.confidence)


def holds(
    model: Model, queue: QueueModel, replicas: int, routing: Routing, seed: int, share: float
) -> Callable[[float], bool]:
    """Whether the queue as it is set meets its goal on so many replicas for good, at a rate of arrivals of the mix per
    second."""
    if queue.engine is not None:
        variant = queue.engine.variants[SLOWING.index(share)]
        met = engine.meets(queue.engine, engine.with_slots(variant, queue.setting), replicas, seed)
    else:
        met = meets(*_simulated(model, queue, queue.setting, replicas, routing, seed, share))
    return lambda rate_rps: met(rate_rps * queue.share)


def _highest(
    model: Model, queue: QueueModel, setting: QueueSetting, replicas: int, routing: Routing, seed: int, share: float
) -> float:
    if queue.engine is not None:
        variant = queue.engine.variants[SLOWING.index(share)]
        return engine.highest_rate(queue.engine, engine.with_slots(variant, setting), replicas, seed, model.window_s)
    return highest_rate(*_simulated(model, queue, setting, replicas, routing, seed, share), model.window_s)


def _simulated(
    model: Model, queue: QueueModel, setting: QueueSetting, replicas: int, routing: Routing, seed: int, share: float
) -> tuple[Discipline, np.ndarray, Goal, int, Callable[[float], float]]:
    slows = slowing.of(model, queue).scaled(share)
    discipline = replace(
        queue.discipline, slots=setting.max_concurrent, queue=setting.max_queue_size, timeout_s=setting.timeout_s,
        replicas=replicas, routing=routing,
    )  # fmt: skip
    slower = partial(slows.at, slots=setting.max_concurrent, replicas=replicas)
    return discipline, _times(queue, seed), queue.goal, seed, slower


def _times(queue: QueueModel, seed: int) -> np.ndarray:
    if seed == SEEDS[0]:
        return queue.service_s
    random = np.random.default_rng(seed)
    drawn = random.choice(queue.service_s, len(queue.service_s))
    mean_s = float(queue.service_s.mean()) * exp(queue.unsure * random.standard_normal())
    return drawn * (mean_s / float(drawn.mean()))
