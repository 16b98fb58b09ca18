"""How many replicas a demand takes: the headroom policy, and which of its rules binds.

L: lower bound of one replica's rate within the SLO; U: peak demand. n = ⌈U/L⌉ + 1, so that n − 1 survivors carry U;
CPU ≤ 50 % and memory ≤ 70 % of a replica's limits with all n alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from capacity.demand import ServiceDemand
from capacity.documents import between
from capacity.memory import MemoryModel
from measurements.interval import Interval

CPU_SHARE = 0.5
MEMORY_SHARE = 0.7


@dataclass(frozen=True)
class Replica:
    """One replica as measured. `rate_rps` within the SLO; `cores` and `memory_mib` are its limits (None: unknown).

    `at_least_rps`: where only a lower bound of the rate is known, `rate_rps` is None.
    """

    rate_rps: Interval | None
    at_least_rps: float
    demand: ServiceDemand | None
    cores: float | None
    memory: MemoryModel | None
    memory_mib: float | None
    in_flight_per_rps: float | None
    measured: int = 1


@dataclass(frozen=True)
class Sizing:
    """`needed`: replicas that carry the demand (None: only `recommended`, from a lower bound, can be said).

    `recommended` follows the policy on the pessimistic side. Shares are at the recommended number, all alive.
    """

    needed: Interval | None
    recommended: int
    binding_rule: str
    by_rule: dict[str, int]
    cpu_share: float | None
    memory_share: float | None
    survivors_hold: bool


def size(replica: Replica, demand_rps: float) -> Sizing:
    """More demand never takes fewer replicas; every rule is a ceiling of a growing function of demand."""
    pessimistic = replica.rate_rps.low if replica.rate_rps else replica.at_least_rps
    rules = _rules(replica, demand_rps, pessimistic, "high")
    recommended = max(rules.values())
    needed = None
    if replica.rate_rps is not None:
        ends = [
            max(_rules(replica, demand_rps, rate, side).values())
            for rate, side in (
                (replica.rate_rps.high, "low"),
                (replica.rate_rps.mid, "mid"),
                (replica.rate_rps.low, "high"),
            )
        ]
        needed = between(float(ends[0]), float(ends[1]), float(ends[2]), replica.rate_rps.confidence)
    each = demand_rps / recommended
    cpu = None
    if replica.demand and replica.cores:
        cpu = (
            replica.demand.base_cores.mid / replica.measured + replica.demand.per_arrival_s.mid * each
        ) / replica.cores
    memory = _memory_mib(replica, each)
    return Sizing(
        needed,
        recommended,
        max(rules, key=lambda rule: rules[rule]),
        rules,
        cpu,
        memory / replica.memory_mib if memory and replica.memory_mib else None,
        demand_rps / max(recommended - 1, 1) <= pessimistic * (1 + 1e-9),
    )


def _rules(replica: Replica, demand_rps: float, rate_rps: float, side: str) -> dict[str, int]:
    rules = {"n_plus_1": ceil(demand_rps / rate_rps - 1e-9) + 1}
    if replica.demand and replica.cores:
        base = getattr(replica.demand.base_cores, side) / replica.measured
        room = CPU_SHARE * replica.cores - base
        used = getattr(replica.demand.per_arrival_s, side) * demand_rps
        if room > 0:
            rules["cpu_50_percent"] = max(1, ceil(used / room - 1e-9))
    if replica.memory_mib and replica.memory and replica.memory.per_in_flight_mib and replica.in_flight_per_rps:
        base = getattr(replica.memory.base_mib, side) / replica.measured
        room = MEMORY_SHARE * replica.memory_mib - base
        slope = max(0.0, getattr(replica.memory.per_in_flight_mib, side))
        if room > 0:
            rules["memory_70_percent"] = max(1, ceil(slope * replica.in_flight_per_rps * demand_rps / room - 1e-9))
    return rules


def _memory_mib(replica: Replica, rate_rps: float) -> float | None:
    if replica.memory is None:
        return None
    slope = replica.memory.per_in_flight_mib.mid if replica.memory.per_in_flight_mib else 0.0
    return (
        replica.memory.base_mib.mid / replica.measured + max(0.0, slope) * (replica.in_flight_per_rps or 0.0) * rate_rps
    )
