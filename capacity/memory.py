"""Memory of one target: what it needs at rest, per request in flight, and what it keeps per request served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from capacity.documents import Stage, between
from capacity.fits import line
from measurements.interval import Interval, Refusal


@dataclass(frozen=True)
class MemoryModel:
    """RSS = base + per_in_flight·N + growth·requests served, in MiB, of all the target's processes.

    `growth_mib_per_1000` may be a leak or a cache that fills; only a long run at one rate tells.
    """

    base_mib: Interval
    per_in_flight_mib: Interval | None
    growth_mib_per_1000: Interval | None
    highest_mib: float
    note: str

    def at(self, in_flight: float) -> Interval:
        slope = self.per_in_flight_mib
        if slope is None:
            return between(self.base_mib.low, max(self.base_mib.mid, self.highest_mib), self.highest_mib)
        base = self.base_mib
        ends = [base.low + slope.low * in_flight, base.mid + slope.mid * in_flight, base.high + slope.high * in_flight]
        return between(ends[0], ends[1], ends[2])

    def hours_to(self, limit_mib: float, served_rps: float) -> float | None:
        """Until what is kept per request served reaches a limit, at a rate; None where nothing is known to be kept."""
        growth = self.growth_mib_per_1000
        if growth is None or growth.low <= 0 or served_rps <= 0:
            return None
        return max(0.0, limit_mib - self.base_mib.mid) / (growth.mid / 1000 * served_rps) / 3600

    def as_json(self) -> dict[str, Any]:
        def shown(value: Interval | None) -> dict[str, float] | None:
            return None if value is None else value.as_json()

        return {
            "base_mib": self.base_mib.as_json(),
            "per_in_flight_mib": shown(self.per_in_flight_mib),
            "growth_mib_per_1000_requests": shown(self.growth_mib_per_1000),
            "highest_mib": self.highest_mib,
            "note": self.note,
        }


def fit(stages: Sequence[Stage]) -> MemoryModel | Refusal:
    """Regression of RSS on the number in flight and on requests served so far, stages in the order of time.

    In a run of rising steps the two grow together; where they cannot be told apart only the sum is given.
    """
    in_time = sorted(stages, key=lambda stage: (stage.run.path, stage.start_s))
    rss, in_flight, served = [], [], []
    so_far, run = 0.0, None
    for stage in in_time:
        if stage.run.path != run:
            so_far, run = 0.0, stage.run.path
        so_far += stage.count / 2
        value = stage.figure("target", "rss_mib_mean")
        if value is not None and stage.in_flight_mean is not None:
            rss.append(value)
            in_flight.append(float(stage.in_flight_mean))
            served.append(so_far / 1000)
        so_far += stage.count / 2
    contract = stages[0].run.contract_path if stages else "CONTRACT"
    soak = f"plimsoll run {contract} --shape soak --duration 1800"
    if len(rss) < 3:
        return Refusal("memory", "needs 3 stages in which the target's memory was seen", soak)
    highest = max(stage.figure("target", "rss_mib_max") or 0.0 for stage in stages)
    flat = [1.0] * len(rss)
    both = line({"in_flight": in_flight, "served": served}, rss, flat)
    if both is not None and len(rss) >= 5:
        return MemoryModel(
            both.base, both.slopes["in_flight"], both.slopes["served"], highest, "told apart by regression"
        )
    single = line({"in_flight": in_flight}, rss, flat)
    if single is None:
        base = between(min(rss), min(rss), max(rss))
        return MemoryModel(base, None, None, highest, "it did not change with the load in a way that could be fitted")
    note = f"growth per request in flight and per request served cannot be told apart in this run; to do so: {soak}"
    return MemoryModel(single.base, single.slopes["in_flight"], None, highest, note)
