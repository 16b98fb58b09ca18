"""The throughput that stays the same however much more is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from capacity.documents import Stage
from capacity.fits import mean
from measurements.interval import Interval

FLAT = 0.15
LOST = 0.05
ALONE = 0.1  # half-width of what one stage shows


@dataclass(frozen=True)
class Plateau:
    """`rate_rps`: arrivals answered as expected per second, over `stages` (those beyond the knee, by rising rate).

    `shape`: flat, or collapse where more load brought less; then the rate is the best one seen, if need be before the knee:
    a service that works on for clients that gave up answers less under overload than it can. `is_end`: it was answered by
    stages that were behind and lost hardly anything yet, so that no higher rate can be sustained.
    """

    rate_rps: Interval
    stages: list[Stage]
    shape: str
    is_end: bool = True

    @property
    def offered_rps(self) -> float:
        """Arrivals per second, on average over its stages."""
        return sum(stage.rate_rps for stage in self.stages) / len(self.stages)

    def as_json(self) -> dict[str, Any]:
        return {
            "rate_rps": self.rate_rps.as_json(),
            "stages": [stage.name for stage in self.stages],
            "shape": self.shape,
        }


def overloaded(stage: Stage) -> bool:
    """More came than was answered: the backlog grew, or more than 5 % was lost to anything but wrong answers."""
    lost = stage.outcome("rejected", "timeout", "connect_error", "dropped", "abandoned") / max(stage.count, 1)
    return stage.backlog_grew or lost > LOST


def find(stages: Sequence[Stage]) -> Plateau | None:
    """None where no stage was overloaded. One overloaded stage alone is taken with ±10 %.

    A window that begins with an older backlog or ends with a young one differs from the plateau by chance and by its
    edges; the interval is Student's t over the overloaded stages, no narrower than counting noise.
    """
    beyond = [stage for stage in stages if overloaded(stage)]
    if not beyond:
        return None
    rates = [stage.ok_rps for stage in beyond]
    best = max(rates)
    before = max((stage for stage in stages if not overloaded(stage)), key=lambda stage: stage.ok_rps, default=None)
    if before is not None and best < (1 - FLAT) * before.ok_rps:
        return Plateau(mean([before.ok_rps], max(ALONE, _noise([before]))), beyond, "collapse", is_end=False)
    noise = _noise(beyond)
    if len(beyond) == 1:
        return Plateau(mean(rates, max(ALONE, noise)), beyond, "flat")
    top = [stage for stage in beyond if stage.ok_rps >= (1 - FLAT) * best]
    falling = rates[-1] < (1 - FLAT) * best and rates.index(best) < len(rates) - 1
    whole = [stage for stage in top if stage.backlog_grew and stage.error_rate <= LOST]
    if falling and whole:  # behind, and nobody had given up yet
        top = whole
    interval = mean([stage.ok_rps for stage in top], max(noise, ALONE if len(top) == 1 else 0.02))
    return Plateau(interval, top, "collapse" if falling else "flat", is_end=bool(whole) or not falling)


def _noise(stages: Sequence[Stage]) -> float:
    """Relative, of counting what was answered."""
    return 1 / max(sum(stage.ok_rps * stage.duration_s for stage in stages), 1.0) ** 0.5
