"""The plan: from the documents of runs to what to buy, each number with its interval, each "no" with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from capacity import bottleneck as naming
from capacity import declared, edge, grade, laws, memory, options, plateau, thumb, words
from capacity import demand as demands
from capacity.bottleneck import Bottleneck
from capacity.demand import ServiceDemand
from capacity.documents import RunDocuments, Stage, objections, stages_of
from capacity.edge import Edge
from capacity.facts import Facts, gather
from capacity.growth import Growth
from capacity.memory import MemoryModel
from capacity.plateau import Plateau
from capacity.policy import Replica
from measurements.interval import Interval, Refusal


@dataclass(frozen=True)
class Plan:
    """`capacity_rps`: arrivals per second of everything measured together, within the SLO. See docs for every key."""

    indicative: bool
    evidence_grade: str
    grade_reasons: list[str]
    capacity_rps: Interval | None
    capacity_at_least_rps: float | None
    bottleneck: Bottleneck | None
    binding_rule: str | None
    scale_up: list[dict[str, Any]]
    scale_out: list[dict[str, Any]]
    do_nothing: dict[str, Any] | None
    refusals: list[Refusal]
    expires_when: list[str]
    demand: dict[str, Any]
    sentence: str
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def only_refusals(self) -> bool:
        """Nothing to act on: the command ends with exit code 3."""
        return self.capacity_rps is None and not self.scale_up and not self.scale_out

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "sentence": self.sentence,
            "indicative": self.indicative,
            "evidence_grade": self.evidence_grade,
            "grade_reasons": self.grade_reasons,
            "demand": self.demand,
            "capacity_rps": self.capacity_rps.as_json() if self.capacity_rps else None,
            "capacity_at_least_rps": self.capacity_at_least_rps,
            "bottleneck": self.bottleneck.as_json() if self.bottleneck else None,
            "binding_rule": self.binding_rule,
            "scale_up": self.scale_up,
            "scale_out": self.scale_out,
            "do_nothing": self.do_nothing,
            "refusals": [refusal.as_json() for refusal in self.refusals],
            "expires_when": self.expires_when,
            **self.extra,
        }


def make_plan(
    runs: Sequence[RunDocuments],
    demand_rps: float | None,
    growth: Growth | None = None,
    think_time_s: float | None = None,
) -> Plan:
    """`demand_rps`: peak arrivals per second, today; None plans for the capacity found and twice that.

    `think_time_s` (default: the contract's) turns users into a rate for the rule of thumb. Never raises for what the
    data cannot carry: those fields are None and `refusals` says why.
    """
    against = objections(runs)
    if against:
        return _refused(runs, against, demand_rps)
    run, stages = runs[0], stages_of(runs)
    found = edge.find(stages)
    if not stages:
        return _refused(runs, found.refusals, demand_rps)
    flat = plateau.find(stages)
    facts = gather(run, stages, flat)
    named = naming.name(facts)
    held = memory.fit(stages)
    capacity = _below_plateau(found.capacity, flat)
    replica = _replica(run, found, capacity, facts, held)
    asked = _demands(demand_rps, growth, capacity, found.at_least_rps)
    refusals = [*found.refusals, *(one for one in (facts.target_demand, held) if isinstance(one, Refusal))]
    highest = max(stage.rate_rps for stage in stages)
    if named.kind == "unidentified" and flat is not None:
        refusals.append(_unidentified(run, named, highest))
    bought = options.Options([], [], [], None)
    if replica is not None:
        bought = options.make(run, replica, named, asked["planned_rps"], highest)
    grading, reasons = grade.grade(run)
    first = asked["planned_rps"][-1] if asked["planned_rps"] else None
    nothing = (
        options.do_nothing(first, capacity, found.at_least_rps, flat.rate_rps if flat else None) if first else None
    )
    if nothing and growth and demand_rps and capacity:
        reached = growth.reaches(demand_rps, capacity.low)
        nothing["breaks_on"] = reached.isoformat() if reached else None
    plan = Plan(
        indicative=found.indicative or bool(run.summary.get("indicative")) or bool(run.validity.get("indicative")),
        evidence_grade=grading,
        grade_reasons=reasons,
        capacity_rps=capacity,
        capacity_at_least_rps=found.at_least_rps,
        bottleneck=named,
        binding_rule=bought.binding_rule,
        scale_up=bought.scale_up,
        scale_out=bought.scale_out,
        do_nothing=nothing,
        refusals=[*refusals, *bought.refusals],
        expires_when=grade.expires_when(runs),
        demand=asked,
        sentence="",
        extra=_extra(
            run=run,
            stages=stages,
            found=found,
            flat=flat,
            facts=facts,
            held=held,
            think_time_s=think_time_s,
            capacity=capacity,
        ),
    )
    return _with_sentence(plan)


def _with_sentence(plan: Plan) -> Plan:
    return replace(plan, sentence=words.sentence(plan.as_json()))


def _refused(runs: Sequence[RunDocuments], refusals: list[Refusal], demand_rps: float | None) -> Plan:
    grading, reasons = grade.grade(runs[0]) if runs else ("C", ["no run"])
    asked: dict[str, Any] = {"demand_rps": demand_rps, "planned_rps": [], "given": demand_rps is not None}
    expires = grade.expires_when(runs) if runs else []
    plan = Plan(True, grading, reasons, None, None, None, None, [], [], None, refusals, expires, asked, "")
    return _with_sentence(plan)


def _unidentified(run: RunDocuments, named: Bottleneck, highest_rps: float) -> Refusal:
    could = f"; it could be: {', '.join(named.candidates)}" if named.candidates else ""
    return Refusal(
        "bottleneck",
        f"a plateau was seen, but no resource that was watched stands at its limit there{could}",
        f"plimsoll profile {run.contract_path} --rate {highest_rps:.3g} --cpu (stacks at the plateau name what waits)",
    )


def _below_plateau(capacity: Interval | None, flat: Plateau | None) -> Interval | None:
    """No rate above the plateau can be sustained; what was shown to hold stays."""
    if capacity is None or flat is None or flat.rate_rps.high >= capacity.high:
        return capacity
    high = max(capacity.low, flat.rate_rps.high)
    return Interval(capacity.low, min(capacity.mid, (capacity.low + high) / 2), high, capacity.confidence)


def _replica(
    run: RunDocuments, found: Edge, capacity: Interval | None, facts: Facts, held: MemoryModel | Refusal
) -> Replica | None:
    if found.at_least_rps is None:
        return None
    count = run.replicas
    stated = run.section("resources").get("cpu")
    workers = float(run.workers)
    cores = facts.allotted_cores
    single = facts.busiest_cores is not None and facts.busiest_cores <= 1.1
    limit = min([value for value in (stated, cores, workers if single else None) if value], default=None)
    calm = [stage for stage in found.passed if stage.in_flight_mean]
    per_rps = max((stage.in_flight_mean or 0.0) / stage.rate_rps for stage in calm) if calm else None
    memory_limit = declared.memory_mib(run, facts.top)
    return Replica(
        rate_rps=capacity.scaled(1 / count) if capacity else None,
        at_least_rps=found.at_least_rps / count,
        demand=facts.target_demand if isinstance(facts.target_demand, ServiceDemand) else None,
        cores=float(limit) if limit else None,
        memory=held if isinstance(held, MemoryModel) else None,
        memory_mib=memory_limit / count if memory_limit else None,
        in_flight_per_rps=per_rps,
        measured=count,
    )


def _demands(
    demand_rps: float | None, growth: Growth | None, capacity: Interval | None, at_least: float | None
) -> dict[str, Any]:
    if demand_rps is not None:
        planned = [growth.at_horizon(demand_rps) if growth else demand_rps]
        note = "peak arrivals per second, as given"
        if growth:
            note += f", grown by {growth.per_month:.1%} a month over {growth.horizon_months:.3g} months"
        return {"demand_rps": demand_rps, "given": True, "planned_rps": planned, "note": note}
    base = capacity.mid if capacity else at_least
    planned = [base, 2 * base] if base else []
    note = "no demand was given: planned for the capacity found and for twice that; say yours with --demand"
    return {"demand_rps": None, "given": False, "planned_rps": planned, "note": note}


def _extra(
    *, run: RunDocuments, stages: list[Stage], found: Edge, flat: Plateau | None, facts: Facts,
    held: MemoryModel | Refusal, think_time_s: float | None, capacity: Interval | None,
) -> dict[str, Any]:  # fmt: skip
    at_edge = found.passed[-1] if found.passed else None
    response_s = (at_edge.response_mean_ms or 0.0) / 1000 if at_edge else None
    think = think_time_s if think_time_s is not None else _contract_think_time(run)
    per_user = (response_s or 0.0) + think
    cost = facts.target_demand if isinstance(facts.target_demand, ServiceDemand) else None
    model = held if isinstance(held, MemoryModel) else None
    return {
        "stages": [
            {
                "stage": one.stage.name,
                "rate_rps": one.stage.rate_rps,
                "verdict": one.verdict,
                "sure": one.sure,
                "why": one.why,
            }
            for one in found.judged
        ],
        "plateau": flat.as_json() if flat else None,
        "service_demand": cost.as_json() if cost else None,
        "memory": model.as_json() if model else None,
        "per_endpoint": _per_endpoint(stages, capacity, cost),
        "laws": [check.as_json() for check in laws.check(demands.usable(stages))],
        "rule_of_thumb": thumb.table(cost, model, per_user or None),
        "assumptions": [
            f"the mix of requests stays as measured, arrivals are as in the run ({run.summary.get('arrivals')})",
            "the spread from run to run is not in the intervals: they come from "
            + ("one run" if len({s.run.path for s in stages}) == 1 else "these runs"),
        ],
    }


def _contract_think_time(run: RunDocuments) -> float:
    value = run.section("users").get("think_time_s") or 0.0
    return sum(value) / 2 if isinstance(value, list | tuple) else float(value)


def _per_endpoint(stages: list[Stage], capacity: Interval | None, cost: ServiceDemand | None) -> dict[str, Any]:
    total = sum(stage.count for stage in stages)
    names = sorted({name for stage in stages for name in stage.endpoints})
    found: dict[str, Any] = {}
    for name in names:
        share = sum((stage.endpoints.get(name) or {}).get("count") or 0 for stage in stages) / total
        own = (cost.per_endpoint_s if cost else {}).get(name)
        found[name] = {
            "share": share,
            "capacity_rps_in_the_mix": capacity.scaled(share).as_json() if capacity and share else None,
            "cpu_s_per_request": own.as_json() if own else None,
        }
    return found
