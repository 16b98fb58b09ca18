"""Rates at which CPU ends what more slots or replicas gain, by the utilisation law."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from capacity.documents import between
from capacity.figures import figure
from capacity.model import Model
from measurements.interval import Interval, Refusal

# share of a dependency's CPU that its busiest process takes; cores that are one core's
ONE_PROCESS, FULL_CORE = 0.9, 1.1
FULL_NOW = 0.97  # cores that were busy


@dataclass(frozen=True)
class End:
    """A rate at which CPU ends what slots gain. `full_now`: it stays as it is, so the line itself was met near its end.
    `crowded`: of an upstream, whose answers may cost more of it in larger crowds."""

    rps: Interval
    why: str
    full_now: bool = False
    crowded: bool = False

    def of(self, predicted: Interval, line: Interval) -> Interval:
        """No more than the end; where the core is as full as it was at the line, between no gain at all and its end: the
        law knows throughput, not response times, so the SLO breaks before it."""
        low, high = min(predicted.low, self.rps.low), min(predicted.high, self.rps.high)
        if not self.full_now or line.mid >= self.rps.mid:
            return between(low, self.rps.mid, high)
        return between(min(low, line.low), sqrt(line.mid * self.rps.mid), high)


def of(model: Model, replicas: int) -> list[End]:
    """By the utilisation law: of the service's own CPU, and of each dependency, of which there is no more than before and
    whose work is that of one process; with the service's, where they have one core together."""
    facts, found = model.facts, []
    cores = (facts.allotted_cores or 0.0) * replicas / model.run.replicas
    own = model.cost.rate_at(cores) if model.cost and cores else None
    if own is not None:
        found.append(
            End(own, f"CPU ends it earlier: {figure(cores)} core(s) carry {figure(own.mid)} rps by the utilisation law")
        )
    beside = model.cost.rate_at(1.0) if model.cost and (facts.placed_cores or 2.0) <= FULL_CORE else None
    for role, demand in facts.dependency_demand.items():
        busiest, whole = facts.dependency_busiest.get(role, 0.0), facts.dependency_cores.get(role, 0.0)
        limit = None if isinstance(demand, Refusal) else demand.rate_at(1.0)
        if limit is not None and busiest > ONE_PROCESS * whole and busiest <= FULL_CORE:
            rps = _together(limit, beside) if beside else limit
            rps, seen = _as_seen(rps, model, whole + ((facts.busiest_cores or 0.0) if beside else 0.0))
            core = "the core that it shares with the service here" if beside else "one core of its process"
            found.append(
                End(
                    rps,
                    f"{role} stays as it is: {core} ends at {figure(rps.mid)} rps {seen}",
                    True,
                    bool(model.run.section("upstream")),
                )
            )
    return found


def _as_seen(law: Interval, model: Model, busy_cores: float) -> tuple[Interval, str]:
    """The end by the law, from what a request costs at all rates; where the core was full at the plateau, what it then
    carried, if that is less: a full core has gaps, and work costs more in crowds."""
    flat = model.plateau
    if flat is None or not flat.is_end or busy_cores < FULL_NOW or flat.rate_rps.mid >= law.mid:
        return law, "by the utilisation law"
    carried = flat.rate_rps
    return between(min(law.low, carried.low), carried.mid, min(law.high, carried.high)), "as it did when it was full"


def _together(one: Interval, other: Interval) -> Interval:
    """The rate at which the demands of both fill one core."""
    ends = [1 / (1 / a + 1 / b) for a, b in ((one.low, other.low), (one.mid, other.mid), (one.high, other.high))]
    return between(*ends)
