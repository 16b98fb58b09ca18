"""What a gate can compare, and how: as a ratio of the two versions, or as a difference where zero is ordinary."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

P95_NEEDS, P99_NEEDS = 400, 5_000  # requests of one version in one block; below, the quantile is only reported
ERROR_FLOOR = 0.01  # one request in a hundred more fails


@dataclass(frozen=True)
class Metric:
    """`needs`: requests per version and block. `ratio`: compared as ln(candidate / baseline), else as a difference.
    `whole`: of the process tree, so only for the endpoint "all"."""

    name: str
    needs: int = 1
    ratio: bool = True
    whole: bool = False
    judged: bool = True


METRICS = {
    metric.name: metric
    for metric in (
        Metric("mean_ms", 20), Metric("p50_ms", 20), Metric("p95_ms", P95_NEEDS), Metric("p99_ms", P99_NEEDS),
        Metric("service_mean_ms", 20), Metric("service_p50_ms", 20), Metric("service_p95_ms", P95_NEEDS),
        Metric("ttft_p50_ms", 20), Metric("ttft_p95_ms", P95_NEEDS), Metric("tpot_p50_ms", 20),
        Metric("cpu_s_per_request", 1, whole=True), Metric("peak_memory_mib", 1, whole=True),
        Metric("leak_kib_per_request", 1, ratio=False, whole=True, judged=False),
        Metric("error_rate", 1, ratio=False),
    )
}  # fmt: skip
QUANTILES = {"mean": None, "p50": 0.5, "p95": 0.95, "p99": 0.99}


def floor_of(metric: str, floor: float) -> float:
    """The floor in the unit of the differences: ln(1 + floor), or a hundredth for shares of failures."""
    return log(1 + floor) if METRICS[metric].ratio else ERROR_FLOOR


def as_change(metric: str, difference: float) -> float:
    """A difference as people read it: 0.05 for 5 % more, or for five requests in a hundred more."""
    return exp(difference) - 1 if METRICS[metric].ratio else difference
