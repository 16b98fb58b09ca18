"""How many replicas a demand takes: the headroom policy, and which of its rules binds.

L: lower bound of one replica's rate within the SLO; U: peak demand. n = ⌈U/L⌉ + 1, so that n − 1 survivors carry U;
CPU ≤ 50 % and memory ≤ 70 % of a replica's limits with all n alive. What one uses at rest every replica uses: where that
alone is beyond the share, no n keeps the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from capacity.demand import ServiceDemand
from capacity.documents import between
from capacity.figures import figure
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
class AtRest:
    """What one replica uses with no load, against the `share` of its `limit` that a rule leaves to it; in `unit`."""

    rule: str
    what: str
    used: Interval
    share: float
    limit: float
    unit: str

    @property
    def room(self) -> float:
        return self.share * self.limit - self.used.mid

    @property
    def no_number_helps(self) -> bool:
        return self.room <= 0

    @property
    def may_be_beyond(self) -> bool:
        return not self.no_number_helps and self.used.high >= self.share * self.limit

    def room_at(self, side: str) -> float:
        """At that end of what is used at rest; at its middle where that end leaves none, which `may_be_beyond` says."""
        left = self.share * self.limit - getattr(self.used, side)
        return left if left > 0 else self.room

    def __str__(self) -> str:
        return (
            f"at rest it already uses {figure(self.used.mid)} ({figure(self.used.low)} to {figure(self.used.high)}) of "
            f"{figure(self.limit)} {self.unit}"
        )


@dataclass(frozen=True)
class Sizing:
    """`needed`: replicas that carry the demand (None: only `recommended`, from a lower bound, can be said).

    `recommended` follows the policy on the pessimistic side. Shares are at the recommended number, all alive.
    `unkept`: rules that no number keeps; the numbers are then those of the other rules.
    """

    needed: Interval | None
    recommended: int
    binding_rule: str
    by_rule: dict[str, int]
    cpu_share: float | None
    memory_share: float | None
    survivors_hold: bool
    unkept: tuple[AtRest, ...] = ()


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
    unkept = tuple(one for one in at_rest(replica) if one.no_number_helps)
    return Sizing(
        needed,
        recommended,
        unkept[0].rule if unkept else max(rules, key=lambda rule: rules[rule]),
        rules,
        cpu,
        memory / replica.memory_mib if memory and replica.memory_mib else None,
        demand_rps / max(recommended - 1, 1) <= pessimistic * (1 + 1e-9),
        unkept,
    )


def at_rest(replica: Replica) -> list[AtRest]:
    """Of CPU and memory, where use and limit are both known. Memory that does not grow is at rest at its highest."""
    found = []
    if replica.demand and replica.cores:
        used = replica.demand.base_cores.scaled(1 / replica.measured)
        found.append(AtRest("cpu_50_percent", "its CPU", used, CPU_SHARE, replica.cores, "core(s)"))
    if replica.memory and replica.memory_mib:
        flat = replica.memory.per_in_flight_mib is None
        used = (replica.memory.at(0) if flat else replica.memory.base_mib).scaled(1 / replica.measured)
        found.append(AtRest("memory_70_percent", "its memory", used, MEMORY_SHARE, replica.memory_mib, "MiB"))
    return found


def _rules(replica: Replica, demand_rps: float, rate_rps: float, side: str) -> dict[str, int]:
    """Rule → replicas; without the rules that no number keeps, and without those whose growth with load is not known."""
    rules = {"n_plus_1": ceil(demand_rps / rate_rps - 1e-9) + 1}
    for one in at_rest(replica):
        grown = _grown(replica, one.rule, demand_rps, side)
        if grown is not None and not one.no_number_helps:
            rules[one.rule] = max(1, ceil(grown / one.room_at(side) - 1e-9))
    return rules


def _grown(replica: Replica, rule: str, demand_rps: float, side: str) -> float | None:
    """What the whole demand adds to what is used at rest; None: not known."""
    if rule == "cpu_50_percent":
        return getattr(replica.demand.per_arrival_s, side) * demand_rps if replica.demand else None
    slope = replica.memory.per_in_flight_mib if replica.memory else None
    if slope is None:
        return 0.0
    if replica.in_flight_per_rps is None:
        return None
    return max(0.0, getattr(slope, side)) * replica.in_flight_per_rps * demand_rps


def _memory_mib(replica: Replica, rate_rps: float) -> float | None:
    if replica.memory is None:
        return None
    slope = replica.memory.per_in_flight_mib
    if slope is None:
        return replica.memory.at(0).mid / replica.measured
    in_flight = (replica.in_flight_per_rps or 0.0) * rate_rps
    return replica.memory.base_mib.mid / replica.measured + max(0.0, slope.mid) * in_flight
