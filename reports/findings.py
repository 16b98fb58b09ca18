"""What a run found, in words: one source for the page, the terminal and Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from reports import quantities as q
from reports.documents import Document, Documents, doubt, entry_of, level_rps, listed, quantile, section, texts
from reports.stages import last_within, limit_of, within_slo
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


@dataclass(frozen=True)
class Findings:
    verdict: str
    tone: Tone
    state: str
    state_tone: Tone
    ended: str
    grade: str
    grade_known: bool
    reasons: list[tuple[str, str]]
    figures: list[Figure]
    binding: list[str]


def find(documents: Documents, words: Words) -> Findings:
    reference = reference_stage(documents)
    state, state_tone = _state(documents, words)
    reasons = _reasons(documents)
    verdict, tone = _verdict(documents, reference, words)
    if _valid(documents) is False:
        verdict = words("verdict.invalid", reason=reasons[0][0]) if reasons else words("verdict.invalid_bare")
        tone = "bad"
    grade = documents.plan.get("evidence_grade")
    return Findings(
        verdict=verdict,
        tone=tone,
        state=state,
        state_tone=state_tone,
        ended=_ended(documents, words),
        grade=words(f"grade.{grade}") if grade in ("A", "B", "C") else words("grade.none"),
        grade_known=grade in ("A", "B", "C"),
        reasons=reasons,
        figures=_figures(documents, reference, words),
        binding=_binding(documents.plan, words),
    )


def reference_stage(documents: Documents) -> Document:
    """The stage that key figures speak of: the highest within the SLO, else the first; the only one where it is one."""
    stages = documents.stages
    if len(stages) < 2:
        return stages[0] if stages else {}
    return last_within(stages, listed(documents.summary, "slo")) or stages[0]


def _valid(documents: Documents) -> bool | None:
    value = documents.validity.get("valid", documents.summary.get("valid"))
    return value if isinstance(value, bool) else None


def _state(documents: Documents, words: Words) -> tuple[str, Tone]:
    valid = _valid(documents)
    if valid is None:
        return words("state.unknown"), "warn"
    if not valid:
        return words("state.invalid"), "bad"
    if documents.validity.get("indicative", documents.summary.get("indicative")):
        return words("state.indicative"), "warn"
    return words("state.valid"), "good"


def _reasons(documents: Documents) -> list[tuple[str, str]]:
    """(sentence, remedy) of every check that says INVALID."""
    checks = [check for check in listed(documents.validity, "checks") if check.get("state") == "invalid"]
    return [(str(c.get("sentence") or c.get("check")), str(c.get("remedy") or "")) for c in checks]


def _ended(documents: Documents, words: Words) -> str:
    ended = documents.summary.get("ended", documents.run.get("ended"))
    if ended in (None, "completed"):
        return ""
    if ended == "interrupted":
        return words("verdict.interrupted", duration=q.shown(documents.summary.get("duration_s"), q.seconds))
    return words("verdict.ended", ended=str(ended).replace("_", " "))


def _verdict(documents: Documents, reference: Document, words: Words) -> tuple[str, Tone]:
    name, summary, plan = documents.name, documents.summary, documents.plan
    if not summary:
        return words("verdict.no_summary"), "warn"
    total = section(summary, "all").get("count")
    total = total if q.is_number(total) else _added(summary, "count")
    if not total:
        return words("verdict.nothing", name=name), "bad"
    if q.is_interval(section(plan, "capacity_rps")):
        return _verdict_of_plan(name, plan, words), "warn" if plan.get("indicative") else "good"
    if q.is_number(plan.get("capacity_at_least_rps")):
        return words("verdict.at_least", name=name, rate=q.rate(plan["capacity_at_least_rps"])), "good"
    stages, slo = documents.stages, listed(summary, "slo")
    if len(stages) > 1 and slo:
        return _verdict_of_stages(name, stages, slo, words)
    rate = q.shown(level_rps(reference), q.rate)
    if slo:
        return _verdict_of_limits(name, rate, slo, words)
    ok = section(summary, "all").get("ok")
    ok = ok if q.is_number(ok) else _added(summary, "ok")
    return words("verdict.no_slo", name=name, rate=rate, ok=q.count(ok), count=q.count(total)), "quiet"


def _added(summary: Document, key: str) -> float:
    """A count over all endpoints, for a summary that has none over the whole mix."""
    counts = [section(summary, "endpoints", name).get(key) for name in section(summary, "endpoints")]
    return sum(found for found in counts if q.is_number(found))


def _verdict_of_plan(name: str, plan: Document, words: Words) -> str:
    capacity, kind = section(plan, "capacity_rps"), section(plan, "bottleneck").get("kind")
    fields = {"name": name, "capacity": q.between(capacity["low"], capacity["high"], q.number)}
    fields["confidence"] = q.shown(capacity.get("confidence"), q.percent)
    if kind is None:
        return words("verdict.capacity", **fields)
    if kind == "unidentified":
        return words("verdict.capacity_unidentified", **fields)
    return words("verdict.capacity_binds", kind=words.known("bottleneck", str(kind)), **fields)


def _verdict_of_limits(name: str, rate: str, slo: Sequence[Document], words: Words) -> tuple[str, Tone]:
    missed = [finding for finding in slo if finding.get("state") == "missed"]
    if missed:
        worst = limit_sentence(missed[0], words)
        return words("verdict.missed", name=name, rate=rate, count=len(missed), total=len(slo), worst=worst), "bad"
    if all(finding.get("state") == "met" for finding in slo):
        return words("verdict.met", name=name, rate=rate), "good"
    return words("verdict.unknown", name=name, rate=rate), "warn"


def _verdict_of_stages(
    name: str, stages: Sequence[Document], slo: Sequence[Document], words: Words
) -> tuple[str, Tone]:
    states = [within_slo(stage, slo) for stage in stages]
    levels = [q.shown(level_rps(stage), q.rate) for stage in stages]
    best = last_within(stages, slo)
    if "missed" not in states:
        if best is None:
            return words("verdict.unknown", name=name, rate=levels[-1]), "warn"
        return words("verdict.stages_always", name=name, rate=q.shown(level_rps(best), q.rate)), "good"
    first = states.index("missed")
    if best is None:
        return words("verdict.stages_never", name=name, rate=levels[first]), "bad"
    return words("verdict.stages", name=name, rate=q.shown(level_rps(best), q.rate), next=levels[first]), "good"


def limit_sentence(finding: Document, words: Words) -> str:
    metric = str(finding.get("metric"))
    known = finding.get("value", finding.get("at_least"))
    value = q.shown(known, q.by_key(metric))
    if finding.get("value") is None and q.is_number(finding.get("at_least")):
        value = words("figure.at_least", value=q.by_key(metric)(finding["at_least"]))
    fields = {"metric": words.known("slo", metric), "endpoint": finding.get("endpoint"), "value": value}
    return words("verdict.worst", **fields, limit=limit_text(metric, finding.get("limit")))


def limit_text(metric: str, limit: object) -> str:
    if not q.is_number(limit):
        return q.NOTHING
    return q.limit_ms(limit) if metric.endswith("_ms") else q.by_key(metric)(limit)


def _figures(documents: Documents, reference: Document, words: Words) -> list[Figure]:
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
        and (value := _p95_or_bound(entry_of(stage, name))[0] or quantile(entry_of(stage, name), "response_ms", "max"))
    }
    return max(closeness, key=lambda name: closeness[name]) if closeness else "all"


def _p95_or_bound(entry: Document) -> tuple[float | None, bool]:
    """(p95, True), or (what it is at least, False) where too few samples stand behind it, or (None, False)."""
    value = quantile(entry, "response_ms", "p95")
    bound = section(entry, "response_ms", "bounds", "p95").get("at_least")
    return (value, True) if value is not None else (bound if q.is_number(bound) else None, False)


def _p95(documents: Documents, stage: Document, where: str, words: Words) -> Figure:
    slo = listed(documents.summary, "slo")
    name = tightest(stage, slo, documents.endpoints)
    label = words("figure.p95_all") if name == "all" else words("figure.p95", endpoint=name)
    entry = entry_of(stage, name)
    value, exact = _p95_or_bound(entry)
    if value is None:  # the stage is too short for any word on it; the whole run may not be
        entry, where = entry_of(documents.summary, name), words("figure.whole_run")
        value, exact = _p95_or_bound(entry)
    notes = [where]
    if interval := doubt(entry, "response_ms", "p95"):
        notes.append(words("figure.ci95", interval=q.between(*interval, q.milliseconds)))
    limit = limit_of(slo, name, "p95_ms")
    tone: Tone = "quiet"
    if limit:
        notes.append(words("figure.limit", limit=q.limit_ms(limit)))
        if value is not None and (exact or value > limit):
            tone = "good" if value <= limit else "bad"
    if value is None:
        return Figure("p95", label, q.NOTHING, [*notes, documents.why_null(f"endpoints.{name}", "response_ms", "p95")])
    return Figure("p95", label, q.milliseconds(value) if exact else f"≥ {q.milliseconds(value)}", notes, tone)


def _rate(stage: Document, where: str, words: Words) -> Figure:
    answered = stage.get("ok_rps", stage.get("achieved_rps"))
    offered = stage.get("offered_rps")
    how = words("figure.of_offered", offered=q.rate(offered)) if q.is_number(offered) else words("figure.closed_loop")
    return Figure("rps", words("figure.rate"), q.shown(answered, q.rate), [where, how])


def _errors(stage: Document, where: str, words: Words) -> Figure:
    entry = section(stage, "all")
    notes = [where]
    if q.is_number(entry.get("ok")):
        notes.append(words("figure.requests", ok=q.count(entry["ok"]), count=q.count(entry.get("count") or 0)))
    share = entry.get("error_rate")
    return Figure("errors", words("figure.errors"), q.shown(share, q.percent), notes, "quiet" if not share else "warn")


def _capacity(documents: Documents, words: Words) -> Figure:
    plan, search, label = documents.plan, documents.search, words("figure.capacity")
    capacity = section(plan, "capacity_rps")
    if q.is_interval(capacity):
        notes = [words("figure.confidence", confidence=q.percent(capacity.get("confidence") or 0))]
        return Figure("capacity", label, q.interval(capacity, q.rate), notes, "good")
    if q.is_number(search.get("lower_rps")) and q.is_number(search.get("upper_rps")):
        value = q.between(search["lower_rps"], search["upper_rps"], q.rate)
        return Figure("capacity", label, value, [words("figure.sought")], "good")
    at_least = plan.get("capacity_at_least_rps")
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


def _binding(plan: Document, words: Words) -> list[str]:
    """Sentences on what binds now and next, then the evidence as it was given."""
    bottleneck = section(plan, "bottleneck")
    if not bottleneck:
        return []
    kind = str(bottleneck.get("kind") or "unidentified")
    if kind == "unidentified":
        sentences = [words("binding.unidentified")]
    else:
        share = words("figure.confidence", confidence=q.shown(bottleneck.get("confidence"), q.percent))
        sentences = [words("binding.sentence", kind=words.known("bottleneck", kind), confidence=share)]
    candidates = [words.known("bottleneck", kind) for kind in texts(bottleneck.get("candidates"))]
    if candidates:
        sentences.append(words("binding.candidates", kinds=", ".join(candidates)))
    following = section(bottleneck, "next")
    if following.get("kind"):
        name = words.known("bottleneck", str(following["kind"]))
        at = following.get("at_rps")
        rate = q.interval(at, q.rate) if q.is_interval(at) else q.shown(at, q.rate)
        sentences.append(
            words("binding.next", kind=name) if rate == q.NOTHING else words("binding.next_at", kind=name, rate=rate)
        )
    return [text[:1].upper() + text[1:] for text in sentences]
