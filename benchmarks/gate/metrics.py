"""What a gate can compare, and how: as a ratio of the two versions, or as a difference where zero is ordinary."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

P95_NEEDS, P99_NEEDS = 400, 5_000  # requests of one version in one block; below, the quantile is only reported
MEDIAN_NEEDS = 20
FLOORS = {"error_rate": 0.01, "leak_kib_per_request": 1.0}  # one request in a hundred more; a GiB in a million requests


@dataclass(frozen=True)
class Metric:
    """`needs`: requests per version and block. `ratio`: compared as ln(candidate / baseline), else as a difference.
    `whole`: of the process tree, so only for the endpoint "all". A mean needs one: how much it says shows in its spread
    from block to block."""

    name: str
    needs: int = 1
    ratio: bool = True
    whole: bool = False


METRICS = {
    metric.name: metric
    for metric in (
        Metric("mean_ms"), Metric("p50_ms", MEDIAN_NEEDS), Metric("p95_ms", P95_NEEDS), Metric("p99_ms", P99_NEEDS),
        Metric("service_mean_ms"), Metric("service_p50_ms", MEDIAN_NEEDS), Metric("service_p95_ms", P95_NEEDS),
        Metric("ttft_p50_ms", MEDIAN_NEEDS), Metric("ttft_p95_ms", P95_NEEDS), Metric("tpot_p50_ms", MEDIAN_NEEDS),
        Metric("cpu_s_per_request", 1, whole=True), Metric("peak_memory_mib", 1, whole=True),
        Metric("leak_kib_per_request", 1, ratio=False, whole=True),
        Metric("error_rate", 1, ratio=False),
    )
}  # fmt: skip
QUANTILES = {"mean": None, "p50": 0.5, "p95": 0.95, "p99": 0.99}


WORDS = {
    "cpu_s_per_request": "CPU per request",
    "peak_memory_mib": "peak memory",
    "leak_kib_per_request": "memory growth per request",
    "error_rate": "errors",
    "ttft_p50_ms": "first token p50",
    "ttft_p95_ms": "first token p95",
    "tpot_p50_ms": "per token p50",
}


def spoken(endpoint: str, metric: str) -> str:
    """("search", "p50_ms") -> search p50."""
    name = WORDS.get(metric) or metric.removesuffix("_ms").replace("_", " ")
    return name if endpoint == "all" else f"{endpoint} {name}"


def floor_of(metric: str, floor: float) -> float:
    """The floor in the unit of the differences: ln(1 + floor), or what is fixed for differences."""
    return log(1 + floor) if METRICS[metric].ratio else FLOORS[metric]


def said(metric: str, difference: float) -> str:
    change = as_change(metric, difference)
    return f"{change:.2f} KiB" if metric == "leak_kib_per_request" else f"{change:.1%}"


def as_change(metric: str, difference: float) -> float:
    """A difference as people read it: 0.05 for 5 % more, or for five requests in a hundred more; KiB stay KiB."""
    return exp(difference) - 1 if METRICS[metric].ratio else difference
