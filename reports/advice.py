"""The plan as options side by side: doing nothing, scaling up, scaling out, and the rule of thumb to compare with.

Whatever fields the plan carries are shown, each in the unit that its key names; a null field shows its refusal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from reports import quantities as q
from reports.documents import Document, listed, section
from reports.wording import Words

KINDS = ("do_nothing", "scale_up", "scale_out", "rule_of_thumb")
SENTENCES = ("sentence", "what", "note", "consequence")


@dataclass(frozen=True)
class Fact:
    label: str
    value: str
    refused: bool = False


@dataclass(frozen=True)
class Option:
    kind: str
    title: str
    sentences: list[str]
    facts: list[Fact]
    assumptions: list[str]


@dataclass(frozen=True)
class Advice:
    lead: list[str]
    options: list[Option] = field(default_factory=list)
    refusals: list[Document] = field(default_factory=list)
    expires: list[str] = field(default_factory=list)


def advise(plan: Document, words: Words) -> Advice:
    lead = []
    demand = plan.get("demand_rps")
    if q.is_number(demand):
        lead.append(words("option.demand", rate=q.rate(demand)))
    elif q.is_interval(demand):
        lead.append(words("option.demand", rate=q.interval(demand, q.rate)))
    if plan.get("indicative"):
        lead.append(words("option.indicative"))
    if isinstance(plan.get("binding_rule"), str):
        lead.append(words("option.binding_rule", rule=plan["binding_rule"].replace("_", " ")))
    refusals = listed(plan, "refusals")
    options = [
        _option(kind, f"{kind}[{index}]" if isinstance(plan[kind], list) else kind, option, refusals, words)
        for kind in KINDS
        if kind in plan
        for index, option in enumerate(listed(plan, kind))
    ]
    return Advice(lead, options, refusals, _texts(plan.get("expires_when")))


def _option(kind: str, place: str, option: Document, refusals: list[Document], words: Words) -> Option:
    facts: list[Fact] = []
    sentences = [str(option[key]) for key in SENTENCES if isinstance(option.get(key), str)]
    reasons = {str(r.get("field")): str(r.get("reason")) for r in refusals}
    for key, value in option.items():
        if key in SENTENCES or key == "assumptions":
            continue
        facts += _facts(key, value, f"{place}.{key}", reasons, words)
    return Option(kind, words(f"option.{kind}"), sentences, facts, _texts(option.get("assumptions")))


def _facts(key: str, value: Any, place: str, reasons: dict[str, str], words: Words) -> Iterator[Fact]:
    label, formatter = words.known("field", key), q.by_key(key)
    if value is None:
        reason = reasons.get(place, reasons.get(key, ""))
        yield Fact(label, f"{words('option.refused')}: {reason}" if reason else words("option.refused"), True)
    elif q.is_interval(value):
        yield Fact(label, q.interval(value, formatter))
    elif isinstance(value, bool | str):
        yield Fact(label, str(value))
    elif q.is_number(value):
        yield Fact(label, formatter(value))
    elif isinstance(value, list):
        texts = [formatter(item) if q.is_number(item) else str(item) for item in value if not isinstance(item, dict)]
        if texts:
            yield Fact(label, ", ".join(texts))
    elif isinstance(value, dict):
        for inner, inner_value in value.items():
            for fact in _facts(inner, inner_value, f"{place}.{inner}", reasons, words):
                yield Fact(f"{label}: {fact.label}", fact.value, fact.refused)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, list) else []


def sentence(plan: Document, words: Words) -> str:
    """The recommendation in one line: the scale-out and scale-up options by their first fact, or the refusal."""
    parts = []
    for option in advise(plan, words).options:
        kept = [fact for fact in option.facts if not fact.refused]
        if option.kind in ("scale_up", "scale_out") and kept:
            parts.append(f"{option.title} ({kept[0].label.lower()} {kept[0].value})")
    if parts:
        return "; ".join(parts)
    refused = listed(plan, "refusals")
    return (
        f"{words('option.refused')}: {refused[0].get('reason')}"
        if refused
        else section(plan, "do_nothing").get("sentence", "")
    )
