"""What production did since a plan was made: its own record, apart from the laboratory's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from capacity.figures import figure
from capacity.ledger import Entry
from measurements.interval import Interval, Refusal

ENOUGH = 12
ERRORS = 0.05  # where the SLO has no limit of its own


@dataclass(frozen=True)
class Window:
    """A few minutes of an access log: requests per second, share of failures, and times ("p95_ms", "mean_ms", …; absent:
    not logged, or of too few requests)."""

    rate_rps: float
    error_rate: float
    times_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """`rps`: where windows stop to meet what the log tells of the SLO. `untold`: limits that it does not tell; the line
    is then at most that, for one of them may have been missed before."""

    rps: float
    untold: tuple[str, ...] = ()


def observed_line(
    windows: Sequence[Window], limits: Mapping[str, float], again: str = "plimsoll ledger observe PLAN_DIR LOG",
    contract: str = "CONTRACT",
) -> Observed | Refusal:  # fmt: skip
    """Midway between the lowest rate that mostly misses and the highest below it that mostly meets. Refused where production
    never came near. `again`, `contract`: for the commands in a refusal."""
    untold = unknown(windows, limits)
    told = {"error_rate": ERRORS, **{metric: limit for metric, limit in limits.items() if metric not in untold}}
    judged = [(window.rate_rps, met) for window in windows if window.rate_rps > 0
              and (met := _meets(window, told)) is not None]  # fmt: skip
    judged.sort(key=lambda one: one[0])
    beside = f"; {says(untold)}" if untold else ""
    if len(judged) < ENOUGH:
        reason = f"the log has {len(judged)} windows with traffic that can be judged, and {ENOUGH} are needed{beside}"
        return Refusal("measured", reason, f"{again}, with a longer log")
    missed = [not met for _, met in judged]
    best, fewest = len(judged), sum(missed)
    for cut in range(len(judged) + 1):
        wrong = sum(missed[:cut]) + (len(judged) - cut) - sum(missed[cut:])
        if wrong < fewest:
            best, fewest = cut, wrong
    if best == len(judged):
        kept = "met its SLO" if not untold else "met what the log tells of its SLO"
        reason = (
            f"production {kept} up to {figure(judged[-1][0])} rps and has seen no more: its line is not known{beside}"
        )
        return Refusal("measured", reason, f"{again}, when more load has come")
    if best == 0:
        reason = f"production misses its SLO at every rate, so the rate is not the reason{beside}"
        remedy = f"plimsoll profile {contract} --rate {figure(judged[0][0])}, to see what takes the time at a low rate"
        return Refusal("measured", reason, remedy)
    return Observed((judged[best - 1][0] + judged[best][0]) / 2, untold)


def unknown(windows: Sequence[Window], limits: Mapping[str, float]) -> tuple[str, ...]:
    """The limits that fewer windows tell of than are needed."""
    return tuple(
        metric
        for metric in limits
        if metric != "error_rate" and sum(metric in window.times_ms for window in windows) < ENOUGH
    )


def says(untold: Sequence[str]) -> str:
    """What the log does not tell, and what would."""
    names = ", ".join(metric.removesuffix("_ms").replace("_", " ") for metric in untold)
    return (
        f"the log does not tell {names}, so nobody knows whether production met that "
        "(it needs request times in the log, and for a high percentile a longer --window; no access log tells tokens)"
    )


def _meets(window: Window, limits: Mapping[str, float]) -> bool | None:
    """None where no limit is missed and one is not known."""
    values = {"error_rate": window.error_rate, **window.times_ms}
    if any(metric in values and values[metric] > limit for metric, limit in limits.items()):
        return False
    return True if limits.keys() <= values.keys() else None


def entry(
    at: str, predicted: Interval, found: Observed, extrapolation: float, sha256: str, scaling: float | None = None
) -> Entry:  # fmt: skip
    """What the log tells only in part is a bound: the line is at most that."""
    measured, at_most = (None, found.rps) if found.untold else (found.rps, None)
    return Entry(
        at, "capacity, by production", "production", "production", extrapolation, predicted, measured, sha256,
        at_most=at_most, scaling=scaling,
    )  # fmt: skip
