"""The key figures: p95, rate, errors, capacity and what binds, each with its doubt or circumstance beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from reports import quantities as q
from reports import searched
from reports.documents import (
    ALIKE,
    Document,
    Documents,
    amount,
    doubt,
    entry_of,
    level_rps,
    listed,
    quantile,
    requests_per_arrival,
    section,
    served_rps,
)
from reports.stages import last_within, limit_of
from reports.wording import Words

Tone = Literal["good", "warn", "bad", "quiet"]
ICONS: dict[Tone, str] = {"good": "✓", "warn": "!", "bad": "✕", "quiet": "–"}


@dataclass(frozen=True)
class Figure:
    """A key figure: what it is, its value as written, and the doubt or the circumstances in a line each."""

    key: str
    label: str
    value: str
    notes: list[str] = field(default_factory=list)
    tone: Tone = "quiet"


def reference_stage(documents: Documents) -> Document:
    """The stage that key figures speak of: the highest within the SLO, else the first; the only one where it is one."""
    stages = documents.stages
    shown = searched.lower_trial(documents.search)
    if found := [stage for stage in stages if stage.get("name") == shown]:
        return found[0]
    if len(stages) < 2:
        return stages[0] if stages else {}
    return last_within(stages, listed(documents.summary, "slo"), documents.plan) or stages[0]


def key_figures(documents: Documents, reference: Document, words: Words) -> list[Figure]:
    if not reference:
        return []
    where = words("figure.whole_run")
    if len(documents.stages) > 1:
        level = q.shown(level_rps(reference), q.rate)
        where = words("figure.at", level=level, stage=reference.get("name"))
    figures = [
        _p95(documents, reference, where, words),
        _rate(reference, where, words),
        _errors(reference, where, words),
    ]
    if documents.plan or documents.search:
        figures.append(_capacity(documents, words))
    if documents.plan:
        figures.append(_binds(documents.plan, words))
    return figures


def tightest(stage: Document, slo: Sequence[Document], endpoints: Sequence[str]) -> str:
    """The endpoint whose p95 (where unknown: its slowest answer) stands closest to its limit; `all` where none has one."""
    closeness = {
        name: value / limit
        for name in endpoints
        if (limit := limit_of(slo, name, "p95_ms"))
        and (value := p95_or_bound(entry_of(stage, name))[0] or quantile(entry_of(stage, name), "response_ms", "max"))
    }
    return max(closeness, key=lambda name: closeness[name]) if closeness else "all"


def p95_or_bound(entry: Document) -> tuple[float | None, bool]:
    """(p95, True), or (what it is at least, False) where too few samples stand behind it, or (None, False)."""
    value = quantile(entry, "response_ms", "p95")
    bound = section(entry, "response_ms", "bounds", "p95").get("at_least")
    return (value, True) if value is not None else (bound if q.is_number(bound) else None, False)


def _p95(documents: Documents, stage: Document, where: str, words: Words) -> Figure:
    slo = listed(documents.summary, "slo")
    name = tightest(stage, slo, documents.endpoints)
    label = words("figure.p95_all") if name == "all" else words("figure.p95", endpoint=name)
    entry = entry_of(stage, name)
    value, exact = p95_or_bound(entry)
    slowest, n = quantile(entry, "response_ms", "max"), amount(section(entry, "response_ms"), "n")
    notes = [where]
    if not exact and slowest is not None:
        notes.append(words("figure.slowest", slowest=q.milliseconds(slowest), count=q.count(n or 0)))
    if interval := doubt(entry, "response_ms", "p95"):
        notes.append(words("figure.ci95", interval=q.between(*interval, q.milliseconds)))
    limit = limit_of(slo, name, "p95_ms")
    tone: Tone = "quiet"
    if limit:
        notes.append(words("figure.limit", limit=q.limit_ms(limit)))
        if value is not None and (exact or value > limit):
            tone = "good" if value <= limit else "bad"
    if value is None and slowest is not None:
        return Figure("p95", label, f"≤ {q.milliseconds(slowest)}", notes, tone)
    if value is None:
        place = "all" if name == "all" else f"endpoints.{name}"
        why = documents.why_null(place, "response_ms", "p95")
        return Figure("p95", label, q.NOTHING, [*notes, why] if why else notes)
    return Figure("p95", label, q.milliseconds(value) if exact else f"≥ {q.milliseconds(value)}", notes, tone)


def _rate(stage: Document, where: str, words: Words) -> Figure:
    offered, each = stage.get("offered_rps"), requests_per_arrival(stage)
    how = words("figure.of_offered", offered=q.rate(offered)) if q.is_number(offered) else words("figure.closed_loop")
    notes = [where, how, *([words("figure.journeys", each=q.number(each))] if each > ALIKE else [])]
    return Figure("rps", words("figure.rate"), q.shown(served_rps(stage), q.rate), notes)


def _errors(stage: Document, where: str, words: Words) -> Figure:
    entry = section(stage, "all")
    notes = [where]
    if q.is_number(entry.get("ok")):
        notes.append(words("figure.requests", ok=q.count(entry["ok"]), count=q.count(entry.get("count") or 0)))
    share = entry.get("error_rate")
    return Figure("errors", words("figure.errors"), q.shown(share, q.percent), notes, "quiet" if not share else "warn")


def _capacity(documents: Documents, words: Words) -> Figure:
    plan, search, label = documents.plan, documents.search, words("figure.capacity")
    if documents.validity.get("valid", documents.summary.get("valid")) is False:
        return Figure("capacity", label, words("figure.refused"), [words("figure.run_invalid")], "warn")
    capacity = section(plan, "capacity_rps")
    if q.is_interval(capacity):
        notes = [words("figure.confidence", confidence=q.percent(capacity.get("confidence") or 0))]
        return Figure("capacity", label, q.interval(capacity, q.rate), notes, "good")
    if q.is_number(search.get("lower_rps")) and q.is_number(search.get("upper_rps")):
        value = q.between(search["lower_rps"], search["upper_rps"], q.rate)
        return Figure("capacity", label, value, [words("figure.sought")], "good")
    at_least = plan.get("capacity_at_least_rps") or search.get("lower_rps")
    if q.is_number(at_least):
        return Figure("capacity", label, f"≥ {q.rate(at_least)}", [words("figure.end_unknown")], "warn")
    reasons = [str(r.get("reason")) for r in listed(plan, "refusals") if r.get("field") == "capacity_rps"]
    return Figure("capacity", label, words("figure.refused"), reasons, "warn")


def _binds(plan: Document, words: Words) -> Figure:
    bottleneck = section(plan, "bottleneck")
    kind = str(bottleneck.get("kind") or "unidentified")
    notes = []
    if kind != "unidentified" and q.is_number(bottleneck.get("confidence")):
        notes.append(words("figure.confidence", confidence=q.percent(bottleneck["confidence"])))
    following = section(bottleneck, "next").get("kind")
    if following:
        notes.append(words("figure.next", kind=words.known("bottleneck", str(following))))
    return Figure("binds", words("figure.binds"), words.known("bottleneck", kind), notes)
