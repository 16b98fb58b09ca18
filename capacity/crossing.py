"""Where an SLO's figure crosses its limit, between stages: finer than the bracket that single verdicts give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp, log
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from capacity.documents import Stage
from measurements import slo

Metric = tuple[str, str]
FAR = 30.0  # a figure so many times its limit says no more about where it crossed


def crossing(stages: Sequence[Stage]) -> float | None:
    """The rate at which the first of the SLO's figures reaches its limit, in arrivals per second; None where none of them
    crosses within the stages.

    Each figure over its limit is made to rise with the rate (isotonic regression of its logarithm, weighted by
    requests), then read between the two stages around 1 on logarithmic scales.
    """
    found = [at for metric in _metrics(stages) if (at := _of(stages, metric)) is not None]
    return min(found, default=None)


def ratios(stage: Stage) -> dict[Metric, float]:
    """(endpoint, metric) → figure over limit. No failure among n counts as half a one, so that it has a logarithm."""
    limits = stage.run.slo_limits() or slo.DEFAULT
    found = {}
    for finding in slo.evaluate(limits, dict(stage.overall), dict(stage.endpoints)):
        value = _ratio(finding, stage)
        if value is not None:
            found[finding["endpoint"], finding["metric"]] = min(max(value, 1 / FAR), FAR)
    return found


def _ratio(finding: Mapping[str, Any], stage: Stage) -> float | None:
    limit = float(finding["limit"])
    if finding["metric"] == "error_rate":
        entry = stage.overall if finding["endpoint"] == "all" else stage.endpoints.get(finding["endpoint"]) or {}
        count = entry.get("count") or 0
        failed = count - (entry.get("ok") or 0)
        return max(failed, 0.5) / count / limit if count and limit else None
    if finding["metric"] == "min_goodput_rps":
        return None
    value = finding["value"] if finding["value"] is not None else finding.get("at_least")
    if value is None and finding["state"] == "missed":
        return FAR
    return float(value) / limit if value else None


def _metrics(stages: Sequence[Stage]) -> set[Metric]:
    return {metric for stage in stages for metric in ratios(stage)}


def _of(stages: Sequence[Stage], metric: Metric) -> float | None:
    known = [(s.rate_rps, s.count, r[metric]) for s in stages if metric in (r := ratios(s))]
    if len(known) < 2:
        return None
    known.sort()
    fitted = isotonic_regression([log(r) for _, _, r in known], weights=np.array([float(n) for _, n, _ in known])).x
    points = list(zip([log(rate) for rate, _, _ in known], fitted.tolist(), strict=True))
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 <= 0 < y1:
            return exp(x0 + (x1 - x0) * (0 - y0) / (y1 - y0))
    return None
