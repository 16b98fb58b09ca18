"""How many of the requests are within the SLO at a load: as the passed stages saw it, for money per 1,000 of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capacity.documents import Stage
from capacity.figures import figure


@dataclass(frozen=True)
class WithinSlo:
    """`share` of all intended requests that were answered as expected and each within the limits of latency."""

    share: float
    stage: Stage

    def __str__(self) -> str:
        return (
            f"{self.share:.2%} of the requests are within the SLO (answered as expected and in time), as in the passed stage "
            f"at {figure(self.stage.rate_rps)} rps"
        )


def at(passed: Sequence[Stage], rate_rps: float) -> WithinSlo | None:
    """`rate_rps`: what the deployment as measured would carry. Of the passed stages the lowest that carried as much, else
    the highest: no stage at a higher load kept the SLO. None: no stage passed."""
    by_rate = sorted(passed, key=lambda stage: stage.rate_rps)
    stage = next((one for one in by_rate if one.rate_rps >= rate_rps * (1 - 1e-9)), by_rate[-1] if by_rate else None)
    if stage is None or not stage.count:
        return None
    return WithinSlo(min(1.0, _good(stage) / stage.count), stage)


def _good(stage: Stage) -> float:
    """Requests; where an endpoint's goodput is not on record, those that were answered as expected."""
    entries = stage.endpoints.values()
    if not entries or any(entry.get("goodput_rps") is None for entry in entries):
        return (1 - stage.error_rate) * stage.count
    return sum(float(entry["goodput_rps"]) for entry in entries) * stage.duration_s
