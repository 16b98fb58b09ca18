"""What `--slo` says: `p95<300ms,errors<1%`, each limit for the whole mix or, as `generate:p95<5s`, for one endpoint."""

from __future__ import annotations

import re
from collections.abc import Collection

from measurements.errors import UsageError

Limits = dict[str, dict[str, float]]  # endpoint (or "all") → metric of the contract's [slo] → limit

TIMES = {
    **{name: f"{name}_ms" for name in ("mean", "p50", "p90", "p95", "p99")},
    "p99.9": "p99_9_ms",
    "p99_9": "p99_9_ms",
    "ttft_p95": "ttft_p95_ms",
    "tpot_p95": "tpot_p95_ms",
}
SHARES = {"errors": "error_rate", "error_rate": "error_rate"}
PART = re.compile(r"(?:([^\s:<=]+):)?([\w.]+)<=?(\d+(?:\.\d+)?)(ms|s|%|)")
EXAMPLE = "write it like p95<300ms,errors<1%, or generate:p95<5s for one endpoint"


def parse_slo(text: str, endpoints: Collection[str] = ()) -> Limits:
    """The limits by endpoint, in the contract's own metrics and units. UsageError with the part that is not understood.

    Times are in ms or s (p50, p90, p95, p99, p99.9, mean, ttft_p95, tpot_p95), errors in % or as a share.
    """
    limits: Limits = {}
    for part in text.split(","):
        match = PART.fullmatch(re.sub(r"\s", "", part))
        if not match:
            raise UsageError(f"--slo {text!r}: {part.strip()!r} is not understood; {EXAMPLE}")
        endpoint, name, number, unit = match.groups()
        metric = TIMES.get(name) or SHARES.get(name)
        if metric is None:
            known = ", ".join([*(key for key in TIMES if "_9" not in key), "errors"])
            raise UsageError(f"--slo {text!r}: {name} is not known; there are {known}")
        if endpoint and endpoint != "all" and endpoint not in endpoints:
            raise UsageError(
                f"--slo {text!r}: {endpoint} is no endpoint of the contract; it has {', '.join(endpoints)}"
            )
        limits.setdefault(endpoint or "all", {})[metric] = _in_units(text, part.strip(), metric, float(number), unit)
    return limits


def _in_units(text: str, part: str, metric: str, number: float, unit: str) -> float:
    if metric == "error_rate":
        share = number / 100 if unit == "%" else number
        if unit not in ("%", "") or not 0 <= share < 1:
            raise UsageError(f"--slo {text!r}: {part!r} needs a share below 100 %, e.g. errors<1%")
        return share
    if unit not in ("ms", "s") or number <= 0:
        raise UsageError(f"--slo {text!r}: {part!r} needs a time above 0 with its unit, e.g. p95<300ms or p95<2s")
    return number * 1000 if unit == "s" else number


def in_words(limits: Limits) -> str:
    """The limits as they would be written for --slo."""
    names = {metric: name for name, metric in [*SHARES.items(), *TIMES.items()]}
    names |= {"error_rate": "errors", "p99_9_ms": "p99.9"}
    parts = []
    for endpoint, metrics in limits.items():
        for metric, limit in metrics.items():
            value = f"{limit * 100:g}%" if metric == "error_rate" else f"{limit:g}ms"
            parts.append(f"{'' if endpoint == 'all' else endpoint + ':'}{names.get(metric, metric)}<{value}")
    return ",".join(parts)
