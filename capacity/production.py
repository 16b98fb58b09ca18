"""What production did since a plan was made: its own record, apart from the laboratory's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from capacity.ledger import Entry
from measurements.interval import Interval, Refusal

ENOUGH = 12


@dataclass(frozen=True)
class Window:
    """A few minutes of an access log: requests per second, share of failures, times in ms (None: not logged)."""

    rate_rps: float
    error_rate: float
    p95_ms: float | None = None
    mean_ms: float | None = None


def observed_line(windows: Sequence[Window], limits: Mapping[str, float]) -> float | Refusal:
    """The rate at which windows stop to meet the SLO: midway between the lowest that mostly miss and the highest below
    it that mostly meet. Refused where production never came near."""
    known = sorted((window for window in windows if window.rate_rps > 0), key=lambda window: window.rate_rps)
    if len(known) < ENOUGH:
        reason = f"the log has {len(known)} windows with traffic, and {ENOUGH} are needed"
        return Refusal("measured", reason, "plimsoll ledger observe PLAN_DIR LOG with a longer log")
    missed = [not _meets(window, limits) for window in known]
    best, fewest = len(known), sum(missed)
    for cut in range(len(known) + 1):
        wrong = sum(missed[:cut]) + (len(known) - cut) - sum(missed[cut:])
        if wrong < fewest:
            best, fewest = cut, wrong
    if best == len(known):
        top = known[-1].rate_rps
        reason = f"production met its SLO up to {top:.3g} rps and has seen no more: its line is not known"
        return Refusal("measured", reason, "wait for more load")
    if best == 0:
        reason = "production misses its SLO at every rate, so the rate is not the reason"
        return Refusal("measured", reason, "look for another cause first")
    return (known[best - 1].rate_rps + known[best].rate_rps) / 2


def _meets(window: Window, limits: Mapping[str, float]) -> bool:
    if window.error_rate > limits.get("error_rate", 0.05):
        return False
    for metric in ("p95_ms", "mean_ms"):
        value = getattr(window, metric)
        if metric in limits and value is not None and value > limits[metric]:
            return False
    return True


def entry(at: str, predicted: Interval, measured_rps: float, model: str, highest_rps: float, sha256: str) -> Entry:
    return Entry(
        at, "capacity, by production", model, "production", predicted.mid / highest_rps, predicted, measured_rps, sha256
    )
