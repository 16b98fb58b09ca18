"""Everything that runs say about a service: its line, what binds, what a request costs, what one replica is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from capacity import bottleneck as naming
from capacity import declared, edge, full_slots, ledger, memory, plateau, queue_options
from capacity.bottleneck import Bottleneck
from capacity.demand import ServiceDemand
from capacity.documents import RunDocuments, Stage, between, objections, stages_of
from capacity.edge import Edge
from capacity.facts import Facts, gather
from capacity.figures import figure
from capacity.ledger import Entry, Scaling
from capacity.memory import MemoryModel
from capacity.plateau import Plateau
from capacity.policy import Replica
from capacity.queue_options import QueueModel
from measurements.interval import Interval, Refusal

NEAR = 0.25  # of ln(rate) around the line
NEARLY_SURE = 0.8  # what a search's own two rates have to hold


@dataclass(frozen=True)
class Model:
    """`capacity_rps`: of everything measured together. `replica` is None where not even a lower bound is known.

    `scaling`: what the track record multiplied the capacity's half-widths by; None without a track record. `unscaled_rps`: the
    capacity before that, `past`: the record, for predictions, which are scaled by that of their own models.
    """

    run: RunDocuments
    stages: list[Stage]
    edge: Edge
    plateau: Plateau | None
    facts: Facts
    bottleneck: Bottleneck
    memory: MemoryModel | Refusal
    capacity_rps: Interval | None
    at_least_rps: float | None
    from_search: bool
    scaling: Scaling | None
    unscaled_rps: Interval | None
    past: tuple[Entry, ...]
    replica: Replica | None
    queues: list[QueueModel]

    @property
    def cost(self) -> ServiceDemand | None:
        found = self.facts.target_demand
        return found if isinstance(found, ServiceDemand) else None

    @property
    def highest_rps(self) -> float:
        return max(stage.rate_rps for stage in self.stages)

    @property
    def window_s(self) -> float:
        """How long the stages lasted that the line was read from: the median of those near it, weighted by requests; of a
        search's trials where it gave the line."""
        line = self.unscaled_rps.mid if self.unscaled_rps else self.highest_rps
        read = [stage for stage in self.stages if stage.run.search] if self.from_search else self.stages
        near = [stage for stage in read if abs(log(stage.rate_rps / line)) < NEAR] or self.stages
        lasted = sorted((stage.duration_s, stage.count) for stage in near)
        reached = np.cumsum([count for _, count in lasted])
        return lasted[int(np.searchsorted(reached, reached[-1] / 2))][0]

    @property
    def response_at_edge_s(self) -> float | None:
        passed = self.edge.passed
        mean_ms = passed[-1].response_mean_ms if passed else None
        return mean_ms / 1000 if mean_ms is not None else None

    @property
    def refusals(self) -> list[Refusal]:
        found = [] if self.from_search else list(self.edge.refusals)
        found += [one for one in (self.facts.target_demand, self.memory) if isinstance(one, Refusal)]
        if self.bottleneck.kind == "unidentified" and self.plateau is not None:
            found.append(_unidentified(self.run, self.bottleneck, self.highest_rps))
        return found


def fit(runs: Sequence[RunDocuments], track_record: Sequence[Entry] = ()) -> Model | list[Refusal]:
    """The model, or why these runs cannot carry one."""
    against = objections(runs)
    if against:
        return against
    run, stages = runs[0], stages_of(runs)
    found = edge.find(stages)
    if not stages:
        return found.refusals
    flat = plateau.find(stages)
    facts = gather(run, stages, flat)
    held = memory.fit(stages)
    searched = _searched(runs)
    stepped = _below_plateau(found.capacity, flat)
    from_search = searched is not None and not _better_known(runs, stepped, searched)
    capacity = searched if from_search else stepped
    unscaled, scaling = capacity, ledger.scaling_of("line", track_record)
    if capacity is not None and scaling is not None:
        capacity = ledger.scaled(capacity, scaling.factor)
    at_least = capacity.low if capacity else found.at_least_rps
    named = naming.name(facts)
    cost = facts.target_demand if isinstance(facts.target_demand, ServiceDemand) else None
    return Model(
        run=run,
        stages=stages,
        edge=found,
        plateau=flat,
        facts=facts,
        bottleneck=named,
        memory=held,
        capacity_rps=capacity,
        at_least_rps=at_least,
        from_search=from_search,
        scaling=scaling,
        unscaled_rps=unscaled,
        past=tuple(track_record),
        replica=_replica(run, found, capacity, at_least, facts, held),
        queues=[
            full_slots.pooled(queue, flat, named, run.replicas)
            for queue in queue_options.models(run, stages, cost, run.service_times_s)
        ],
    )


def _searched(runs: Sequence[RunDocuments]) -> Interval | None:
    """The bracket of the last valid search among the runs: it was made for this question, the steps were not. Where its two
    rates hold the edge with less than 80 %, what its trials say together."""
    for found, whole in _searches(runs):
        low, high, edge_rps = found["lower_rps"], found["upper_rps"], whole.get("edge_rps")
        if (whole.get("confidence") or 0.0) >= NEARLY_SURE:
            mid = edge_rps["mid"] if edge_rps else (low + high) / 2
            return between(low, min(max(mid, low), high), high, float(whole["confidence"]))
        if edge_rps:
            return Interval(**edge_rps)
    return None


def _better_known(runs: Sequence[RunDocuments], stepped: Interval | None, searched: Interval) -> bool:
    """Where a search's budget ended before its bracket was confirmed, as on a slope, the steps of another run and the
    trials together may know the line better."""
    steps = any(not run.search for run in runs)
    confirmed = any(whole.get("confirmed") for _, whole in _searches(runs))
    if not steps or confirmed or stepped is None:
        return False
    return stepped.relative_half_width < searched.relative_half_width


def _searches(runs: Sequence[RunDocuments]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """(search.json, what it says of the whole mix) of those that are valid and have both ends, the last first."""
    for run in reversed(runs):
        found = run.search or {}
        if found.get("valid") and found.get("lower_rps") and found.get("upper_rps"):
            yield found, (found.get("endpoints") or {}).get("all") or {}


def _below_plateau(capacity: Interval | None, flat: Plateau | None) -> Interval | None:
    """No rate above the plateau can be sustained, however long a stage took to show it, unless overload itself makes less of
    it; what was shown to hold stays. No line is known better than `edge.SPREAD`."""
    if capacity is None or flat is None or not flat.is_end:
        return capacity
    if flat.rate_rps.high >= capacity.high and flat.rate_rps.mid >= capacity.mid:
        return capacity
    high = min(capacity.high, max(capacity.low, flat.rate_rps.high))
    mid = min(capacity.mid, max(capacity.low, flat.rate_rps.mid))
    low, high = min(capacity.low, mid * (1 - edge.SPREAD)), max(high, mid * (1 + edge.SPREAD))
    return Interval(low, mid, high, capacity.confidence)


def _replica(
    run: RunDocuments, found: Edge, capacity: Interval | None, at_least: float | None, facts: Facts,
    held: MemoryModel | Refusal,
) -> Replica | None:  # fmt: skip
    if at_least is None:
        return None
    count = run.replicas
    stated = run.section("resources").get("cpu")
    single = facts.busiest_cores is not None and facts.busiest_cores <= 1.1
    limits = [value for value in (stated, facts.allotted_cores, float(run.workers) if single else None) if value]
    calm = [stage for stage in found.passed if stage.in_flight_mean]
    memory_limit = declared.memory_mib(run, facts.top)
    return Replica(
        rate_rps=capacity.scaled(1 / count) if capacity else None,
        at_least_rps=at_least / count,
        demand=facts.target_demand if isinstance(facts.target_demand, ServiceDemand) else None,
        cores=float(min(limits)) if limits else None,
        memory=held if isinstance(held, MemoryModel) else None,
        memory_mib=memory_limit / count if memory_limit else None,
        in_flight_per_rps=max((s.in_flight_mean or 0.0) / s.rate_rps for s in calm) if calm else None,
        measured=count,
    )


def _unidentified(run: RunDocuments, named: Bottleneck, highest_rps: float) -> Refusal:
    could = f"; it could be: {', '.join(named.candidates)}" if named.candidates else ""
    return Refusal(
        "bottleneck",
        f"a plateau was seen, but no resource that was watched stands at its limit there{could}",
        f"plimsoll profile {run.contract_path} --rate {figure(highest_rps)} --cpu (stacks at the plateau name what waits)",
    )
