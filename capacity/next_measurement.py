"""Which measurement would narrow the answer most per second of load.

The answer is the number of replicas. For each candidate: how wide the answer is now, how wide it would be if the inputs that
the candidate measures were known as well as it can tell them, everything else staying as it is (so that an input that does
not bind is worth nothing), and the seconds of load that this takes. Sampling doubt shrinks with the root of the time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from capacity import crossing, machine
from capacity.demand import ServiceDemand, usable
from capacity.documents import between
from capacity.figures import figure
from capacity.machine import Machine
from capacity.model import Model
from capacity.policy import Replica, size
from measurements.distributions import student_quantile
from measurements.interval import Interval

NARROW = 0.025  # half-width that a search is built for: a bracket of 5 %
CLIFF_S, CLIFF_RESPONSE_S = 120.0, 0.05  # what a search takes where the edge is a cliff, with answers as fast as that
DAY_S, HOUR_S = 86_400.0, 3_600.0
STEPS, LEAST_RUN_S, OVERLOAD_S = 10, 60.0, 120.0  # of --shape breakpoint
PASS_S, SNAPSHOTS_S = 20.0, 5.0  # of plimsoll profile --cpu: two passes, and stacks in between
TIMINGS = 7  # of doctor --calibrate
FINE = 1_000  # a demand so many times as large is not rounded up to whole replicas
# where nobody knows whether replicas help at all, the answer is as wide as itself
UNKNOWN = 1.0


@dataclass(frozen=True)
class _Candidate:
    """`after`: the replica as it would then be known. `names_it`: what binds would be known."""

    measurement: str
    command: str
    load_seconds: float
    after: Replica
    names_it: bool = False


def best(model: Model, demand_rps: float, on: Machine | None = None) -> dict[str, Any] | None:
    """The candidate that narrows the answer most per load-second, with the others beside it; None where none would. `on`:
    the machine that the model was moved to."""
    replica = model.replica
    if replica is None:
        return None
    unnamed = model.bottleneck.kind == "unidentified" and replica.rate_rps is not None
    doubtful = unnamed and demand_rps > replica.at_least_rps * replica.measured
    now = _width(replica, demand_rps) + doubtful * UNKNOWN
    found = []
    for one in _candidates(model, replica, on):
        after = _width(one.after, demand_rps) + (doubtful and not one.names_it) * UNKNOWN
        worth = (
            (one.names_it and doubtful) or replica.rate_rps is None or _shorter(one.after, replica, demand_rps)
        ) and after < now
        if worth:
            found.append((now - after, after, one))
    ranked = sorted(found, key=lambda gained: -gained[0] / gained[2].load_seconds)
    if not ranked:
        return None
    shown = [
        {
            "measurement": one.measurement,
            "command": one.command,
            "load_seconds": one.load_seconds,
            "width_after": after,
            "gain_per_load_second": gain / one.load_seconds,
        }
        for gain, after, one in ranked
    ]
    needed, then = size(replica, demand_rps).needed, size(ranked[0][2].after, demand_rps).needed
    return {
        **shown[0],
        "width_now": now,
        "replicas_now": needed.as_json() if needed and not doubtful else None,
        "replicas_after": then.as_json() if then and replica.rate_rps else None,
        "others": shown[1:],
    }


def _width(replica: Replica, demand_rps: float) -> float:
    """(high − low)/middle of the replicas that the demand takes, not rounded; where the line has no upper end, as wide as
    the answer itself."""
    needed = size(replica, demand_rps * FINE).needed
    return UNKNOWN if needed is None else (needed.high - needed.low) / needed.mid


def _shorter(after: Replica, now: Replica, demand_rps: float) -> bool:
    """In whole replicas, which are what is bought."""
    one, two = size(after, demand_rps).needed, size(now, demand_rps).needed
    return one is not None and two is not None and one.high - one.low < two.high - two.low


def _candidates(model: Model, replica: Replica, on: Machine | None) -> list[_Candidate]:
    there = ", on the machine that the plan is for" if on else ""
    found = [_search(model, replica, there), _run(model, replica, there), _naming(model, replica, there)]
    return [one for one in [*found, _calibration(model, replica, on)] if one is not None]


def _search(model: Model, replica: Replica, there: str) -> _Candidate | None:
    """The line, to 5 %."""
    contract, line = model.run.contract_path, replica.rate_rps
    if line is None:
        top = figure(model.highest_rps * 4)
        known = between(replica.at_least_rps, replica.at_least_rps, replica.at_least_rps)
        after = replace(replica, rate_rps=_within(known, NARROW))
        return _Candidate(
            "the upper end of the capacity", f"plimsoll search {contract} --max-rate {top}{there}", CLIFF_S, after
        )
    half = line.relative_half_width
    least = NARROW * (model.scaling.factor if model.scaling else 1.0)
    if half <= least:
        return None
    takes_s = _seconds_to_5_percent(model)
    budget_s = min(takes_s, DAY_S)
    reached = min(half, least * (takes_s / budget_s) ** 0.5)
    command = f"plimsoll search {contract} --max-rate {figure(model.highest_rps * 1.5)} --budget {budget_s:.0f}{there}"
    what = "the highest rate within the SLO, to 5 %" if takes_s <= DAY_S else "the highest rate within the SLO"
    return _Candidate(what, command, budget_s, replace(replica, rate_rps=_within(line, reached)))


def _seconds_to_5_percent(model: Model) -> float:
    """As the last search said; else a cliff's, or on a slope, where chance in a stage's figures moves the crossing by more
    than 5 %, the time that averages that out."""
    for run in {id(stage.run): stage.run for stage in model.stages}.values():
        search = run.search or {}
        said = ((search.get("endpoints") or {}).get("all") or {}).get("seconds_for_5_percent")
        if search.get("valid") and said:
            return max(float(said), CLIFF_S)
    cliff_s = CLIFF_S * max(1.0, (model.response_at_edge_s or 0.0) / CLIFF_RESPONSE_S)
    line, middle = model.capacity_rps, crossing.crossing(model.stages)
    if line is None or middle is None:
        return cliff_s
    lower, upper = crossing.span(model.stages)
    known = [abs(end - middle) / middle for end in (lower, upper) if end is not None]
    moves = 2 * max(known, default=line.relative_half_width)
    nearest = sorted(model.stages, key=lambda stage: abs(stage.rate_rps - middle))[:2]
    return max(cliff_s, sum(stage.duration_s for stage in nearest) * (moves / (2 * NARROW)) ** 2)


def _run(model: Model, replica: Replica, there: str) -> _Candidate | None:
    """CPU and memory of a request: from ten steps where there were fewer, and for as long as 2.5 % takes, at most an hour."""
    inputs = [one for one in (_cpu(replica), _memory(replica)) if one is not None]
    stages = usable(model.stages)
    if replica.demand is None or not inputs or len(stages) < 3:
        return None
    doubt = max(one.relative_half_width for one in inputs)
    lasted_s = sum(stage.duration_s for stage in stages)
    fewer = student_quantile(0.95, STEPS - 2) / student_quantile(0.95, max(1, min(len(stages), STEPS) - 2))
    if doubt <= NARROW:
        return None
    takes_s = min(HOUR_S, max(LEAST_RUN_S, lasted_s * (doubt * fewer / NARROW) ** 2))
    shrinks = min(1.0, fewer * (lasted_s / takes_s) ** 0.5)
    cost = replica.demand
    demand = replace(
        cost, per_arrival_s=_shrunk(cost.per_arrival_s, shrinks), base_cores=_shrunk(cost.base_cores, shrinks)
    )
    memory = replica.memory
    if memory is not None and memory.per_in_flight_mib is not None:
        memory = replace(
            memory, base_mib=_shrunk(memory.base_mib, shrinks), per_in_flight_mib=_shrunk(memory.per_in_flight_mib, shrinks)
        )  # fmt: skip
    what = "the CPU time and memory per request, by a longer run"
    if len(stages) < STEPS:
        what = "the CPU time and memory per request, by a run of more steps"
    command = (
        f"plimsoll run {model.run.contract_path} --shape breakpoint --rate {figure(cost.highest_rps)} "
        f"--duration {takes_s:.0f}{there}"
    )
    return _Candidate(what, command, float(takes_s), replace(replica, demand=demand, memory=memory))


def _cpu(replica: Replica) -> Interval | None:
    return replica.demand.per_arrival_s if isinstance(replica.demand, ServiceDemand) and replica.cores else None


def _memory(replica: Replica) -> Interval | None:
    slope = replica.memory.per_in_flight_mib if replica.memory and replica.memory_mib else None
    return slope if slope is not None and slope.mid > 0 else None


def _naming(model: Model, replica: Replica, there: str) -> _Candidate | None:
    """Stacks at the plateau say what waits, and so whether more replicas help at all; without a plateau, one comes first."""
    contract = model.run.contract_path
    if model.bottleneck.kind != "unidentified":
        return None
    if model.plateau is None:
        command = f"plimsoll run {contract} --shape breakpoint --rate {figure(model.highest_rps * 2)} --duration {OVERLOAD_S:.0f}"
        what = "what binds, by a run into overload"
        return _Candidate(what, command + there, OVERLOAD_S, replica, names_it=True)
    command = f"plimsoll profile {contract} --rate {figure(model.highest_rps)} --duration {PASS_S:.0f} --cpu"
    what = "what binds, by stacks at the plateau"
    return _Candidate(what, command + there, 2 * PASS_S + SNAPSHOTS_S, replica, names_it=True)


def _calibration(model: Model, replica: Replica, on: Machine | None) -> _Candidate | None:
    """Both machines timed again, where the line moved with their speeds: what their timings' spread makes of it."""
    here = machine.here(model.run)
    spread = here.spread + on.spread if here and on else 0.0
    if here is None or on is None or not 0 < spread < 1 or not model.bottleneck.kind.startswith("cpu"):
        return None
    demand = replica.demand
    if demand is not None:
        slopes = [_without(one, spread) for one in (demand.per_arrival_s, demand.base_cores)]
        demand = replace(demand, per_arrival_s=slopes[0], base_cores=slopes[1])
    rate = _without(replica.rate_rps, spread) if replica.rate_rps else None
    seconds = TIMINGS * (here.median_ms + on.median_ms) / 1000
    command = f"{machine.THERE}; and {machine.HERE} on the measured one"
    after = replace(replica, rate_rps=rate, demand=demand)
    return _Candidate("how fast both machines are, with nothing else running", command, seconds, after)


def _without(one: Interval, spread: float) -> Interval:
    """The interval before a factor of 1 ± spread."""
    return between(min(one.mid, one.low / (1 - spread)), one.mid, max(one.mid, one.high / (1 + spread)), one.confidence)


def _within(one: Interval, share: float) -> Interval:
    return between(one.mid * (1 - share), one.mid, one.mid * (1 + share), one.confidence)


def _shrunk(one: Interval, factor: float) -> Interval:
    return between(
        one.mid - (one.mid - one.low) * factor, one.mid, one.mid + (one.high - one.mid) * factor, one.confidence
    )
