"""Another machine than the one measured: only what a calibration run there allows to say, else a refusal.

`plimsoll doctor --calibrate --json` times one fixed workload on one core, in seconds. Where CPU binds, the rate follows
that speed; where something else binds, CPU is part of the time at most, so that the line lies between unchanged and that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from capacity.documents import RunDocuments, between
from capacity.figures import figure
from capacity.model import Model
from measurements.errors import UsageError
from measurements.interval import Interval, Refusal

HERE = "plimsoll doctor --calibrate"
THERE = "plimsoll doctor --calibrate --json > machine.json, on the machine that the plan is for"


@dataclass(frozen=True)
class Machine:
    """`median_ms` of the fixed workload; `spread` of its runs, relative."""

    cpu_model: str
    cores: int | None
    median_ms: float
    spread: float

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Machine | None:
        host, timed = document.get("host") or {}, document.get("calibration") or {}
        if not timed.get("median_ms"):
            return None
        return cls(
            str(host.get("cpu_model") or "unknown"), host.get("cores"), timed["median_ms"], timed.get("spread") or 0.0
        )


def parse(text: str, path: str) -> Machine:
    """From what `plimsoll doctor --calibrate --json` printed there; UsageError where it is something else."""
    try:
        found = Machine.of(json.loads(text))
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"--machine {path} is no JSON of plimsoll doctor ({error}); make it with: {THERE}") from error
    if found is None:
        raise UsageError(f"--machine {path} holds no calibration; make it with: {THERE}")
    return found


def here(run: RunDocuments) -> Machine | None:
    """The machine that was measured, where it had been calibrated before."""
    return Machine.of({"host": run.run.get("host"), "calibration": run.run.get("calibration")})


def moved(model: Model, there: Machine) -> Model | Refusal:
    """The model as that machine would have given it; Refusal where the measured one was never timed."""
    measured = here(model.run)
    if measured is None:
        return Refusal(
            "capacity_rps",
            f"the plan is for another machine ({there.cpu_model}), and the one that was measured has no calibration to "
            "compare it with",
            f"{HERE} on the measured machine, then measure again: plimsoll run {model.run.contract_path} --shape breakpoint",
        )
    speed = Interval(
        measured.median_ms / there.median_ms * (1 - measured.spread - there.spread),
        measured.median_ms / there.median_ms,
        measured.median_ms / there.median_ms * (1 + measured.spread + there.spread),
        0.9,
    )
    if model.bottleneck.kind not in ("cpu_one_core", "cpu_host"):
        speed = between(min(1.0, speed.low), speed.mid**0.5, max(1.0, speed.high))
    replica, cost = model.replica, model.cost
    slower = between(1 / speed.high, 1 / speed.mid, 1 / speed.low)
    demand = replace(cost, per_arrival_s=_times(cost.per_arrival_s, slower), base_cores=_times(cost.base_cores, slower),
                     per_endpoint_s={k: _times(v, slower) for k, v in cost.per_endpoint_s.items()}) if cost else None  # fmt: skip
    at_least = model.at_least_rps * speed.low if model.at_least_rps else None
    return replace(
        model,
        capacity_rps=_times(model.capacity_rps, speed) if model.capacity_rps else None,
        unscaled_rps=_times(model.unscaled_rps, speed) if model.unscaled_rps else None,
        at_least_rps=at_least,
        facts=replace(model.facts, target_demand=demand) if demand else model.facts,
        replica=replace(
            replica,
            rate_rps=_times(replica.rate_rps, speed) if replica.rate_rps else None,
            at_least_rps=replica.at_least_rps * speed.low,
            demand=demand,
        )
        if replica
        else None,
    )


def said(model: Model, there: Machine) -> str:
    measured = here(model.run)
    times = measured.median_ms / there.median_ms if measured else 1.0
    return (
        f"measured on {measured.cpu_model if measured else 'unknown'}, moved to {there.cpu_model} by the calibration "
        f"workload, which runs {figure(times)} times as fast there; nothing was measured there"
    )


def _times(one: Interval, factor: Interval) -> Interval:
    return between(one.low * factor.low, one.mid * factor.mid, one.high * factor.high, one.confidence)
