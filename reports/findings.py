"""What a run found, in words: one source for the page, the terminal and Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports import clock, searched
from reports import quantities as q
from reports.documents import ALIKE, Document, Documents, level_rps, listed, requests_per_arrival, section, texts
from reports.incidents import incident_of
from reports.key_figures import Figure, Tone, key_figures, reference_stage
from reports.stages import last_within, state_of
from reports.wording import Words


@dataclass(frozen=True)
class Findings:
    verdict: str
    tone: Tone
    state: str
    state_tone: Tone
    ended: str
    troubles: list[str]
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
        troubles=_troubles(documents, words),
        grade=words(f"grade.{grade}") if grade in ("A", "B", "C") else words("grade.none"),
        grade_known=grade in ("A", "B", "C"),
        reasons=reasons,
        figures=key_figures(documents, reference, words),
        binding=_binding(documents.plan, words),
    )


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


def _troubles(documents: Documents, words: Words) -> list[str]:
    """What a reader has to hear before any figure."""
    found = section(documents.summary, "trouble")
    sentences = []
    silent = section(found, "silent")
    if q.is_number(silent.get("from_s")):
        began, after = clock.began(documents.run), q.seconds(silent["from_s"])
        at = words("trouble.at", at=clock.told(began, silent["from_s"]), after=after) if began else after
        sentences.append(
            words("trouble.silent", at=at, count=q.shown(silent.get("requests"), q.count), said=silent.get("said"))
        )
    for one in listed(found, "failing"):
        fields = {
            "endpoint": one.get("endpoint"),
            "count": q.shown(one.get("requests"), q.count),
            "said": one.get("said"),
        }
        sentences.append(words("trouble.failing", **fields))
    return sentences


def _verdict(documents: Documents, reference: Document, words: Words) -> tuple[str, Tone]:
    name, summary, plan = documents.name, documents.summary, documents.plan
    if not summary:
        return words("verdict.no_summary"), "warn"
    total = section(summary, "all").get("count")
    total = total if q.is_number(total) else _added(summary, "count")
    if not total:
        return words("verdict.nothing", name=name), "bad"
    if incident := incident_of(summary):
        return _verdict_of_incident(name, *incident, q.shown(level_rps(reference), q.rate), words)
    if documents.search and not plan:
        sentence, found = searched.verdict(documents.search, name, words)
        return sentence, "good" if found else "warn"
    if q.is_interval(section(plan, "capacity_rps")):
        return _verdict_of_plan(documents, words), "warn" if plan.get("indicative") else "good"
    if q.is_number(plan.get("capacity_at_least_rps")):
        return words("verdict.at_least", name=name, rate=q.rate(plan["capacity_at_least_rps"])), "good"
    stages, slo = documents.stages, listed(summary, "slo")
    if len(stages) > 1 and slo:
        return _verdict_of_stages(documents, words)
    rate = q.shown(level_rps(reference), q.rate)
    if slo:
        return _verdict_of_limits(name, rate, slo, words)
    ok = section(summary, "all").get("ok")
    ok = ok if q.is_number(ok) else _added(summary, "ok")
    return words("verdict.no_slo", name=name, rate=rate, ok=q.count(ok), count=q.count(total)), "quiet"


def _verdict_of_incident(name: str, shape: str, found: Document, rate: str, words: Words) -> tuple[str, Tone]:
    """Of a run that kills or replaces: what that cost, not how much load the service carries."""
    if not found.get("complete") or not q.is_number(found.get("requests")):
        return words("verdict.incident_open", name=name), "warn"
    lost = found.get("lost" if shape == "rollout" else "failed") or 0
    fields = {"name": name, "rate": rate, "count": q.count(found["requests"]), "lost": q.count(lost)}
    if shape == "rollout":
        return words("verdict.rollout_lost" if lost else "verdict.rollout_kept", **fields), "bad" if lost else "good"
    return words("verdict.failover" if lost else "verdict.failover_kept", **fields), "quiet" if lost else "good"


def _added(summary: Document, key: str) -> float:
    """A count over all endpoints, for a summary that has none over the whole mix."""
    counts = [section(summary, "endpoints", name).get(key) for name in section(summary, "endpoints")]
    return sum(found for found in counts if q.is_number(found))


def unit(documents: Documents, words: Words) -> str:
    """What the rates of a plan count: requests, or journeys of several."""
    each = requests_per_arrival(documents.summary)
    return words("unit.journeys", each=q.number(each)) if each > ALIKE else words("unit.requests")


def _verdict_of_plan(documents: Documents, words: Words) -> str:
    plan = documents.plan
    capacity, kind = section(plan, "capacity_rps"), section(plan, "bottleneck").get("kind")
    fields = {
        "name": documents.name,
        "unit": unit(documents, words),
        "capacity": q.between(capacity["low"], capacity["high"], q.number),
    }
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


def _verdict_of_stages(documents: Documents, words: Words) -> tuple[str, Tone]:
    name, stages, slo, plan = documents.name, documents.stages, listed(documents.summary, "slo"), documents.plan
    states = [state_of(stage, slo, plan) for stage in stages]
    levels = [q.shown(level_rps(stage), q.rate) for stage in stages]
    best = last_within(stages, slo, plan)
    if "missed" not in states:
        if best is None:
            return words("verdict.unknown", name=name, rate=levels[-1]), "warn"
        return words("verdict.stages_always", name=name, rate=q.shown(level_rps(best), q.rate)), "good"
    first = states.index("missed")
    if best is None:
        return words(
            "verdict.stages_unclear" if first else "verdict.stages_never", name=name, rate=levels[first]
        ), "bad"
    rate = q.shown(level_rps(best), q.rate)
    if rate == levels[first]:  # two steps that chance gave as many arrivals
        return words("verdict.stages_by_chance", name=name, rate=rate, next=stages[first].get("name")), "good"
    return words("verdict.stages", name=name, rate=rate, next=levels[first]), "good"


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
