"""Bottlenecks that are CPU at its limit: a core, the host, a dependency's core. A recogniser returns a `Sign` or None."""

from __future__ import annotations

from collections.abc import Callable

from capacity.demand import ServiceDemand
from capacity.documents import Stage
from capacity.facts import Facts, bench_cores
from capacity.figures import figure
from capacity.plateau import overloaded
from capacity.sign import AT_LIMIT, Sign
from capacity.waiting import full_before_a_core
from measurements.interval import Interval

THROTTLED = 0.02  # s per s


def cpu(facts: Facts) -> Sign | None:
    """One process ≥ 0.9 core, whatever its affinity; or several processes on ≥ 2 cores that are ≥ 90 % busy."""
    busiest, target, allotted = facts.busiest_cores, facts.target_cores, facts.allotted_cores
    if busiest is None or target is None or full_before_a_core(facts) is not None:
        return None
    if facts.quota_cores and target >= AT_LIMIT * facts.quota_cores and (facts.throttled_s_per_s or 0.0) > THROTTLED:
        said = (
            f"the service used {target:.2f} of the {facts.quota_cores:.2f} cores that its control group allows, which held it "
            f"back for {facts.throttled_s_per_s:.2f} s a second"
        )
        return Sign("cpu_one_core" if facts.quota_cores <= 1.1 * facts.run.replicas else "cpu_host", 0.9, [said])
    several = busiest > 1.1 or ((facts.processes or 1) >= 2 and busiest < AT_LIMIT * target)
    left = _left_over(facts, allotted) if allotted and allotted >= 2 else 0.0
    if left and several and target >= AT_LIMIT * left and _stays_full(facts, _target, left):
        said = f"the service's processes used {target:.2f} of the {left:.2f} cores left to them"
        return Sign("cpu_host", 0.9, [said, *_predicted(facts.target_demand, left, facts)])
    if AT_LIMIT <= busiest <= 1.1 and _stays_full(facts, _busiest, 1.0):
        said = f"the busiest process of the service used {busiest:.2f} of one core"
        return _checked(Sign("cpu_one_core", 0.9, [said, *_predicted(facts.busiest_demand, 1.0, facts)]), facts)
    return _shared_core(facts)


def _stays_full(facts: Facts, cores_of: Callable[[Stage], float | None], limit: float) -> bool:
    """What CPU limits is at that limit in every overloaded stage, on average, not only in the best one."""
    known = [cores for stage in facts.stages if overloaded(stage) and (cores := cores_of(stage)) is not None]
    return bool(known) and sum(known) / len(known) >= 0.85 * AT_LIMIT * limit


def _busiest(stage: Stage) -> float | None:
    return stage.figure("target", "busiest_process_cores")


def _target(stage: Stage) -> float | None:
    return stage.cores("target")


def _left_over(facts: Facts, allotted: float) -> float:
    """Cores that the generator did not take from the same host."""
    placed = (facts.run.run.get("placement") or {}).get("generator")
    return allotted if placed else max(1.0, allotted - (facts.generator_cores or 0.0))


def _shared_core(facts: Facts) -> Sign | None:
    """The cores that service and emulators share here are full, though no process of its own fills one."""
    target, together, placed = facts.target_cores, facts.bench_cores, facts.placed_cores
    if not target or not together or not placed or placed > 1.05 or together < AT_LIMIT * placed:
        return None
    if not _stays_full(facts, bench_cores, placed):
        return None
    others = ", ".join(f"{role} {cores:.2f}" for role, cores in facts.dependency_cores.items() if cores >= 0.01)
    said = f"the one core of the service is full: service {target:.2f}" + (f", {others}" if others else "")
    if not others or together - target < 0.05:
        return Sign("cpu_one_core", 0.8, [f"{said}, over {facts.processes or 1:.0f} processes"])
    bench = (
        "that the upstream shares this core is a fact of this test bench: in production it would not stand there, "
        "so the service alone would reach more"
    )
    own = _own_limit(facts)
    if own:
        bench += f" (by its own demand up to {figure(own.mid)} rps on one core, 90 % range {figure(own.low)} to {figure(own.high)})"
    if target / together >= 0.6:
        return Sign("cpu_one_core", 0.6, [said, *_predicted(facts.target_demand, target, facts)], bench)
    return Sign("unidentified", 0.5, [f"{said}: the upstream, not the service, takes most of it"], bench)


def _own_limit(facts: Facts) -> Interval | None:
    found = facts.target_demand
    return found.rate_at(1.0) if isinstance(found, ServiceDemand) else None


def _predicted(found: object, cores: float, facts: Facts) -> list[str]:
    limit = found.rate_at(cores) if isinstance(found, ServiceDemand) else None
    if limit is None or facts.plateau is None:
        return []
    seen = facts.plateau.rate_rps
    return [
        f"by the utilisation law {cores:.2g} core(s) carry {figure(limit.mid)} rps ({figure(limit.low)} to {figure(limit.high)}); "
        f"the plateau was {figure(seen.mid)} ({figure(seen.low)} to {figure(seen.high)})"
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
