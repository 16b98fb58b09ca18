"""The report's tables: endpoints and limits, failures, validity, provenance, each as rows of written text."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory
from reports import clock
from reports import quantities as q
from reports.documents import Document, Documents, doubt, listed, quantile, section
from reports.findings import limit_text
from reports.key_figures import ICONS, Tone
from reports.made import per_second
from reports.wording import Words

SLO_TONES: dict[str, Tone] = {"met": "good", "missed": "bad", "unknown": "warn"}
GLOSSARY = (
    "response", "percentile", "interval", "limit", "open_loop", "served", "capacity", "bottleneck", "scale",
    "spare", "saturated", "nines", "heatmap", "valid", "grade", "refused",
)  # fmt: skip
CHECK_TONES: dict[str, Tone] = {"ok": "good", "note": "warn", "invalid": "bad"}


@dataclass(frozen=True)
class Mark:
    """Icon, word and colour together: none of them carries the meaning alone."""

    word: str
    tone: Tone

    @property
    def icon(self) -> str:
        return ICONS[self.tone]


@dataclass(frozen=True)
class Cell:
    """`value` is what a reader sorts by."""

    text: str
    interval: str = ""
    value: float | None = None


COLUMNS = ("min", "mean", "p50", "p95", "p99", "max")


def endpoint_rows(documents: Documents) -> list[dict[str, Any]]:
    """Per endpoint, over all measured stages: requests, errors, and `COLUMNS` with interval or bound."""
    rows = []
    entries = {"all": section(documents.summary, "all")} | section(documents.summary, "endpoints")
    for name, entry in entries.items():
        if not entry or (name == "all" and len(entries) == 2):
            continue
        cells = [_quantile_cell(entry, quantile_name) for quantile_name in COLUMNS]
        rows.append(
            {
                "name": name,
                "cells": [
                    Cell(q.shown(entry.get("count"), q.count), value=_sorted_by(entry.get("count"))),
                    Cell(per_second(documents, entry), value=_sorted_by(entry.get("count"))),
                    Cell(q.shown(entry.get("error_rate"), q.percent), value=_sorted_by(entry.get("error_rate"))),
                    *cells,
                ],
            }
        )
    return rows


def _sorted_by(value: Any) -> float | None:
    return value if q.is_number(value) else None


def _quantile_cell(entry: Document, quantile_name: str) -> Cell:
    value = quantile(entry, "response_ms", quantile_name)
    interval = doubt(entry, "response_ms", quantile_name)
    if value is not None:
        return Cell(q.milliseconds(value), q.between(*interval, q.milliseconds) if interval else "", value)
    bounds = section(entry, "response_ms", "bounds", quantile_name)
    if q.is_number(bounds.get("at_least")):
        return Cell(f"≥ {q.milliseconds(bounds['at_least'])}", value=bounds["at_least"])
    return Cell(q.NOTHING)


def unsaid_rows(documents: Documents) -> list[tuple[str, str]]:
    """(what, why not) of each percentile that the endpoints' table leaves open."""
    places = {"all": "all"} | {name: f"endpoints.{name}" for name in documents.endpoints}
    return [
        (f"{name} {quantile_name}", why)
        for name, prefix in places.items()
        if name != "all" or len(documents.endpoints) > 1
        for quantile_name in ("p50", "p95", "p99")
        if (why := documents.why_null(prefix, "response_ms", quantile_name))
    ]


def glossary_rows(words: Words) -> list[tuple[str, str]]:
    """The report's terms in a manager's words."""
    return [(words(f"glossary.{term}"), words(f"glossary.{term}_means")) for term in GLOSSARY]


def limit_rows(documents: Documents, words: Words) -> list[dict[str, Any]]:
    rows = []
    for finding in listed(documents.summary, "slo"):
        metric, state = str(finding.get("metric")), str(finding.get("state"))
        rows.append(
            {
                "endpoint": finding.get("endpoint"),
                "metric": words.known("slo", metric),
                "value": _value_or_bound(finding, q.by_key(metric)),
                "limit": limit_text(metric, finding.get("limit")),
                "mark": Mark(words.known("slo", state), SLO_TONES.get(state, "warn")),
            }
        )
    return rows


def _value_or_bound(finding: Document, formatter: q.Formatter) -> str:
    for key, sign in (("value", ""), ("at_least", "≥ "), ("at_most", "≤ ")):
        if q.is_number(finding.get(key)):
            return f"{sign}{formatter(finding[key])}"
    return q.NOTHING


def check_rows(documents: Documents, words: Words) -> list[dict[str, Any]]:
    """INVALID first, then notes, then what passed."""
    order = {"invalid": 0, "note": 1, "ok": 2}
    checks = sorted(listed(documents.validity, "checks"), key=lambda check: order.get(str(check.get("state")), 1))
    return [
        {
            "check": words.known("check_name", str(check.get("check", ""))),
            "scope": words.known("scope", str(check.get("scope", ""))),
            "mark": Mark(
                words.known("check", str(check.get("state"))), CHECK_TONES.get(str(check.get("state")), "warn")
            ),
            "sentence": str(check.get("sentence") or ""),
            "measured": q.shown(check.get("measured"), q.plain),
            "limit": q.shown(check.get("limit"), q.plain),
            "remedy": str(check.get("remedy") or "") if check.get("state") != "ok" else "",
        }
        for check in checks
    ]


def error_rows(run: RunDirectory, document: Document, most: int = 12) -> list[dict[str, str]]:
    """The commonest failures with what the service said (already redacted when it was stored), and the time of day of the
    first and the last of each."""
    if not run.has("errors.parquet"):
        return []
    try:
        table = pq.ParquetFile(run.path / "errors.parquet").read()
    except (pa.ArrowException, OSError, PlimsollError):
        return []
    counted = next((name for name in ("count", "requests", "n") if name in table.column_names), None)
    rows = table.to_pylist()
    if counted:
        rows.sort(key=lambda row: -(row.get(counted) or 0))
    said = [name for name in ("excerpt", "pattern") if name in table.column_names]
    began = clock.began(document)
    return [
        {
            "count": q.shown(row.get(counted), q.count) if counted else q.NOTHING,
            "outcome": str(row.get("outcome") or row.get("status") or ""),
            **{key: clock.told(began, row[key]) if q.is_number(row.get(key)) else "" for key in ("first_s", "last_s")},
            "excerpt": next((str(row[name]) for name in said if row.get(name)), "")[:400],
        }
        for row in rows[:most]
    ]


def provenance_rows(documents: Documents, words: Words) -> list[tuple[str, str]]:
    run, summary = documents.run, documents.summary
    loop = summary.get("loop") or section(run, "schedule").get("loop")
    rows: list[tuple[str, Any]] = [
        ("run", documents.identity),
        ("target", section(run, "contract", "target").get("base_url")),
        ("loop", words.known("provenance", f"loop_{loop}") if loop else None),
        ("arrivals", summary.get("arrivals") or section(run, "schedule").get("process")),
        ("duration", q.seconds(summary["duration_s"]) if q.is_number(summary.get("duration_s")) else None),
        ("ended", summary.get("ended", run.get("ended"))),
        ("exit_code", run.get("exit_code")),
        ("seed", run.get("seed")),
        ("nonce", run.get("nonce")),
        ("host", run.get("host")),
        ("placement", run.get("placement")),
        ("services", [_service(service) for service in listed(run, "services")]),
        ("versions", run.get("versions")),
        ("git_commit", run.get("git_commit")),
    ]
    return [(words(f"provenance.{key}"), _readable(value)) for key, value in rows if value not in (None, "", [], {})]


def _service(service: Document) -> str:
    return f"{service.get('role')}: {service.get('command') or service.get('url')}"


def _readable(value: Any) -> str:
    """A document's value as one line; numbers as they stand there."""
    if isinstance(value, dict):
        return ", ".join(
            f"{key.replace('_', ' ')} {_readable(item)}" for key, item in value.items() if item is not None
        )
    if isinstance(value, list):
        return ", ".join(_readable(item) for item in value)
    return str(value)
