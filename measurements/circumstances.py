"""What a run itself reports about its own side, for the checks of validity to judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from measurements.summary import Window


@dataclass(frozen=True)
class Circumstances:
    """What the run itself reports about its own side."""

    loop: str
    windows: list[Window]
    given: dict[int, int] = field(default_factory=dict)  # arrivals per worker
    lost: list[dict[str, Any]] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)  # hosts that did not answer the start in time
    own_faults: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    stale: int = 0
    pool_cap: int = 0
    pool_needed: float = 0.0
    hot: list[tuple[float, float]] = field(default_factory=list)  # windows of generator CPU over 80 % of a core, in s
    longest_hot: int = 0
    cpu_share_max: float = 0.0
    run_delay_share: float = 0.0
    echoes: list[tuple[float, float]] = field(
        default_factory=list
    )  # (s, ms): when a load process read its own echo, how late
    clock_drift_ms: float = 0.0
    expectation_checked: bool = True
    has_expectation: bool = True
    allow_degraded: bool = False
    ended: str = "completed"
    stop_reason: str = ""
    unfinished: str = ""  # why an incident that was to be made was not, or not to its end
