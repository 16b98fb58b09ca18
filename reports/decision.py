"""The decision paper: what is asked for in one sentence, with its doubt, its price, its dates and what it rests on."""

from dataclasses import dataclass, field

from reports import quantities as q
from reports.advice import KINDS, NOTHING_TONES, Fact, Kind, line_reached, remedy, unsaid, with_workers
from reports.dates import dates
from reports.documents import Document, Documents, listed, section, texts
from reports.findings import unit
from reports.key_figures import Tone
from reports.said import say
from reports.wording import Words


@dataclass(frozen=True)
class Choice:
    """One way to go, as a row. `asked`: the one that the paper asks for. Money is of the cheapest machine priced."""

    kind: Kind
    name: str
    get: str
    doubt: str
    per_month: str
    per_year: str
    outcome: str
    tone: Tone
    asked: bool = False
    size: str = ""


@dataclass(frozen=True)
class Paper:
    """`ask`: the sentence. `because`: sentences that qualify it. `grade`: letter and meaning, "" where there is none."""

    ask: str
    tone: Tone
    because: list[str]
    grade: str
    grade_letter: str
    grade_reasons: list[str]
    choices: list[Choice]
    price_note: str
    dates: list[Fact] = field(default_factory=list)
    measured_on: list[Fact] = field(default_factory=list)


def paper(read: Documents, words: Words) -> Paper | None:
    """None without a plan: a run alone asks for nothing."""
    plan = read.plan
    if not plan:
        return None
    letter = str(plan.get("evidence_grade"))
    known = letter in ("A", "B", "C")
    kind = _asked(plan)
    valid = read.validity.get("valid", read.summary.get("valid"))
    ask, tone = _ask(read, kind, words) if valid is not False else (words("ask.invalid"), "bad")
    return Paper(
        ask=ask,
        tone="warn" if tone == "good" and (plan.get("indicative") or letter == "C") else tone,
        because=_because(plan, kind, words),
        grade=words(f"grade.{letter}") if known else words("grade.none"),
        grade_letter=letter if known else "",
        grade_reasons=texts(plan.get("grade_reasons")),
        choices=[_choice(one, read, one == kind and valid is not False, words) for one in KINDS],
        price_note=_price_note(plan, words),
        dates=dates(plan, words),
        measured_on=_measured_on(read, words),
    )


def _asked(plan: Document) -> Kind | None:
    """More replicas where the plan sizes them (they survive the loss of one), else the bigger machine."""
    if q.is_number(_last(plan, "scale_out").get("recommended")):
        return "scale_out"
    return "scale_up" if q.is_interval(_last(plan, "scale_up").get("workers")) else None


def _ask(read: Documents, kind: Kind | None, words: Words) -> tuple[str, Tone]:
    plan = read.plan
    option = _last(plan, kind) if kind else {}
    demand = q.shown(option.get("demand_rps"), q.number)
    if kind is None:
        refused = listed(plan, "refusals")
        reason = say(str(refused[0].get("reason")), words.lang) if refused else words("advice.nothing")
        return words("ask.refused", reason=reason), "warn"
    letter = plan.get("evidence_grade")
    grade = (
        words("ask.at_grade_C")
        if letter == "C"
        else words("ask.at_grade", letter=letter)
        if letter in ("A", "B")
        else ""
    )
    fields = {"name": read.name, "demand": demand, "unit": unit(read, words)}
    fields |= {"money": _money_clause(option, plan, words), "grade": grade}
    if kind == "scale_out":
        count = option["recommended"]
        key = "ask.replica" if count == 1 else "ask.replicas"
        return words(key, count=q.count(count), doubt=_doubt(option, words), **fields), "good"
    return with_workers("ask", option["workers"], words, **fields), "good"


def _money_clause(option: Document, plan: Document, words: Words) -> str:
    price = cheapest(option)
    if not price:
        return words("ask.unpriced")
    currency = str(price.get("currency"))
    return words(
        "ask.money_example" if plan.get("prices_are_examples") else "ask.money",
        month=q.money(price["per_month"], currency),
        year=q.shown_money(price.get("per_year"), currency),
    )


def _doubt(option: Document, words: Words) -> str:
    span = option.get("replicas")
    if not q.is_interval(span):
        return words("ask.at_most")
    share = q.shown(section(option, "replicas").get("confidence"), q.percent)
    if span["low"] == span["high"]:
        return words("ask.sure", confidence=share)
    return words("ask.doubt", interval=q.interval(span, q.count), confidence=share)


def _because(plan: Document, kind: Kind | None, words: Words) -> list[str]:
    option = _last(plan, kind) if kind else {}
    found = [] if kind or not (helps := remedy(plan, words)) else [f"{helps.rstrip('.')}."]
    if kind and (tokens := _tokens(plan, words)):
        found.append(tokens)
    if option.get("conditional"):
        found.append(words("ask.conditional"))
    if kind and section(plan, "demand").get("given") is False:
        found.append(words("advice.not_given"))
    if plan.get("indicative"):
        found.append(words("option.indicative"))
    return found


def _tokens(plan: Document, words: Words) -> str:
    """What the upstream takes beside the machines: often the larger sum, and no part of the one that is asked for."""
    found = section(plan, "upstream_cost")
    if not q.is_number(found.get("per_month")):
        return ""
    currency = str(found.get("currency"))
    month, year = (q.shown_money(found.get(key), currency) for key in ("per_month", "per_year"))
    return words("ask.tokens", month=month, year=year, model=found.get("model"))


def _choice(kind: Kind, read: Documents, asked: bool, words: Words) -> Choice:
    plan = read.plan
    option, name = _last(plan, kind), words(f"option.{kind}")
    if not option:
        return Choice(
            kind, name, words("option.refused"), "", q.NOTHING, q.NOTHING, _why_not(kind, plan, words), "warn"
        )
    month, year = _money(option)
    if kind == "do_nothing":
        state = str(option.get("state") or "unknown")
        if state == "holds" and section(read.run, "contract", "resources").get("replicas", 1) == 1:
            state = "alone"
        return Choice(
            kind, name, _as_it_is(read, words), "", words("choice.nothing_more"), words("choice.nothing_more"),
            _nothing(option, read, state, words), "warn" if state == "alone" else NOTHING_TONES.get(state, "warn"),
        )  # fmt: skip
    if kind == "scale_up":
        got, doubt = _bigger(option, words)
        return Choice(kind, name, got, doubt, month, year, words("choice.no_spare"), "warn", asked)
    count = option.get("recommended")
    got = words("option.replica" if count == 1 else "option.replicas", count=q.shown(count, q.count))
    doubt = q.interval(option.get("replicas"), q.count) if q.is_interval(option.get("replicas")) else ""
    size = _size(read, words)
    if option.get("conditional"):
        return Choice(kind, name, got, doubt, month, year, words("choice.conditional"), "warn", asked, size)
    holds = option.get("survivors_hold")
    outcome = words("choice.survives" if holds else "choice.holds")
    return Choice(kind, name, got, doubt, month, year, outcome, "good" if holds else "warn", asked, size)


def _size(read: Documents, words: Words) -> str:
    """What one replica is, as the contract deploys it: that is what was priced."""
    resources = section(read.run, "contract", "resources")
    cpu, memory = resources.get("cpu"), resources.get("memory_mib")
    parts = [words("choice.cores" if cpu != 1 else "choice.core", count=q.plain(cpu))] if q.is_number(cpu) else []
    parts += [q.mebibytes(memory)] if q.is_number(memory) else []
    return words("choice.each", size=", ".join(parts)) if parts else ""


def _as_it_is(read: Documents, words: Words) -> str:
    now = section(read.run, "contract", "resources").get("replicas")
    if not q.is_number(now):
        return words("choice.as_it_is")
    return words("choice.as_it_is_replica" if now == 1 else "choice.as_it_is_replicas", count=q.count(now))


def _bigger(option: Document, words: Words) -> tuple[str, str]:
    if q.is_interval(option.get("workers")):
        return with_workers("option", option["workers"], words), ""
    if q.is_interval(option.get("memory_mib")):
        return q.interval(option["memory_mib"], q.mebibytes), ""
    return words("option.enough") if option.get("what") == "nothing" else words.known(
        "field", str(option.get("what"))
    ), ""


def _nothing(option: Document, read: Documents, state: str, words: Words) -> str:
    found = [words.known("nothing", state)]
    if q.is_interval(option.get("loss_share")):
        found.append(words("nothing.loss", share=q.interval(option["loss_share"], q.share)))
    if isinstance(option.get("breaks_on"), str):
        found.append(line_reached(read.plan, option["breaks_on"], words))
    return ". ".join(part.rstrip(".") for part in found)


def _why_not(kind: Kind, plan: Document, words: Words) -> str:
    refused = {str(r.get("field")): str(r.get("reason")) for r in listed(plan, "refusals")}
    return say(refused[kind], words.lang) if refused.get(kind) else unsaid(plan, words)


def cheapest(option: Document) -> Document:
    """Of an option's prices the lowest per month; {} where nothing was priced."""
    priced = [price for price in listed(option, "cost") if q.is_number(price.get("per_month"))]
    return min(priced, key=lambda price: price["per_month"]) if priced else {}


def _money(option: Document) -> tuple[str, str]:
    price = cheapest(option)
    if not price:
        return q.NOTHING, q.NOTHING
    currency = str(price.get("currency"))
    return q.money(price["per_month"], currency), q.shown_money(price.get("per_year"), currency)


def _price_note(plan: Document, words: Words) -> str:
    price = next((p for kind in ("scale_out", "scale_up") if (p := cheapest(_last(plan, kind)))), {})
    if not price:
        sized = _last(plan, "scale_out") or _last(plan, "scale_up")
        return words("choice.no_prices" if sized else "choice.nothing_sized")
    return words(
        "choice.prices", machine=price.get("machine"), date=price.get("price_date"), source=price.get("price_source")
    )


def _measured_on(read: Documents, words: Words) -> list[Fact]:
    host, contract = section(read.run, "host"), section(read.run, "contract")
    upstream = section(contract, "upstream")
    cores = section(read.run, "placement").get("target")
    machine = [str(host["cpu_model"])] if host.get("cpu_model") else []
    if isinstance(cores, list) and cores:
        machine.append(words("measured.cores_for", count=q.count(len(cores))))
    elif q.is_number(host.get("cores")):
        machine.append(words("measured.cores", count=q.count(host["cores"])))
    if q.is_number(host.get("memory_mib")):
        machine.append(q.mebibytes(host["memory_mib"]))
    model = [str(upstream[key]) for key in ("provider", "model") if upstream.get(key)]
    kind = words.known("measured", str(upstream.get("kind") or "emulated")) if upstream else words("measured.none")
    rows = [
        ("machine", ", ".join(machine)),
        ("upstream", ", ".join([kind, *model])),
        ("commit", str(read.run.get("git_commit") or "")[:12]),
        ("day", _day(read.identity)),
        ("load", q.seconds(read.summary["duration_s"]) if q.is_number(read.summary.get("duration_s")) else ""),
    ]
    return [Fact(words(f"measured.{key}"), value) for key, value in rows if value]


def _day(identity: str) -> str:
    """The date in a run directory's name, 20261120T… as 2026-11-20."""
    return f"{identity[:4]}-{identity[4:6]}-{identity[6:8]}" if identity[:8].isdigit() else ""


def _last(plan: Document, kind: str) -> Document:
    entries = listed(plan, kind)
    return entries[-1] if entries else {}
