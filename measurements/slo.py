"""SLOs against a summary: met, missed, or unknown where the sample cannot tell."""

from __future__ import annotations

from typing import Any

DEFAULT = {"all": {"error_rate": 0.05}}  # applies where a contract states no SLO at all
TOO_FEW = "too few samples"

Limits = dict[str, dict[str, float]]  # endpoint (or "all") -> metric -> limit


def evaluate(limits: Limits, overall: dict[str, Any], endpoints: dict[str, Any]) -> list[dict[str, Any]]:
    """A finding per endpoint and metric: endpoint, metric, limit, value, state, and `sure` where an interval is clear of
    the limit on one side."""
    findings = []
    for name, metrics in (limits or DEFAULT).items():
        entry = overall if name == "all" else endpoints.get(name)
        for metric, limit in metrics.items():
            findings.append({"endpoint": name, "metric": metric, "limit": limit, **_judge(entry, metric, limit)})
    return findings


def _judge(entry: dict[str, Any] | None, metric: str, limit: float) -> dict[str, Any]:
    if entry is None or not entry.get("count"):
        return {"value": None, "state": "unknown", "sure": False, "why": "no request was made"}
    if metric == "error_rate":
        value = entry["error_rate"]
        return {"value": value, "state": "met" if value <= limit else "missed", "sure": True}
    if metric == "min_goodput_rps":
        value = entry["goodput_rps"]
        return {"value": value, "state": "met" if value >= limit else "missed", "sure": True}
    if entry.get("ok") == 0:
        return {"value": None, "state": "missed", "sure": True, "why": "no request was answered well"}
    distribution, quantile = _place(metric)
    times = entry.get(distribution) or {}
    value = times.get(quantile)
    low, high = (times.get("ci95") or {}).get(quantile, (None, None))
    bounds = (times.get("bounds") or {}).get(quantile, {})
    if value is not None and value <= limit and "at_least" in bounds:
        return {"value": value, "state": "unknown", "sure": False, "why": "it timed out before the limit was reached"}
    if value is not None:
        missed = value > limit
        sure = low is not None and (low > limit if missed else high <= limit)
        return {"value": value, "state": "missed" if missed else "met", "sure": sure}
    if bounds.get("at_least", 0) > limit:
        return {"value": None, "state": "missed", "sure": True, "at_least": bounds["at_least"]}
    if bounds.get("at_most") is not None and bounds["at_most"] <= limit:
        return {"value": None, "state": "met", "sure": True, "at_most": bounds["at_most"]}
    return {"value": None, "state": "unknown", "sure": False, "why": TOO_FEW}


def _place(metric: str) -> tuple[str, str]:
    """p95_ms -> (response_ms, p95); ttft_p95_ms -> (ttft_ms, p95)."""
    name = metric.removesuffix("_ms")
    for kind in ("ttft", "tpot"):
        if name.startswith(f"{kind}_"):
            return f"{kind}_ms", name.removeprefix(f"{kind}_")
    return "response_ms", name


def missed(findings: list[dict[str, Any]]) -> bool:
    return any(finding["state"] == "missed" for finding in findings)
