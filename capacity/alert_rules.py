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
FIRST_TOKEN = re.compile(r"(time_to_first_token|ttft).*seconds$")
PER_TOKEN = re.compile(r"(time_per_output_token|inter_token|tpot).*seconds$")
STATUS_LABELS = ("status", "status_code", "code", "http_status")
STATUS = re.compile(r"[1-5](\d\d|xx)", re.IGNORECASE)
REQUESTS = re.compile(r"requests?(_total)?$")
WORSE = {"critical": "critical", "high": "high", "medium": "medium", "low": "low"}


@dataclass(frozen=True)
class MetricNames:
    """Histograms in seconds of response times, of the time to the first token and of the time per token; a counter of
    requests, of which `failed` selects the failed ones. None: not seen, or it has no label that tells them."""

    seconds: str = "http_request_duration_seconds"
    requests: str = "http_requests_total"
    failed: str | None = 'status=~"5..|429"'
    note: str = "usual names, not seen on this service: rename them to yours"
    first_token: str | None = None
    per_token: str | None = None


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
    seen = sorted({str(h["name"]) for w in windows for h in w.get("histograms") or []})
    first_token = next((name for name in seen if FIRST_TOKEN.search(name)), None)
    per_token = next((name for name in seen if PER_TOKEN.search(name)), None)
    histograms = [name for name in seen if SECONDS.search(name) and name not in (first_token, per_token)]
    counters = [c for w in windows for c in w.get("counters") or [] if REQUESTS.search(str(c["name"]))]
    counters.sort(key=lambda counter: (_status_label(counter) is None, str(counter["name"])))
    if not histograms or not counters:
        return MetricNames(first_token=first_token, per_token=per_token)
    name, label = str(counters[0]["name"]), _status_label(counters[0])
    return MetricNames(
        histograms[0],
        name if name.endswith("_total") else f"{name}_total",
        f'{label}=~"5..|429"' if label else None,
        "as scraped in the run",
        first_token,
        per_token,
    )


def _status_label(counter: Mapping[str, Any]) -> str | None:
    """The label that holds an HTTP status, of one counter."""
    labels = counter.get("labels") or {}
    return next((name for name in STATUS_LABELS if STATUS.fullmatch(str(labels.get(name, "")))), None)


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
    found = []
    for metric, limit in metrics.items():
        expr = _over_limit(d, names, metric, limit)
        if expr is None:
            continue
        title = f"{_camel(d.name)}{_camel(endpoint)}{_camel(metric)}"
        summary = (
            f"{endpoint} misses its SLO {metric} {limit:g} (of the whole service: add your label for one endpoint)"
        )
        found.append(Rule(title, expr, 300, "high", summary))
    return found


def _over_limit(d: Deployment, names: MetricNames, metric: str, limit: float) -> str | None:
    """True where the SLO is missed; None where no expression is known."""
    job = f'job="{d.name}"'
    quantile = re.fullmatch(r"(?:(ttft|tpot)_)?p(\d+)(?:_(\d+))?_ms", metric)
    if quantile:
        histogram = {None: names.seconds, "ttft": names.first_token, "tpot": names.per_token}[quantile[1]]
        share = float(f"0.{quantile[2]}{quantile[3] or ''}")
        return None if histogram is None else f"{_quantile(histogram, job, share)} > {limit / 1000}"
    if metric == "mean_ms":
        return f"{_mean(names, job)} > {limit / 1000}"
    if metric == "error_rate" and (failing := _errors(names, job)):
        return f"{failing} > {limit}"
    return None


def _stated(d: Deployment, names: MetricNames, alert: Mapping[str, Any], index: int) -> Rule | None:
    job = f'job="{d.name}"'
    above = alert.get("above") is not None
    limit = float(alert["above"] if above else alert["below"])
    sides = {
        "response_ms": f"1000 * {_mean(names, job)}",
        "response_p95_ms": f"1000 * {_quantile(names.seconds, job, 0.95)}",
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


def not_translated(d: Deployment, names: MetricNames) -> list[str]:
    """Every limit of the SLOs and of the contract's alerts for which there is no rule, with the reason."""
    limits = [
        f"SLO {' '.join(endpoint.split())} {metric} {limit:g}: {_why(metric, names)}"
        for endpoint, metrics in d.limits.items()
        for metric, limit in metrics.items()
        if _over_limit(d, names, metric, limit) is None
    ]
    stated = [str(alert["metric"]) for alert in d.alerts if _stated(d, names, alert, 0) is None]
    return limits + [f"alert {' '.join(metric.split())}: {_why(metric, names)}" for metric in stated]


def _why(metric: str, names: MetricNames) -> str:
    if metric.startswith(("ttft_", "tpot_")):
        return (
            "no histogram of it was scraped in the run; state its metrics page as prometheus under [target.observe] and run again: "
            "plimsoll run CONTRACT"
        )
    if metric == "error_rate":
        return (
            f"{names.requests} has no label with the HTTP status ({', '.join(STATUS_LABELS)}), so failed requests cannot be "
            "told; give it one and run again: plimsoll run CONTRACT"
        )
    if metric == "min_goodput_rps":
        return (
            "a histogram counts each limit by itself, not the answers that keep them all; a run judges it: "
            "plimsoll run CONTRACT"
        )
    return "no expression is known for it; write the rule by hand"


def _quantile(histogram: str, job: str, share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket{{{job}}}[5m])))"


def _mean(names: MetricNames, job: str) -> str:
    return f"(sum(rate({names.seconds}_sum{{{job}}}[5m])) / sum(rate({names.seconds}_count{{{job}}}[5m])))"


def _errors(names: MetricNames, job: str) -> str | None:
    if names.failed is None:
        return None
    return f"(sum(rate({names.requests}{{{job}, {names.failed}}}[5m])) / sum(rate({names.requests}{{{job}}}[5m])))"


def _camel(text: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", text) if part)
