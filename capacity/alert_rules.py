"""Prometheus alert rules: from the SLOs, from the contract's [alert] section, and from the line that the plan found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capacity.deployment import Deployment
from capacity.documents import RunDocuments
from capacity.figures import figure

SECONDS = re.compile(r"(request|response|api).*(_seconds|_duration_seconds)$")
REQUESTS = re.compile(r"requests?(_total)?$")
WORSE = {"critical": "critical", "high": "high", "medium": "medium", "low": "low"}


@dataclass(frozen=True)
class MetricNames:
    """A histogram of response times in seconds, a counter of requests; `failed` selects the failed ones of it."""

    seconds: str = "http_request_duration_seconds"
    requests: str = "http_requests_total"
    failed: str = 'status=~"5..|429"'
    note: str = "usual names, not seen on this service: rename them to yours"


@dataclass(frozen=True)
class Rule:
    alert: str
    expr: str
    for_s: int
    severity: str
    summary: str


def metric_names(run: RunDocuments) -> MetricNames:
    """As scraped during the run where that was done, else the usual names."""
    windows = list((run.server or {}).values())
    histograms = sorted(
        {str(h["name"]) for w in windows for h in w.get("histograms") or [] if SECONDS.search(str(h["name"]))}
    )
    counters = [c for w in windows for c in w.get("counters") or [] if REQUESTS.search(str(c["name"]))]
    counters.sort(key=lambda counter: ("status" not in (counter.get("labels") or {}), str(counter["name"])))
    if not histograms or not counters:
        return MetricNames()
    name = str(counters[0]["name"])
    label = "status" if "status" in (counters[0].get("labels") or {}) else None
    return MetricNames(
        histograms[0],
        name if name.endswith("_total") else f"{name}_total",
        'status=~"5..|429"' if label else 'status="no such label: name yours"',
        "as scraped in the run",
    )


def rules(d: Deployment, names: MetricNames) -> list[Rule]:
    """All rules of one service."""
    found = [rule for name, metrics in d.limits.items() for rule in _slo(d, names, name, metrics)]
    found += [rule for index, alert in enumerate(d.alerts, 1) if (rule := _stated(d, names, alert, index)) is not None]
    found.append(
        Rule(
            f"{_camel(d.name)}ReplicaLost",
            f'sum(up{{job="{d.name}"}}) < {d.replicas}',
            60,
            "high",
            f"fewer than the planned {d.replicas} replicas are up; the plan survives the loss of one",
        )
    )
    if d.line_rps:
        found.append(
            Rule(
                f"{_camel(d.name)}DemandReachesThePlan",
                f'sum(rate({names.requests}{{job="{d.name}"}}[5m])) > {figure(0.9 * d.demand_rps)}',
                600,
                "medium",
                f"demand is at 90 % of the {figure(d.demand_rps)} rps that was planned for: plan again",
            )
        )
    return found


def _slo(d: Deployment, names: MetricNames, endpoint: str, metrics: Mapping[str, float]) -> list[Rule]:
    job = f'job="{d.name}"'
    found = []
    for metric, limit in metrics.items():
        title = f"{_camel(d.name)}{_camel(endpoint)}{_camel(metric)}"
        quantile = re.fullmatch(r"p(\d+)(?:_(\d+))?_ms", metric)
        if quantile:
            share = float(f"0.{quantile[1]}{quantile[2] or ''}")
            expr = _quantile(names, job, share, limit)
        elif metric == "mean_ms":
            expr = f"{_mean(names, job)} > {limit / 1000}"
        elif metric == "error_rate":
            expr = f"{_errors(names, job)} > {limit}"
        else:
            continue
        summary = (
            f"{endpoint} misses its SLO {metric} {limit:g} (of the whole service: add your label for one endpoint)"
        )
        found.append(Rule(title, expr, 300, "high", summary))
    return found


def _stated(d: Deployment, names: MetricNames, alert: Mapping[str, Any], index: int) -> Rule | None:
    job = f'job="{d.name}"'
    above = alert.get("above") is not None
    limit = float(alert["above"] if above else alert["below"])
    sides = {
        "response_ms": f"1000 * {_mean(names, job)}",
        "response_p95_ms": f"1000 * histogram_quantile(0.95, sum by (le) (rate({names.seconds}_bucket{{{job}}}[5m])))",
        "error_rate": _errors(names, job),
        "cpu_percent": f"100 * rate(process_cpu_seconds_total{{{job}}}[1m]) / {d.cores:g}",
        "memory_percent": f"100 * process_resident_memory_bytes{{{job}}} / {d.memory_mib * 2**20}",
        "disk_percent": '100 * (1 - node_filesystem_avail_bytes{mountpoint="/"} / node_filesystem_size_bytes{mountpoint="/"})',
        "disk_free_gib": 'node_filesystem_avail_bytes{mountpoint="/"} / 1073741824',
        "health_failed": f"1 - up{{{job}}}",
    }
    side = sides.get(str(alert["metric"]))
    if side is None:
        return None
    seconds = int(float(alert.get("window_s") or 60) * int(alert.get("times") or 1))
    return Rule(
        f"{_camel(d.name)}{_camel(str(alert['metric']))}{index}",
        f"{side} {'>' if above else '<'} {limit:g}",
        seconds,
        WORSE.get(str(alert.get("severity")), "medium"),
        f"{alert['metric']} {'above' if above else 'below'} {limit:g}, as the contract's alerts say",
    )


def not_translated(d: Deployment) -> list[str]:
    """Metrics of the contract's alerts for which no expression is known."""
    names = MetricNames()
    return [str(alert["metric"]) for alert in d.alerts if _stated(d, names, alert, 0) is None]


def _quantile(names: MetricNames, job: str, share: float, limit_ms: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({names.seconds}_bucket{{{job}}}[5m]))) > {limit_ms / 1000}"


def _mean(names: MetricNames, job: str) -> str:
    return f"(sum(rate({names.seconds}_sum{{{job}}}[5m])) / sum(rate({names.seconds}_count{{{job}}}[5m])))"


def _errors(names: MetricNames, job: str) -> str:
    return f"(sum(rate({names.requests}{{{job}, {names.failed}}}[5m])) / sum(rate({names.requests}{{{job}}}[5m])))"


def _camel(text: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", text) if part)
