"""What a request costs: CPU-seconds by the utilisation law U = X·D, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from capacity import mix
from capacity.documents import CONFIDENCE, Stage, between
from capacity.fits import line
from capacity.mix import Windows
from measurements.interval import Interval, Refusal

VARIES = 0.2  # of an endpoint's share, between stages: chance alone would mistake a bent line for a dear endpoint


@dataclass(frozen=True)
class ServiceDemand:
    """`per_arrival_s`: CPU-seconds per arrival of the measured mix; `base_cores`: what is used with no load.

    `per_endpoint_s` (per request) only where the mix varied enough to tell the endpoints apart.
    """

    who: str
    per_arrival_s: Interval
    base_cores: Interval
    stages: int
    highest_rps: float
    per_endpoint_s: dict[str, Interval] = field(default_factory=dict)

    def cores_at(self, rate_rps: float) -> Interval:
        """Cores used at a rate: base + X·D."""
        return between(
            self.base_cores.low + self.per_arrival_s.low * rate_rps,
            self.base_cores.mid + self.per_arrival_s.mid * rate_rps,
            self.base_cores.high + self.per_arrival_s.high * rate_rps,
        )

    def rate_at(self, cores: float) -> Interval | None:
        """The rate that uses so many cores; None where the base alone uses them or the demand may be nothing."""
        slope = self.per_arrival_s
        rates = [(cores - self.base_cores.mid) / d for d in (slope.high, slope.mid, slope.low) if d > 0]
        if len(rates) < 3 or rates[1] <= 0:
            return None
        return between(rates[0], rates[1], rates[2], slope.confidence)

    def as_json(self) -> dict[str, Any]:
        return {
            "who": self.who,
            "cpu_s_per_arrival": self.per_arrival_s.as_json(),
            "base_cores": self.base_cores.as_json(),
            "per_endpoint_cpu_s": {name: value.as_json() for name, value in self.per_endpoint_s.items()},
            "stages": self.stages,
            "highest_rps": self.highest_rps,
        }


def usable(stages: Sequence[Stage]) -> list[Stage]:
    """Stages whose completions stand for their work: not overloaded, at most 5 % failed. All, if that leaves < 3."""
    calm = [stage for stage in stages if not stage.backlog_grew and stage.error_rate <= 0.05]
    return calm if len(calm) >= 3 else [stage for stage in stages if stage.error_rate <= 0.05]


def fit(stages: Sequence[Stage], who: str, cores_of: Callable[[Stage], float | None]) -> ServiceDemand | Refusal:
    """D by weighted regression of cores on the completion rate over stages (utilisation law, Denning and Buzen 1978).

    The variance of a stage's cores grows with its rate (a sum of random service times), hence the weights. It stops
    being true where work is thrown away (timeouts, retries) or gets cheaper in bulk: such stages are left out.
    """
    known = [(stage, used) for stage in usable(stages) if (used := cores_of(stage)) is not None]
    rates = [stage.completed_rps for stage, _ in known]
    contract = stages[0].run.contract_path if stages else "CONTRACT"
    remedy = f"plimsoll run {contract} --shape breakpoint --duration 300"
    if len(known) < 3 or max(rates) < 1.3 * min(rates):
        reason = f"needs 3 stages with CPU times at rates that differ by 30 %, without overload; has {len(known)}"
        return Refusal(f"demand.{who}", reason, remedy)
    cores = [value for _, value in known]
    variance = [rate / stage.duration_s for rate, (stage, _) in zip(rates, known, strict=True)]
    found = line({"all": rates}, cores, variance)
    if found is None or found.slopes["all"].mid <= 0:
        return Refusal(
            f"demand.{who}", "CPU use did not rise with the rate, so no cost per request can be seen", remedy
        )
    slope = found.slopes["all"]
    slope = between(max(slope.low, 0.0), slope.mid, slope.high, CONFIDENCE)
    endpoints = _per_endpoint([stage for stage, _ in known], rates, cores, variance)
    return ServiceDemand(who, slope, found.base, len(known), max(rates), endpoints)


def resampled(found: ServiceDemand | Refusal, windows: Windows | None) -> ServiceDemand | Refusal:
    """No narrower than what blocks of consecutive seconds, drawn anew within each stage, make of the same line."""
    used = windows.used.get("cpu_s") if windows is not None else None
    if isinstance(found, Refusal) or windows is None or used is None or (line_of := mix.line(windows, used)) is None:
        return found
    base, slope = line_of
    return replace(
        found, per_arrival_s=_wider(found.per_arrival_s, slope), base_cores=_wider(found.base_cores, base)
    )  # fmt: skip


def _wider(fitted: Interval, drawn: Interval) -> Interval:
    """The fitted middle with the larger distance to either end."""
    below, above = (
        max(fitted.mid - fitted.low, drawn.mid - drawn.low),
        max(fitted.high - fitted.mid, drawn.high - drawn.mid),
    )
    return between(max(0.0, fitted.mid - below), fitted.mid, fitted.mid + above, fitted.confidence)


def _per_endpoint(
    stages: list[Stage], rates: list[float], cores: list[float], variance: list[float]
) -> dict[str, Interval]:
    """Empty unless the mix was varied on purpose and every endpoint's demand comes out positive, known to ±50 %."""
    names = sorted({name for stage in stages for name in stage.endpoints})
    if len(names) < 2 or len(stages) < len(names) + 3:
        return {}
    spread = [max(shares) - min(shares) for shares in ([s.share_of(name) for s in stages] for name in names)]
    if max(spread) < VARIES:
        return {}
    x = {
        name: [
            rate * stage.requests_per_arrival * stage.share_of(name) for rate, stage in zip(rates, stages, strict=True)
        ]
        for name in names
    }
    found = line(x, cores, variance)
    if found is None or any(s.low <= 0 or s.relative_half_width > 0.5 for s in found.slopes.values()):
        return {}
    return found.slopes
