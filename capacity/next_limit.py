"""What binds next, once the bottleneck is gone, and at which load: the lowest known limit above the present line.

CPU by the utilisation law. Places (slots, a pool, an upstream) and memory by Little's law, N = X·W: what an arrival holds,
and for how long, gives the rate at which all of it is held. Limits that a contract states need no law. What was neither
declared nor seen (a pool without gauges, a provider's quota) is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from capacity import declared, memory, queue_options, service_times
from capacity.demand import ServiceDemand, usable
from capacity.documents import Stage, between
from capacity.facts import Facts
from capacity.figures import figure
from capacity.memory import MemoryModel
from capacity.sign import AT_LIMIT
from measurements.interval import Interval

EXTRAPOLATION = 1.5
IT_BINDS = (0.85, 1.15)  # a limit so near to the plateau, times it, is the one that binds already
FEW = 3  # stages
# gauges of a pool and of its size, as OpenTelemetry's conventions, HikariCP and others name them
IN_USE = re.compile(r"^(.*(?:pool|connections?))(?:_connections?)?_(?:in_use|active|used|usage|checked_?out|busy)$")
SIZE = re.compile(r"^(.*(?:pool|connections?))(?:_connections?)?_(?:max|size|limit|capacity)$")
FREE = ("idle", "free", "pending")


@dataclass(frozen=True)
class Next:
    """What would bind once the bottleneck is gone; `at_rps` None where only a lower bound can be given, such as 1.5 times
    what was measured. `further`: the other known limits, by rising rate."""

    kind: str
    who: str
    at_rps: Interval | None
    at_least_rps: float | None
    reason: str
    further: tuple[Next, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "at_rps": self.at_rps.as_json() if self.at_rps else None,
            "further": [one.as_json() for one in self.further],
        }


@dataclass(frozen=True)
class _Limit:
    """`rps.high` is infinite where only a lower bound is known. `stated`: not extrapolated, but written in the contract."""

    kind: str
    who: str
    rps: Interval
    reason: str
    stated: bool = False


def of(facts: Facts, binding: str) -> Next | None:
    """The lowest of the known limits that is not the one that binds already."""
    line_rps = facts.plateau.rate_rps.mid if facts.plateau else max(stage.ok_rps for stage in facts.stages)
    above = [
        replace(one, rps=between(max(one.rps.low, line_rps), max(one.rps.mid, line_rps), one.rps.high))
        for one in (*_cpu(facts, binding), *_memory(facts), *_queues(facts), *_upstream(facts), *_pools(facts), *_rates(facts))
        if one.rps.high > line_rps and not _binds_already(one, facts, binding)
    ]  # fmt: skip
    ordered = sorted(above, key=lambda one: (one.rps.high == inf, one.rps.mid))
    horizon_rps = EXTRAPOLATION * max(stage.rate_rps for stage in facts.stages)
    found = [_shown(one, horizon_rps) for one in ordered]
    return replace(found[0], further=tuple(found[1:])) if found else None


def _binds_already(limit: _Limit, facts: Facts, binding: str) -> bool:
    if limit.kind != binding or limit.kind.startswith("cpu"):
        return False
    if facts.plateau is None or binding in ("memory", "upstream", "connection_pool"):
        return True  # there is one of it
    rate = facts.plateau.rate_rps
    return IT_BINDS[0] * rate.low <= limit.rps.mid <= IT_BINDS[1] * rate.high


def _shown(limit: _Limit, horizon_rps: float) -> Next:
    if limit.rps.high == inf:
        reason = f"{limit.reason}; the growth may also be none, so that only a lower end is known"
        return Next(limit.kind, limit.who, None, min(limit.rps.low, horizon_rps), reason)
    if limit.stated or limit.rps.mid <= horizon_rps:
        return Next(limit.kind, limit.who, limit.rps, None, limit.reason)
    reason = (
        f"{limit.reason}: beyond 1.5 times the highest measured rate, where no figure is given; it is not before that"
    )
    return Next(limit.kind, limit.who, None, horizon_rps, reason)


def _cpu(facts: Facts, binding: str) -> Iterator[_Limit]:
    """Of each dependency's busiest process, and of the service: its busiest process, else all cores or its quota."""
    upstream = "upstream" if facts.run.section("upstream") else "unidentified"
    demands: list[tuple[str, str, object, float | None]] = [
        (upstream, role, found, 1.0) for role, found in facts.dependency_demand.items()
    ]
    if binding != "cpu_one_core":
        demands.append(("cpu_one_core", "the service's busiest process", facts.busiest_demand, 1.0))
        if binding != "cpu_host":
            demands.append(("cpu_host", "the service's control group", facts.target_demand, facts.quota_cores))
    elif facts.host_cores and facts.host_cores >= 2:
        demands.append(("cpu_host", "all cores of this host", facts.target_demand, facts.host_cores))
    for kind, who, found, cores in demands:
        limit = found.rate_at(cores) if isinstance(found, ServiceDemand) and cores else None
        if limit is not None and kind != binding:
            yield _Limit(kind, who, limit, f"{who}: CPU demand extrapolated by the utilisation law")


def _memory(facts: Facts) -> Iterator[_Limit]:
    """The rate at which what is in flight fills 90 % of the limit, from which on memory is said to bind."""
    limit_mib, model = declared.memory_mib(facts.run, facts.top), memory.fit(facts.stages)
    held = _held_s([(stage, stage.in_flight_mean) for stage in facts.stages])
    slope = model.per_in_flight_mib if isinstance(model, MemoryModel) else None
    if not limit_mib or not isinstance(model, MemoryModel) or slope is None or slope.mid <= 0 or held is None:
        return
    room = [AT_LIMIT * limit_mib - base for base in (model.base_mib.high, model.base_mib.mid, model.base_mib.low)]
    if room[0] <= 0:
        return
    places = between(room[0] / slope.high, room[1] / slope.mid, room[2] / slope.low if slope.low > 0 else inf)
    said = (
        f"memory: {figure(model.base_mib.mid)} MiB and {figure(slope.mid)} MiB a request in flight fill {AT_LIMIT:.0%} of "
        f"{figure(limit_mib)} MiB with {figure(places.mid)} in flight, if response times stay as before overload"
    )
    yield _Limit("memory", "the service's memory", _full(places, held), said)


def _queues(facts: Facts) -> Iterator[_Limit]:
    """c slots of S seconds each: c/S; at the lower end with what an answer took at the highest load without a backlog."""
    names = sorted({name for stage in facts.stages for name in stage.endpoints})
    for queue, section in (facts.run.section("limits").get("queue") or {}).items():
        endpoint = queue_options.endpoint_of(queue, names)
        times_s = service_times.of(facts.stages, endpoint, facts.run.service_times_s) if endpoint else None
        if endpoint is None or times_s is None:
            continue
        entries = [(stage, stage.endpoints.get(endpoint) or {}) for stage in usable(facts.stages)]
        arrivals = sum(stage.rate_rps * stage.duration_s for stage, _ in entries)
        count = sum(entry.get("count") or 0 for _, entry in entries)
        calm = sum(
            (stage.endpoints.get(endpoint) or {}).get("count") or 0 for stage in service_times.calm(facts.stages)
        )
        if not count or not calm:
            continue
        slowest_s = max(((entry.get("response_ms") or {}).get("mean") or 0.0) / 1000 for _, entry in entries)
        mean_s, half_s = float(times_s.mean()), 1.645 * float(times_s.std()) / calm**0.5
        slots, share = float(section["max_concurrent"]) * facts.run.replicas, count / arrivals
        held = between(max(1e-9, mean_s - half_s), mean_s, max(slowest_s, mean_s + half_s)).scaled(share)
        said = f"{slots:.0f} slots of queue {queue} at {figure(mean_s * 1000)} ms each, as long as an answer takes no longer"
        yield _Limit("concurrency_limit", f"queue {queue}", _full(between(slots, slots, slots), held), said)


def _upstream(facts: Facts) -> Iterator[_Limit]:
    """Its places, where its gauges showed them: as many as ran while others waited."""
    gauges = {name: one.get("upstream") or {} for name, one in (facts.run.server or {}).items()}
    places = max((one.get("running_max") or 0.0 for one in gauges.values() if _waited(one)), default=0.0)
    held = _held_s([(stage, gauges.get(stage.name, {}).get("running_mean")) for stage in facts.stages])
    if not facts.run.section("upstream") or not places or held is None:
        return
    said = f"the upstream's {places:.0f} places, of which an arrival holds one for {figure(held.mid)} s"
    yield _Limit("upstream", "the upstream's places", _full(between(places, places, places), held), said)


def _waited(gauge: Mapping[str, Any]) -> bool:
    return max(gauge.get("waiting_max") or 0.0, gauge.get("waiting_mean") or 0.0) >= 1


def _pools(facts: Facts) -> Iterator[_Limit]:
    """Pools whose gauges the service shows: connections in use, and how many there are."""
    in_use: dict[str, list[tuple[Stage, float]]] = {}
    sizes: dict[str, float] = {}
    for stage in facts.stages:
        for gauge in (facts.run.server or {}).get(stage.name, {}).get("gauges") or []:
            name, state = str(gauge["name"]), str((gauge.get("labels") or {}).get("state") or "")
            used, whole = IN_USE.match(name), SIZE.match(name)
            if used and state not in FREE:
                in_use.setdefault(used[1], []).append((stage, float(gauge["mean"])))
            elif whole:
                sizes[whole[1]] = float(gauge["max"])
    for pool, readings in in_use.items():
        held, size = _held_s(readings), sizes.get(pool)
        if held is not None and size:
            said = (
                f"the {size:.0f} connections of {pool}, of which an arrival holds one for {figure(held.mid * 1000)} ms"
            )
            yield _Limit("connection_pool", pool, _full(between(size, size, size), held), said)


def _rates(facts: Facts) -> Iterator[_Limit]:
    front = facts.run.section("limits").get("front") or {}
    for name, rate_rps in declared.rates(facts.run).items():
        share = _behind(facts, str(front.get("paths") or "/") if name == "front proxy" else "/")
        if share:
            arrivals_rps = rate_rps / share
            said = f"the contract's {name} allows {figure(arrivals_rps)} rps, a policy, not a capacity"
            yield _Limit("rate_limit", name, between(arrivals_rps, arrivals_rps, arrivals_rps), said, stated=True)


def _behind(facts: Facts, paths: str) -> float:
    """Requests per arrival whose path the proxy limits."""
    stated = facts.run.contract.get("endpoint") or []
    covered = {str(one.get("name")) for one in stated if str(one.get("path")).startswith(paths.rstrip("*"))}
    return sum(
        (entry.get("count") or 0)
        for stage in facts.stages
        for name, entry in stage.endpoints.items()
        if paths == "/" or name in covered
    ) / sum(stage.rate_rps * stage.duration_s for stage in facts.stages)


def _held_s(readings: Sequence[tuple[Stage, float | None]]) -> Interval | None:
    """W = N/X over the stages without overload: all of them together, and the least and the most of any."""
    calm = {id(stage) for stage in usable([stage for stage, _ in readings])}
    known = [(stage, float(level)) for stage, level in readings if level and id(stage) in calm]
    if len(known) < FEW:
        return None
    each_s = [level / stage.rate_rps for stage, level in known]
    arrivals = sum(stage.rate_rps * stage.duration_s for stage, _ in known)
    return between(min(each_s), sum(level * stage.duration_s for stage, level in known) / arrivals, max(each_s))


def _full(places: Interval, held_s: Interval) -> Interval:
    """X = N/W."""
    return between(places.low / held_s.high, places.mid / held_s.mid, places.high / held_s.low)
