"""The thresholds a team states, its SLOs and its alerts, each held against what a run measured: met, missed or unseen."""

from collections.abc import Callable

from reports import quantities as q
from reports import tables
from reports.documents import Document, Documents, amount, listed, quantile, section
from reports.tables import Mark
from reports.wording import Words

Reading = Callable[[Documents], float | None]


def thresholds(read: Documents, words: Words) -> list[dict[str, object]]:
    """Rows {what, value, limit, mark}: limits of the run first, then the contract's alerts."""
    found: list[dict[str, object]] = [
        {
            "what": f"{row['endpoint']} {row['metric']}",
            "value": row["value"],
            "limit": row["limit"],
            "mark": row["mark"],
        }
        for row in tables.limit_rows(read, words)
    ]
    return found + [_alert(read, rule, words) for rule in listed(section(read.run, "contract", "alert"), "rule")]


def _alert(read: Documents, rule: Document, words: Words) -> dict[str, object]:
    metric = str(rule.get("metric"))
    above, below = rule.get("above"), rule.get("below")
    look = READINGS.get(metric)
    value = look(read) if look else None
    formatter = FORMATS.get(metric, q.by_key(metric))
    limit = (
        f"≤ {formatter(above)}" if q.is_number(above) else f"≥ {formatter(below)}" if q.is_number(below) else q.NOTHING
    )
    if value is None:
        mark = Mark(words("period.unseen"), "warn")
    else:
        breached = value > above if q.is_number(above) else q.is_number(below) and value < below
        mark = Mark(words("slo.missed" if breached else "slo.met"), "bad" if breached else "good")
    severity = str(rule.get("severity") or "medium")
    what = words("period.alert", metric=words.known("alert", metric), severity=words.known("severity", severity))
    return {"what": what, "value": q.shown(value, formatter), "limit": limit, "mark": mark}


def _host(key: str) -> Reading:
    return lambda read: amount(section(read.summary, "resources", "host"), key)


def _memory_share(read: Documents) -> float | None:
    host = section(read.summary, "resources", "host")
    used, total = amount(host, "memory_used_mib"), amount(host, "memory_total_mib")
    return 100 * used / total if used is not None and total else None


def _percent(reading: Reading) -> Reading:
    return lambda read: 100 * value if (value := reading(read)) is not None else None


def _gib(read: Documents) -> float | None:
    free = amount(section(read.summary, "resources", "host"), "disk_free_mib")
    return free / 1024 if free is not None else None


def _health_failed(read: Documents) -> float | None:
    checks = [check for check in section(read.summary, "health").values() if isinstance(check, dict)]
    failed = [value for check in checks if (value := amount(check, "failed_in_a_row")) is not None]
    return max(failed, default=None)


READINGS: dict[str, Reading] = {
    "response_ms": lambda read: quantile(section(read.summary, "all"), "response_ms", "mean"),
    "response_p95_ms": lambda read: quantile(section(read.summary, "all"), "response_ms", "p95"),
    "error_rate": lambda read: amount(section(read.summary, "all"), "error_rate"),
    "cpu_percent": _percent(_host("cpu_share_mean")),
    "memory_percent": _memory_share,
    "memory_mib": lambda read: amount(section(read.summary, "resources", "target"), "rss_mib_max"),
    "disk_percent": _percent(_host("disk_used_share")),
    "disk_free_gib": _gib,
    "health_failed": _health_failed,
}
FORMATS: dict[str, q.Formatter] = {
    "cpu_percent": lambda v: f"{q.number(v)} %", "memory_percent": lambda v: f"{q.number(v)} %",
    "disk_percent": lambda v: f"{q.number(v)} %", "disk_free_gib": lambda v: f"{q.number(v)} GiB",
}  # fmt: skip
