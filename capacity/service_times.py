"""How long the work itself takes, without waiting: what the simulation draws from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from capacity.documents import Stage
from measurements.frame import Frame
from measurements.quantiles import distribution
from measurements.sample import NULL, Outcome

DRAWN = 2_000
CALM = 1.2
DOUBT = 2.0  # standard errors
ENOUGH = 20
NEARLY = 0.98  # of a queue's timeout: what ended then, ended by it


def calm(stages: Sequence[Stage]) -> list[Stage]:
    """Stages in which hardly anybody waited: mean response within 20 % of the calmest's, at least 20 requests each.

    Where requests are few, chance makes one stage the lowest: the calmest is the one that is surely low, and a stage counts
    unless it is surely above.
    """
    known = [
        (s, s.response_mean_ms, DOUBT * _error_ms(s))
        for s in stages
        if s.count >= ENOUGH and s.response_mean_ms and s.error_rate <= 0.05 and not s.backlog_grew
    ]
    calmest_ms = min(((mean_ms + doubt_ms, mean_ms) for _, mean_ms, doubt_ms in known), default=(0.0, 0.0))[1]
    return [stage for stage, mean_ms, doubt_ms in known if mean_ms - doubt_ms <= CALM * calmest_ms]


def _error_ms(stage: Stage) -> float:
    """Standard error of the mean response, from its quantiles; as of exponential times where there are none."""
    times_ms = stage.overall.get("response_ms") or {}
    drawn = from_quantiles(times_ms)
    spread_ms = 1000 * float(drawn.std()) if drawn is not None else float(times_ms.get("mean") or 0.0)
    return spread_ms / (times_ms.get("n") or 1) ** 0.5


def from_rows(
    frame: Frame, stages: Sequence[Stage], timeouts_s: Mapping[str, float] | None = None
) -> dict[str, np.ndarray]:
    """endpoint → service times in s of what was answered as expected in the calm stages, and of what was given up there after
    the time that its queue gives (`timeouts_s`, endpoint → s): without the longest work all of it would seem short, and nothing
    lost where nobody waits. How much longer that would have gone on nobody saw: a mean service time, as of exponential ones.
    """
    names = {stage.name for stage in calm(stages)}
    inside = np.isin(frame.stage, [k for k, name in enumerate(frame.stages) if name in names])
    timed = inside & (frame.sent_ns != NULL) & (frame.done_ns != NULL)
    took_s = (frame.done_ns - frame.sent_ns) / 1e9
    found = {}
    for number, name in enumerate(frame.endpoints):
        mine = timed & (frame.endpoint == number)
        answered = mine & (frame.outcome == Outcome.ok)
        late = mine & ~answered & (took_s >= NEARLY * (timeouts_s or {}).get(name, np.inf))
        if answered.sum() >= ENOUGH:
            found[name] = np.concatenate([took_s[answered], took_s[late] + took_s[answered].mean()])
    return found


def by_replica(replica: np.ndarray, ok: np.ndarray, response_ms: np.ndarray) -> dict[str, dict[str, Any]]:
    """Quantiles of each replica's answers; shapes (n,) each, replicas numbered from 0."""
    found = {}
    for number in np.unique(replica[replica >= 0]).tolist():
        mine = distribution(response_ms[ok & (replica == number)])
        p95 = mine.quantiles["p95"]
        found[str(number)] = {
            "n": mine.n,
            "p50_ms": mine.quantiles["p50"].value,
            "p95_ms": p95.value,
            "p95_ci95": list(p95.ci95) if p95.ci95 else None,
        }
    return found


def of(stages: Sequence[Stage], endpoint: str, rows: Mapping[str, Any] | None) -> np.ndarray | None:
    """Service times in s (n,): the rows' where they are given, else drawn from the calm stages' quantiles."""
    if rows and endpoint in rows:
        return np.asarray(rows[endpoint], dtype=float)
    parts = []
    for stage in calm(stages):
        entry = stage.endpoints.get(endpoint) or {}
        drawn = from_quantiles(entry.get("service_ms") or entry.get("response_ms") or {})
        if drawn is not None:
            parts.append(drawn)
    return np.concatenate(parts) if parts else None


def from_quantiles(times_ms: Mapping[str, Any]) -> np.ndarray | None:
    """A sample in s with the document's quantiles, straight between them, moved to its mean; None under 20 values."""
    if (times_ms.get("n") or 0) < ENOUGH:
        return None
    places = (("min", 0.0), ("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99_9", 0.999), ("max", 1.0))
    known = [(p, float(times_ms[name])) for name, p in places if times_ms.get(name) is not None]
    at = (np.arange(DRAWN) + 0.5) / DRAWN
    values = np.interp(at, [p for p, _ in known], [value for _, value in known])
    mean = times_ms.get("mean")
    return values * (float(mean) / values.mean() if mean else 1.0) / 1000
