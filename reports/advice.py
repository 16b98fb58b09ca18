"""The plan as options side by side: doing nothing, scaling up, scaling out, each a value or a refusal.

A plan may answer for several demands; the last one planned for is shown in full, all of them in a table. Fields that
are not named here are shown as well, each in the unit that its key names.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from reports import quantities as q
from reports.documents import Document, listed, section, texts
from reports.key_figures import Tone
from reports.said import say
from reports.wording import Words

Kind = Literal["do_nothing", "scale_up", "scale_out"]
KINDS: tuple[Kind, ...] = ("do_nothing", "scale_up", "scale_out")
SAID = {"demand_rps", "text", "state", "sentence", "what", "assumptions", "conditional", "recommended", "replicas", "cost",
        "by_simulation", "replicas_at_most", "workers", "binding_rule", "by_rule", "loss_share", "breaks_on", "cores",
        "survivors", "today_share_of_line", "database_connections"}  # fmt: skip
NOTHING_TONES: dict[str, Tone] = {"holds": "good", "at_risk": "warn", "breaks": "bad"}


@dataclass(frozen=True)
class Fact:
    label: str
    value: str


@dataclass(frozen=True)
class Option:
    """`headline` is what to get; where that is refused it is empty and `refusals` (reason, remedy) say why."""

    kind: Kind
    title: str
    headline: str = ""
    tone: Tone = "quiet"
    notes: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    refusals: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Advice:
    recommendation: str
    notes: list[str]
    options: list[Option]
    refusals: list[Document]
    assumptions: list[str]
    expires: list[str]


def advise(plan: Document, words: Words) -> Advice:
    notes = ([words("option.indicative")] if plan.get("indicative") else []) + doubts(plan, words)
    beside = [r for r in listed(plan, "refusals") if r.get("field") not in ("scale_up", "scale_out")]
    return Advice(
        recommendation=recommend(plan, words),
        notes=notes,
        options=[_option(kind, plan, words) for kind in KINDS] if plan else [],
        refusals=beside,
        assumptions=texts(plan.get("assumptions")),
        expires=texts(plan.get("expires_when")),
    )


def doubts(plan: Document, words: Words) -> list[str]:
    """What the measurement contradicts itself in, each with what to do."""
    found = [(str(one.get("reason")), str(one.get("remedy") or "")) for one in listed(plan, "doubts")]
    return ["; ".join(say(part, words.lang) for part in parts if part) for parts in found]


def recommend(plan: Document, words: Words) -> str:
    """The recommendation in one sentence, or the refusal with its reason; empty without a plan."""
    if not plan:
        return ""
    out, up = _last(plan, "scale_out"), _last(plan, "scale_up")
    sentences = []
    if q.is_number(out.get("recommended")):
        demand = q.shown(out.get("demand_rps"), lambda rate: planned(plan, rate, words))
        key = "replica" if out["recommended"] == 1 else "replicas"
        sentences.append(
            words(f"advice.{key}", demand=demand, count=q.count(out["recommended"]), range=_range(out, words))
        )
        if section(plan, "demand").get("given") is False:
            sentences.append(words("advice.not_given"))
    if q.is_interval(up.get("workers")):
        demand = q.shown(up.get("demand_rps"), q.rate)
        sentences.append(with_workers("advice", up["workers"], words, demand=demand))
    if not sentences:
        refused = listed(plan, "refusals")
        reason = say(str(refused[0].get("reason")), words.lang) if refused else words("advice.nothing")
        sentences.append(words("advice.refused", reason=reason))
        if refused and refused[0].get("remedy"):
            sentences.append(words("advice.instead", remedy=say(str(refused[0]["remedy"]), words.lang)))
    return " ".join(sentences)


def _last(plan: Document, key: str) -> Document:
    entries = listed(plan, key)
    return entries[-1] if entries else {}


def planned(plan: Document, rate_rps: float, words: Words) -> str:
    """The demand at the horizon, with the growth that leads there."""
    demand = section(plan, "demand")
    growth, months = demand.get("growth_per_month"), demand.get("horizon_months")
    if not q.is_number(growth) or not q.is_number(months):
        return q.rate(rate_rps)
    today = q.shown(demand.get("demand_rps"), q.rate)
    return words("dates.grown", rate=q.rate(rate_rps), today=today, growth=q.percent(growth), months=q.plain(months))


def _range(out: Document, words: Words) -> str:
    replicas = out.get("replicas")
    if isinstance(replicas, dict) and q.is_interval(replicas):
        share = q.shown(replicas.get("confidence"), q.percent)
        if replicas["low"] == replicas["high"]:
            return words("advice.sure", confidence=share)
        return words("advice.range", confidence=share, interval=q.interval(replicas, q.count))
    return words("advice.at_most")


def unsaid(plan: Document, words: Words) -> str:
    """Why an option is not there that has no refusal of its own: the capacity was refused, which stands above it."""
    without = any(r.get("field") == "capacity_rps" for r in listed(plan, "refusals"))
    return words("option.same_reason" if without else "option.unknown")


def remedy(plan: Document, words: Words) -> str:
    """Where nothing is recommended, what to do about the first reason; else empty."""
    refused = listed(plan, "refusals")
    out, up = _last(plan, "scale_out"), _last(plan, "scale_up")
    if q.is_number(out.get("recommended")) or q.is_interval(up.get("workers")) or not refused:
        return ""
    return (
        words("advice.instead", remedy=say(str(refused[0]["remedy"]), words.lang)) if refused[0].get("remedy") else ""
    )


def _option(kind: Kind, plan: Document, words: Words) -> Option:
    found, title = _last(plan, kind), words(f"option.{kind}")
    refusals = [
        (str(r.get("reason")), str(r.get("remedy") or "")) for r in listed(plan, "refusals") if r.get("field") == kind
    ]
    if not found:
        return Option(kind, title, refusals=refusals[-1:] or [(unsaid(plan, words), "")])
    if kind == "do_nothing":
        headline, tone, notes = _nothing(found, plan, words)
    else:
        headline, tone, notes = (_up if kind == "scale_up" else _out)(found, words)
    if past(plan, found.get("order_by")):
        found = found | {"order_by": words("dates.now")}
    facts = [fact for key, value in found.items() if key not in SAID for fact in _facts(key, value, words)]
    return Option(kind, title, headline, tone, notes, facts, texts(found.get("assumptions")))


def past(plan: Document, day: object) -> bool:
    """Whether a date of the plan was there already when the plan was made."""
    made = plan.get("made_at")
    return isinstance(day, str) and isinstance(made, str) and day <= made[: len(day)]


def line_reached(plan: Document, day: str, words: Words) -> str:
    return words("nothing.already") if past(plan, day) else words("nothing.breaks_on", day=day)


def _nothing(found: Document, plan: Document, words: Words) -> tuple[str, Tone, list[str]]:
    state = str(found.get("state") or "unknown")
    demand = q.shown(found.get("demand_rps"), q.rate)
    notes = [words(f"nothing.{state}_note", demand=demand)] if state in NOTHING_TONES else []
    if q.is_interval(found.get("loss_share")):
        notes.append(words("nothing.loss", share=q.interval(found["loss_share"], q.share)))
    if isinstance(found.get("breaks_on"), str):
        notes.append(line_reached(plan, found["breaks_on"], words))
    if state not in NOTHING_TONES and isinstance(found.get("sentence", found.get("text")), str):
        notes = [str(found.get("sentence", found.get("text")))]
    return words.known("nothing", state), NOTHING_TONES.get(state, "warn"), notes


def with_workers(part: str, workers: Document, words: Words, **more: str) -> str:
    """The sentence of `part` about so many worker processes, an interval; of one in the singular."""
    number = q.interval(workers, q.count)
    return words(f"{part}.worker" if number == q.count(1) else f"{part}.workers", workers=number, **more)


def _up(found: Document, words: Words) -> tuple[str, Tone, list[str]]:
    notes = [words("option.for_demand", demand=q.shown(found.get("demand_rps"), q.rate))]
    if q.is_interval(found.get("workers")):
        if q.is_interval(found.get("cores")):
            notes.append(words("option.on_cores", cores=q.interval(found["cores"], q.count)))
        return with_workers("option", found["workers"], words), "quiet", notes
    if found.get("what") == "nothing":
        return words("option.enough"), "good", notes
    if q.is_interval(found.get("memory_mib")):
        return q.interval(found["memory_mib"], q.mebibytes), "quiet", notes
    return words.known("field", str(found.get("what") or "")), "quiet", notes


def _out(found: Document, words: Words) -> tuple[str, Tone, list[str]]:
    notes = [words("option.for_demand", demand=q.shown(found.get("demand_rps"), q.rate)), _range(found, words)]
    if isinstance(found.get("binding_rule"), str):
        notes.append(words("option.binding_rule", rule=words.known("rule", found["binding_rule"])))
    if found.get("conditional"):
        notes.append(words("option.conditional"))
    count = found.get("recommended")
    key = "option.replica" if count == 1 else "option.replicas"
    return words(key, count=q.shown(count, q.count)), "quiet", notes


def _facts(key: str, value: Any, words: Words) -> Iterator[Fact]:
    label, formatter = words.known("field", key), q.by_key(key)
    if value is None:
        return
    if isinstance(value, bool):
        yield Fact(label, words("option.yes" if value else "option.no"))
    elif q.is_interval(value):
        yield Fact(label, q.interval(value, formatter))
    elif isinstance(value, str):
        yield Fact(label, value)
    elif q.is_number(value):
        yield Fact(label, formatter(value))
    elif isinstance(value, list):
        texts = [formatter(item) if q.is_number(item) else str(item) for item in value if not isinstance(item, dict)]
        if texts:
            yield Fact(label, ", ".join(texts))
    elif isinstance(value, dict):
        for inner, inner_value in value.items():
            for fact in _facts(inner, inner_value, words):
                yield Fact(f"{label}: {fact.label}", fact.value)


def narrower(plan: Document, words: Words) -> str:
    """Which measurement would narrow the answer most, and to what; empty where none was named."""
    found = section(plan, "next_best_measurement")
    if not isinstance(found.get("measurement"), str) or not found.get("command"):
        return ""
    now, after = (q.interval(found.get(key), q.count) for key in ("replicas_now", "replicas_after"))
    key = "option.narrower" if q.NOTHING not in (now, after) else "option.narrower_bare"
    return words(
        key,
        what=say(found["measurement"], words.lang),
        seconds=q.shown(found.get("load_seconds"), q.seconds),
        now=now,
        after=after,
    )


def demand_rows(plan: Document, words: Words) -> list[dict[str, str]]:
    """Every demand that was planned for with what each way takes; empty below two demands."""
    ups = {option.get("demand_rps"): option for option in listed(plan, "scale_up")}
    outs = {option.get("demand_rps"): option for option in listed(plan, "scale_out")}
    demands = sorted({demand for demand in (*ups, *outs) if q.is_number(demand)})
    if len(demands) < 2:
        return []
    return [
        {
            "demand": q.rate(demand),
            "scale_up": _up(ups[demand], words)[0] if demand in ups else words("option.refused"),
            "scale_out": _out(outs[demand], words)[0] if demand in outs else words("option.refused"),
            "range": _range(outs[demand], words) if demand in outs else q.NOTHING,
        }
        for demand in demands
    ]


def thumb_rows(plan: Document) -> list[list[str]]:
    """The rule of thumb beside what was measured, a row per number of users."""
    columns = ("users", "rate_rps", "rule_cores", "measured_cores", "rule_memory_mb", "measured_memory_mb")
    return [
        [q.shown(row.get(key), q.count if key == "users" else q.by_key(key)) for key in columns]
        for row in listed(plan, "rule_of_thumb")
    ]
