"""What the plan says will happen if this or that is changed: written down before anybody tries it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Any

from capacity.documents import RunDocuments
from capacity.model import Model
from capacity.prediction import Prediction, Variation, crowded, predict
from capacity.queue_settings import QueueSetting
from measurements.interval import Refusal

REPLICAS = (2, 4)
MORE = 1.5  # slots of a queue that is tried larger, where the advised number is the present one


def of(model: Model) -> list[dict[str, Any]]:
    """For plan.json: a change, and the capacity with it as an interval or the refusal. First: nothing is changed."""
    return [_entry(model, change) for change in variations(model)]


def variations(model: Model) -> list[Variation]:
    """The deployment as measured, twice and four times the replicas, each queue with other limits, twice the workers; where
    more replicas would crowd an upstream's core, such that share the slots of now as well."""
    if model.capacity_rps is None:
        return []
    few, many = (Variation(replicas=factor * model.run.replicas) for factor in REPLICAS)
    sharing = [shared for factor in REPLICAS if (shared := _sharing(model, factor)) is not None]
    queues = [
        Variation(queues={queue.name: _other(queue.setting)})
        for queue in model.queues
        if _handed_on(model.run, queue.name)
    ]
    workers = [Variation(workers=2 * model.run.workers)] if _handed_on(model.run, None) else []
    return [Variation(), few, *queues, many, *workers, *sharing]


def _sharing(model: Model, factor: int) -> Variation | None:
    """So many times the replicas with the slots of one divided among them: the upstream sees no larger crowd. None where it
    would not be crowded, or where slots cannot be divided or are not handed on."""
    more = Variation(replicas=factor * model.run.replicas)
    if model.unscaled_rps is None or crowded(model, more, model.unscaled_rps) is None:
        return None
    if any(queue.setting.max_concurrent % factor or not _handed_on(model.run, queue.name) for queue in model.queues):
        return None
    return replace(more, queues={queue.name: _part(queue.setting, factor) for queue in model.queues})


def _part(now: QueueSetting, factor: int) -> QueueSetting:
    return QueueSetting(now.max_concurrent // factor, ceil(now.max_queue_size / factor), now.timeout_s)


def as_json(change: Variation) -> dict[str, Any]:
    return {
        "replicas": change.replicas,
        "workers": change.workers,
        "queues": {name: queue.as_json() for name, queue in change.queues.items()},
    }


def from_json(raw: Mapping[str, Any]) -> Variation:
    queues = {name: QueueSetting.of(section) for name, section in (raw.get("queues") or {}).items()}
    return Variation(replicas=raw.get("replicas"), workers=raw.get("workers"), queues=queues)


def _entry(model: Model, change: Variation) -> dict[str, Any]:
    found = predict(model, change)
    if isinstance(found, Refusal):
        return {
            "what": f"capacity {change}",
            "change": as_json(change),
            "capacity_rps": None,
            "refusal": found.as_json(),
        }
    return {
        "what": found.what,
        "change": as_json(change),
        "capacity_rps": found.capacity_rps.as_json(),
        "model": found.model,
        "scaling": found.scaling,
        "extrapolation": found.extrapolation,
        "window_s": model.window_s,
        "cores": _cores(model, found),
        "assumptions": found.assumptions,
    }


def _cores(model: Model, found: Prediction) -> float | None:
    """Cores that service and dependencies will use at that rate, by their demands per arrival; None where not known."""
    if model.cost is None:
        return None
    rate = found.capacity_rps.mid
    others = [
        cost.cores_at(rate).mid for cost in model.facts.dependency_demand.values() if not isinstance(cost, Refusal)
    ]
    return model.cost.cores_at(rate).mid + sum(others)


def _handed_on(run: RunDocuments, queue: str | None) -> bool:
    """Whether the contract's start command passes on the limits of that queue; None: the number of workers."""
    control = (run.section("target").get("control") or {}) if run.section("target") else {}
    text = json.dumps(control, ensure_ascii=False)
    name = "{workers}" if queue is None else f"{{queue_{re.sub(r'[^0-9A-Za-z_]', '_', queue)}_max_concurrent}}"
    return name in text


def _other(now: QueueSetting) -> QueueSetting:
    """Half as many slots again, and a queue as long in proportion: a change that every service can be asked to make."""
    slots = max(now.max_concurrent + 1, round(now.max_concurrent * MORE))
    waiting = round(now.max_queue_size * slots / now.max_concurrent)
    return QueueSetting(slots, waiting, now.timeout_s)
