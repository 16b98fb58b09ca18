"""Where an SLO's figure crosses its limit, between stages: finer than the bracket that single verdicts give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp, inf, isfinite, log
from typing import Any, Literal

import numpy as np
from scipy.optimize import isotonic_regression

from capacity.documents import Stage
from measurements import slo
from measurements.distributions import share_bounds

Metric = tuple[str, str]
Side = Literal["lower", "mid", "upper"]
FAR = 30.0  # a figure so many times its limit says no more about where it crossed


def crossing(stages: Sequence[Stage], side: Side = "mid") -> float | None:
    """The rate at which the first of the SLO's figures reaches its limit, in arrivals per second; None where none of them
    crosses within the stages.

    Each figure over its limit is made to rise with the rate (isotonic regression of its logarithm, weighted by
    requests), then read between the two stages around 1 on logarithmic scales. `side`: of each figure's interval; its
    upper end crosses first and gives the rate's lower end.
    """
    found = line([(stage.rate_rps, stage.count, ratios(stage, side)) for stage in stages])
    return found if isfinite(found) else None


def line(points: Sequence[tuple[float, int, Mapping[Metric, float]]]) -> float:
    """The same from (rate, requests, ratios) per stage; −inf where a figure is past its limit from the first stage on, inf
    where none reaches it."""
    metrics = {metric for *_, found in points for metric in found}
    return min((_of(points, metric) for metric in metrics), default=inf)


def of_repeats(groups: Sequence[Sequence[Stage]]) -> float | None:
    """The same from stages that repeat the same rate: what chance did to each is averaged (the mean of logarithms) before the
    figures are made to rise, for a single unlucky stage at a low rate would draw the line down to it."""
    points = []
    for group in groups:
        seen = [{m: log(min(max(r, 1 / FAR), FAR)) for m, r in ratios(stage).items()} for stage in group]
        metrics = set.intersection(*(set(one) for one in seen))
        mean = {metric: exp(float(np.mean([one[metric] for one in seen]))) for metric in metrics}
        rate_rps = exp(float(np.mean([log(stage.rate_rps) for stage in group])))
        points.append((rate_rps, sum(stage.count for stage in group), mean))
    found = line(points)
    return found if isfinite(found) else None


def span(stages: Sequence[Stage]) -> tuple[float | None, float | None]:
    """(lower, upper) end of the crossing, each None where the data do not give it."""
    return crossing(stages, "upper"), crossing(stages, "lower")


def ratios(stage: Stage, side: Side = "mid") -> dict[Metric, float]:
    """(endpoint, metric) → figure over limit. No failure among n counts as half a one, so that it has a logarithm."""
    limits = stage.run.slo_limits() or slo.DEFAULT
    found = {}
    for finding in slo.evaluate(limits, dict(stage.overall), dict(stage.endpoints)):
        entry = stage.overall if finding["endpoint"] == "all" else stage.endpoints.get(finding["endpoint"]) or {}
        value = _ratio(finding, entry, side)
        if value is not None:
            found[finding["endpoint"], finding["metric"]] = value
    return found


def _ratio(finding: Mapping[str, Any], entry: Mapping[str, Any], side: Side) -> float | None:
    limit, metric, count = float(finding["limit"]), str(finding["metric"]), int(entry.get("count") or 0)
    if metric == "error_rate":
        return _share(count - int(entry.get("ok") or 0), count, side) / limit if count and limit else None
    if metric == "min_goodput_rps":
        return None
    kind = next((f"{name}_ms" for name in ("ttft", "tpot") if metric.startswith(f"{name}_")), "response_ms")
    name = metric.removesuffix("_ms").removeprefix("ttft_").removeprefix("tpot_")
    times = entry.get(kind) or {}
    ends, bounds = (times.get("ci95") or {}).get(name), (times.get("bounds") or {}).get(name) or {}
    value = times.get(name)
    if side != "mid" and ends:
        value = ends[0] if side == "lower" else ends[1]
    elif value is None:
        value = bounds.get({"upper": "at_most", "lower": "at_least", "mid": "sample"}[side])
        if value is None and side == "mid":  # summaries of before `sample`
            value = bounds.get("at_least")
    if value is None:
        return FAR if finding["state"] == "missed" else None
    return float(value) / limit


def _share(failed: int, count: int, side: Side) -> float:
    """The share that failed, or an end of its 90 % interval (Clopper and Pearson 1934)."""
    if side == "lower":
        return share_bounds(failed, count, 0.05)[0]
    if side == "upper":
        return share_bounds(failed, count, 0.05)[1]
    return max(failed, 0.5) / count


def _of(points: Sequence[tuple[float, int, Mapping[Metric, float]]], metric: Metric) -> float:
    known = sorted((rate, count, found[metric]) for rate, count, found in points if metric in found)
    weights = np.array([float(count) for _, count, _ in known])
    logs = [log(min(max(ratio, 1 / FAR), FAR)) for *_, ratio in known]
    fitted = isotonic_regression(logs, weights=weights).x.tolist()
    if fitted[0] > 0:
        return -inf
    curve = zip([log(rate) for rate, *_ in known], fitted, strict=True)
    for (x0, y0), (x1, y1) in pairwise(curve):
        if y0 <= 0 < y1:
            return exp(x0 + (x1 - x0) * (0 - y0) / (y1 - y0))
    return inf
