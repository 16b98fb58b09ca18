"""What a load process adds by reading late: a response is timed when it is read, not when it came.

Lateness of sending says nothing about it. So each load process sends itself a byte over loopback at set times and
notes how long after the set time it read the byte: its timer, its loop, and the kernel's way over loopback. The echo's
delays, drawn at random and added to the service times that were measured, say how far each quantile would move.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from measurements.check import INVALID, LATENESS_MS, LATENESS_SHARE, NOTE, OK, Check
from measurements.frame import Frame
from measurements.sample import NULL
from measurements.summary import Window

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
FEWEST_ECHOES, MOST_ROWS = 20, 50_000
REMEDY = "give the generator a core of its own, use more --workers, or lower the rate"


def in_brief(echoes: list[tuple[float, float]]) -> dict[str, float] | None:
    """p50, p99 and max of the echoes' delays in ms, and their number; None without any."""
    if not echoes:
        return None
    late_ms = np.array([ms for _, ms in echoes])
    p50, p99 = np.quantile(late_ms, (0.5, 0.99))
    return {"n": len(late_ms), "p50": float(p50), "p99": float(p99), "max": float(late_ms.max())}


def read_late(frame: Frame, summary: dict[str, Any], windows: list[Window], echoes: list[tuple[float, float]]) -> Check:
    """The worst case over stages and reported quantiles. `echoes`: (s since the start, ms late) each."""
    worst: Check | None = None
    reported = {stage["name"]: stage["all"]["response_ms"] for stage in summary["stages"] if not stage["warmup"]}
    for window in windows:
        late_ms = np.array([ms for at_s, ms in echoes if window.start_s <= at_s < window.end_s])
        if window.name not in reported or len(late_ms) < FEWEST_ECHOES:
            continue
        for check in _moved(frame.at_stage(window.name), window.name, reported[window.name], late_ms):
            if worst is None or _rank(check) > _rank(worst):
                worst = check
    if worst is None:
        return Check("generator_reading", "run", OK, 0.0, LATENESS_MS, "too short to see how late answers were read")
    if worst.state == OK:
        return Check("generator_reading", "run", OK, worst.measured, worst.limit,
                     f"reading answers late moved no quantile by more than {worst.measured:.2f} ms")  # fmt: skip
    return worst


def _rank(check: Check) -> tuple[int, float]:
    return (OK, NOTE, INVALID).index(check.state), check.measured / check.limit


def _moved(stage: Frame, name: str, reported: dict[str, Any], late_ms: np.ndarray) -> list[Check]:
    timed = stage.where(stage.timed & (stage.sent_ns != NULL))
    if not len(timed):
        return []
    draw = np.random.default_rng(1)
    service_ms = (timed.done_ns - timed.sent_ns) / 1e6
    if len(service_ms) > MOST_ROWS:
        service_ms = draw.choice(service_ms, MOST_ROWS, replace=False)
    with_lag_ms = service_ms + draw.choice(late_ms, len(service_ms))
    checks = []
    for quantile, q in QUANTILES.items():
        value_ms = reported.get(quantile)
        if value_ms is None:
            continue
        moved_ms = float(np.quantile(with_lag_ms, q) - np.quantile(service_ms, q))
        limit_ms = max(LATENESS_MS, LATENESS_SHARE * value_ms)
        low_ms = reported["ci95"].get(quantile, [value_ms])[0]
        state = OK if moved_ms <= limit_ms else INVALID if value_ms - moved_ms < low_ms else NOTE
        checks.append(
            Check(
                "generator_reading", f"stage:{name}", state, moved_ms, limit_ms,
                f"the generator reads late: a byte to itself was read {np.median(late_ms):.1f} ms late "
                f"(p99 {np.quantile(late_ms, 0.99):.1f} ms), "
                f"which moves {quantile} ({value_ms:.1f} ms) by {moved_ms:.1f} ms",
                REMEDY if state != OK else "",
            )
        )  # fmt: skip
    return checks
