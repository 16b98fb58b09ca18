"""What stands beside the plan: every stage's verdict, fitted demands, laws, the rule of thumb, queue settings, money."""

from __future__ import annotations

from typing import Any

from capacity import (
    cost,
    cross_checks,
    crowds,
    demand,
    laws,
    ledger,
    mix,
    next_measurement,
    queue_options,
    thumb,
    within_slo,
)
from capacity.ask import Ask, seconds_per_user
from capacity.figures import figure
from capacity.ledger import Entry
from capacity.machine import Machine
from capacity.memory import MemoryModel
from capacity.model import Model
from capacity.options import Options
from capacity.prices import PriceBook

MIB_PER_GIB = 1024
NO_MACHINE = "the prices file has no [[machine]], so no option has a price; add one, with date and source"


def of(model: Model, ask: Ask, track_record: tuple[Entry, ...]) -> dict[str, Any]:
    """Keys of plan.json beyond those that are fixed."""
    held = model.memory if isinstance(model.memory, MemoryModel) else None
    checks = laws.check(demand.usable(model.stages))
    runs = len({stage.run.path for stage in model.stages})
    return {
        "stages": [
            {"stage": j.stage.name, "rate_rps": j.stage.rate_rps, "verdict": j.verdict, "sure": j.sure, "why": j.why}
            for j in model.edge.judged
        ],
        "plateau": model.plateau.as_json() if model.plateau else None,
        "service_demand": model.cost.as_json() if model.cost else None,
        "memory": held.as_json() if held else None,
        "per_endpoint": _per_endpoint(model),
        "laws": [check.as_json() for check in checks],
        "doubts": [*laws.doubts(checks, model.run.contract_path), *crowds.doubts(model)],
        "cross_checks": cross_checks.of(model),
        "queue_settings": queue_options.settings(model.queues, model.facts.allotted_cores),
        "rule_of_thumb": thumb.table(model.cost, held, seconds_per_user(ask, model)),
        "track_record": {
            **ledger.score([entry for entry in track_record if entry.record == "lab"]),
            "half_widths_multiplied_by": model.scaling.factor if model.scaling else None,
            "multiplied_by_record_of": model.scaling.by if model.scaling else None,
        },
        "assumptions": [
            f"the mix of requests stays as measured, arrivals are as in the run ({model.run.summary.get('arrivals')})",
            "capacity comes from " + ("a search's bracket" if model.from_search else "the stages of the run"),
            f"the spread from run to run is {'only as far as these runs show it' if runs > 1 else 'not'} in the intervals",
        ],
    }


def _per_endpoint(model: Model) -> dict[str, Any]:
    total = sum(stage.count for stage in model.stages)
    arrivals = sum(stage.rate_rps * stage.duration_s for stage in model.stages)
    per_request = sum(stage.rate_rps * stage.duration_s for stage in model.stages) / total
    level = model.cost.per_arrival_s.scaled(per_request) if model.cost else None
    costs = mix.of(model.run.windows, level, model.run.contract_path)
    found: dict[str, Any] = {}
    for name in sorted({name for stage in model.stages for name in stage.endpoints}):
        count = sum((stage.endpoints.get(name) or {}).get("count") or 0 for stage in model.stages)
        own = (model.cost.per_endpoint_s if model.cost else {}).get(name)
        capacity = model.capacity_rps
        found[name] = {
            "share": count / total,
            "capacity_rps_in_the_mix": capacity.scaled(count / arrivals).as_json() if capacity and count else None,
            "cpu_s_per_request": own.as_json() if own else (costs.get(name, {}).get("cpu_s") or {}).get("per_request"),
            "costs": costs.get(name, {}),
        }
    return found


def money(model: Model, ask: Ask, bought: Options, book: PriceBook) -> dict[str, Any]:
    """Adds a `cost` to each option; returns what belongs to all of them."""
    cores, memory_gib, note = _size(model)
    said = []
    for option in [*bought.scale_out, *bought.scale_up]:
        within = within_slo.at(model.edge.passed, cost.load_as_measured_rps(option, model.run.replicas))
        option["cost"] = cost.of_option(
            option, book, cores, memory_gib, ask.peak_to_mean, within.share if within else None
        )
        if option["cost"]:
            said.append(str(within) if within else _share_unknown(model))
    last = bought.scale_out[-1] if bought.scale_out else None
    planned = last["demand_rps"] if last else None
    return {
        "cost_of_being_wrong": cost.of_being_wrong(last, book, cores, memory_gib) if last else None,
        "upstream_cost": cost.of_upstream(model.run, book, planned / ask.peak_to_mean) if planned else None,
        "cost_assumptions": [
            note,
            f"the month's average demand is the peak over {ask.peak_to_mean:g}",
            "machines run all month",
            *dict.fromkeys(said),
            *([] if book.machine else [NO_MACHINE]),
        ],
    }


def _share_unknown(model: Model) -> str:
    return (
        "no stage passed, so how many requests are within the SLO is not known and no price per 1,000 of them is given; "
        f"plimsoll run {model.run.contract_path} --shape breakpoint --rate {figure(model.at_least_rps or model.highest_rps)}"
    )


def _size(model: Model) -> tuple[float, float, str]:
    """(cores, GiB) of one replica: as the contract deploys it, else as it was measured."""
    resources = model.run.section("resources")
    workers = float(model.run.workers)
    cores = float(resources.get("cpu") or (model.replica.cores if model.replica and model.replica.cores else workers))
    highest = model.memory.highest_mib if isinstance(model.memory, MemoryModel) else MIB_PER_GIB
    memory = float(resources.get("memory_mib") or highest / model.run.replicas / 0.7) / MIB_PER_GIB
    stated = "as the contract deploys it" if resources.get("cpu") and resources.get("memory_mib") else "as measured"
    return cores, memory, f"a replica has {figure(cores)} core(s) and {figure(memory)} GiB, {stated}"


def narrower(model: Model, planned_rps: float | None, on: Machine | None = None) -> dict[str, Any] | None:
    """The next best measurement."""
    return None if planned_rps is None else next_measurement.best(model, planned_rps, on)
