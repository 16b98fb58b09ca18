"""The signature of each bottleneck: what must stand where for its name to be used.

A recogniser returns a `Sign` (kind, confidence, evidence), or None. Thresholds: a resource stands at its limit from
90 % of it (Gregg, Systems Performance, 2nd ed., section 2.5 takes 100 % and warns of averages; a mean over a stage of
seconds hides as much). Confidence is a judgement of how much else could look the same, not a frequency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from capacity import declared
from capacity.demand import ServiceDemand
from capacity.documents import Stage
from capacity.facts import Facts
from capacity.fits import line
from measurements.interval import Interval

AT_LIMIT = 0.9


@dataclass(frozen=True)
class Sign:
    """`bench`: what of it is a fact of this test bench and would not be so in production."""

    kind: str
    confidence: float
    evidence: list[str]
    bench: str | None = None


def cpu(facts: Facts) -> Sign | None:
    """One process ≥ 0.9 core, whatever its affinity; or several processes on ≥ 2 cores that are ≥ 90 % busy."""
    busiest, target, allotted = facts.busiest_cores, facts.target_cores, facts.allotted_cores
    if busiest is None or target is None:
        return None
    several = (facts.processes or 1) >= 2 or busiest > 1.1
    if allotted and allotted >= 2 and several and target >= AT_LIMIT * _left_over(facts, allotted):
        said = f"the service's processes used {target:.2f} of the {_left_over(facts, allotted):.2f} cores left to them"
        return Sign("cpu_host", 0.9, [said, *_predicted(facts.target_demand, _left_over(facts, allotted), facts)])
    if AT_LIMIT <= busiest <= 1.1:
        said = f"the busiest process of the service used {busiest:.2f} of one core"
        return _checked(Sign("cpu_one_core", 0.9, [said, *_predicted(facts.busiest_demand, 1.0, facts)]), facts)
    return _shared_core(facts)


def _left_over(facts: Facts, allotted: float) -> float:
    """Cores that the generator did not take from the same host."""
    placed = (facts.run.run.get("placement") or {}).get("generator_cpus")
    return allotted if placed else max(1.0, allotted - (facts.generator_cores or 0.0))


def _shared_core(facts: Facts) -> Sign | None:
    """The cores that service and emulators share here are full, though no process of its own fills one."""
    target, together, allotted = facts.target_cores, facts.bench_cores, facts.allotted_cores
    if not target or not together or not allotted or allotted > 1.05 or together < AT_LIMIT * allotted:
        return None
    others = ", ".join(f"{role} {cores:.2f}" for role, cores in facts.dependency_cores.items() if cores >= 0.01)
    said = f"the one core of the service is full: service {target:.2f}" + (f", {others}" if others else "")
    if not others or together - target < 0.05:
        return Sign("cpu_one_core", 0.8, [f"{said}, over {facts.processes or 1:.0f} processes"])
    bench = (
        f"{said}. That the emulator shares this core is a fact of this test bench: "
        "in production it would not stand there, so the service alone would reach more"
    )
    own = _own_limit(facts)
    if own:
        bench += f" (by its own demand up to {own.mid:.3g} rps on one core, 90 % range {own.low:.3g} to {own.high:.3g})"
    if target / together >= 0.6:
        return Sign("cpu_one_core", 0.6, [said, *_predicted(facts.target_demand, target, facts)], bench)
    return Sign("unidentified", 0.5, [f"{said}: the emulator, not the service, takes most of it"], bench)


def _own_limit(facts: Facts) -> Interval | None:
    found = facts.target_demand
    return found.rate_at(1.0) if isinstance(found, ServiceDemand) else None


def _predicted(found: object, cores: float, facts: Facts) -> list[str]:
    limit = found.rate_at(cores) if isinstance(found, ServiceDemand) else None
    if limit is None or facts.plateau is None:
        return []
    seen = facts.plateau.rate_rps
    return [
        f"by the utilisation law {cores:.2g} core(s) carry {limit.mid:.3g} rps ({limit.low:.3g} to {limit.high:.3g}); "
        f"the plateau was {seen.mid:.3g} ({seen.low:.3g} to {seen.high:.3g})"
    ]


def _checked(sign: Sign, facts: Facts) -> Sign | None:
    """The measured plateau must lie inside the predicted limit (±25 % for what overload adds); else no name."""
    found = facts.busiest_demand
    limit = found.rate_at(1.0) if isinstance(found, ServiceDemand) else None
    if limit is None or facts.plateau is None:
        return Sign(sign.kind, 0.7, sign.evidence, sign.bench)
    inside = 0.75 * limit.low <= facts.plateau.rate_rps.high and facts.plateau.rate_rps.low <= 1.25 * limit.high
    return sign if inside else Sign(sign.kind, 0.55, [*sign.evidence, "the two do not agree"], sign.bench)


def dependency(facts: Facts) -> Sign | None:
    """A dependency's process fills its core while the service waits for it."""
    full = {role: cores for role, cores in facts.dependency_busiest.items() if cores >= AT_LIMIT}
    if not full or not facts.run.section("upstream"):
        return None
    role, cores = max(full.items(), key=lambda item: item[1])
    said = f"{role} used {cores:.2f} of one core, the service's busiest process {facts.busiest_cores or 0:.2f}"
    bench = f"{role} is an emulator here and short of CPU: a real upstream's limit lies elsewhere"
    return Sign("upstream", 0.7, [said], bench)


def memory(facts: Facts) -> Sign | None:
    """RSS ≥ 90 % of the limit."""
    limit = declared.memory_mib(facts.run, facts.top)
    seen = [value for stage in facts.top if (value := stage.figure("target", "rss_mib_max")) is not None]
    if not limit or not seen or max(seen) < AT_LIMIT * limit:
        return None
    return Sign("memory", 0.8, [f"the service held {max(seen):.0f} of {limit:.0f} MiB"])


def rate_limit(facts: Facts) -> Sign | None:
    """Fast rejections, CPU low, what is let through neither slower nor more, however much comes."""
    if facts.reject_share < 0.05 or not facts.plateau or facts.own_cpu_is_high:
        return None
    slower, rate = facts.slowdown(), facts.plateau.rate_rps
    if slower is None or slower > 1.3:
        return None
    used = "unknown" if facts.busiest_cores is None else f"{facts.busiest_cores:.2f} core"
    evidence = [
        f"{facts.reject_share:.0%} were rejected while what was let through took {slower:.2g} times as long as at "
        f"{facts.calm.rate_rps:.3g} rps; CPU of the busiest process: {used}"
    ]
    for name, value in declared.rates(facts.run).items():
        if 0.9 * rate.low <= value <= 1.1 * rate.high:
            said = f"the contract's {name} allows {value:.3g} rps; {rate.mid:.3g} were let through"
            return Sign("rate_limit", 0.9 if facts.own_cpu_is_low else 0.7, [*evidence, said])
    beyond = [stage for stage in facts.top if stage.rate_rps >= 1.1 * rate.mid]
    served = [stage.ok_rps for stage in beyond]
    exact = len(beyond) >= 2 and max(served) <= 1.05 * min(served) and beyond[-1].rate_rps >= 1.3 * beyond[0].rate_rps
    if not exact or _slots_full(beyond) or not facts.own_cpu_is_low:
        return None
    span = f"{beyond[0].rate_rps:.3g} to {beyond[-1].rate_rps:.3g} rps"
    said = f"{min(served):.3g} to {max(served):.3g} rps passed while {span} came"
    return Sign("rate_limit", 0.7, [*evidence, said])


def _slots_full(stages: Sequence[Stage]) -> bool:
    """The number in flight stands near its highest value: what is full is slots, not a bucket of tokens."""
    return any(s.in_flight_mean / s.in_flight_max > 0.6 for s in stages if s.in_flight_mean and s.in_flight_max)


def declared_queue(facts: Facts) -> Sign | None:
    """The plateau is what the contract's slots can do: c slots over the service time of the calmest stage."""
    if not facts.plateau or facts.own_cpu_is_high:
        return None
    for name, queue in (facts.run.section("limits").get("queue") or {}).items():
        endpoint = name if name in facts.calm.endpoints else None
        if endpoint is None and len(facts.calm.endpoints) != 1:
            continue
        entry = facts.calm.endpoints[endpoint or next(iter(facts.calm.endpoints))]
        mean_ms = (entry.get("response_ms") or {}).get("mean")
        share = (entry.get("count") or 0) / facts.calm.count
        if not mean_ms or not share:
            continue
        slots = float(queue["max_concurrent"]) * facts.run.replicas
        predicted = slots / (mean_ms / 1000) / share / facts.calm.requests_per_arrival
        rate = facts.plateau.rate_rps
        if 0.85 * rate.low <= predicted <= 1.15 * rate.high:
            said = (
                f"{slots:.0f} slots of queue {name} at {mean_ms:.3g} ms each allow {predicted:.3g} rps; "
                f"the plateau was {rate.mid:.3g}"
            )
            return Sign("concurrency_limit", 0.8 if facts.own_cpu_is_low else 0.6, [said])
    return None


def bounded_queue(facts: Facts) -> Sign | None:
    """Fast rejections beside waiting that has stopped to grow: slots are full and so is the queue before them."""
    if facts.reject_share < 0.05 or not facts.plateau or not facts.own_cpu_is_low or len(facts.top) < 2:
        return None
    slower = facts.slowdown()
    levels = [stage.in_flight_mean for stage in facts.top if stage.in_flight_mean]
    if slower is None or slower < 1.5 or not levels or max(levels) > 1.25 * min(levels):
        return None
    whose = "its own slots or the upstream's" if facts.run.section("upstream") else "its own slots"
    said = (
        f"{facts.reject_share:.0%} rejected, the rest {slower:.1f} times slower than at {facts.calm.rate_rps:.3g} rps, "
        f"the number in flight stays at {sum(levels) / len(levels):.3g}, CPU low: {whose} and the queue are full"
    )
    return Sign("concurrency_limit" if not facts.run.section("upstream") else "unidentified", 0.7, [said])


def upstream_engine(facts: Facts) -> Sign | None:
    """The engine's own gauges: its places full and requests waiting before them, the service's CPU low."""
    said = [(facts.run.server or {}).get(stage.name, {}).get("upstream") or {} for stage in facts.top]
    waiting = [one["waiting_mean"] for one in said if one.get("waiting_mean") is not None]
    running = [one for one in said if one.get("running_mean") and one.get("running_max")]
    if not waiting or not running or facts.own_cpu_is_high or min(waiting) < 1:
        return None
    full = min(one["running_mean"] / one["running_max"] for one in running)
    if full < AT_LIMIT:
        return None
    level = max(one["running_max"] for one in running)
    said_so = (
        f"the upstream's {level:.0f} places were full ({full:.0%} on average) while {min(waiting):.3g} and more waited"
    )
    return Sign("upstream", 0.85, [said_so])


def upstream_tokens(facts: Facts) -> Sign | None:
    """Own CPU low, and the gap between tokens grows with what is in flight: ITL ≈ α + β·running."""
    gaps = [
        (float(stage.in_flight_mean), float(itl["mean"]))
        for stage in facts.stages
        if stage.in_flight_mean and (itl := stage.overall.get("itl_ms") or {}).get("mean")
    ]
    if len(gaps) < 4 or not facts.own_cpu_is_low or not facts.plateau or gaps[-1][1] < 1.5 * gaps[0][1]:
        return None
    found = line({"running": [level for level, _ in gaps]}, [gap for _, gap in gaps], [1.0] * len(gaps))
    if found is None or found.slopes["running"].low <= 0:
        return None
    slope = found.slopes["running"]
    said = (
        f"the gap between tokens grew from {gaps[0][1]:.3g} to {gaps[-1][1]:.3g} ms, by {slope.mid:.3g} ms per request in "
        f"flight ({slope.low:.3g} to {slope.high:.3g}) on {found.base.mid:.3g} ms: an engine that batches is full"
    )
    return Sign("upstream", 0.75, [said])


def blocked(facts: Facts) -> Sign | None:
    """What the stacks said that were taken at the plateau."""
    kinds = {"lock": "lock", "pool": "connection_pool", "socket": "upstream"}
    shares = facts.run.blocked_frames or {}
    known = {name: share for name, share in shares.items() if name in kinds}
    if not known or not facts.own_cpu_is_low:
        return None
    name, share = max(known.items(), key=lambda item: item[1])
    if share < 0.5 or (name == "socket" and not facts.run.section("upstream")):
        return None
    return Sign(kinds[name], 0.8, [f"{share:.0%} of the serving threads were seen waiting for a {name}, CPU low"])


RECOGNISERS: tuple[Callable[[Facts], Sign | None], ...] = (
    memory, cpu, blocked, declared_queue, rate_limit, bounded_queue, upstream_engine, upstream_tokens, dependency,
)  # fmt: skip
