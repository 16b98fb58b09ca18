"""What options cost on each machine priced, what the upstream costs, and what being wrong either way would."""

from dataclasses import dataclass
from typing import Any

from reports import quantities as q
from reports.advice import Fact
from reports.documents import Document, listed, section, texts
from reports.wording import Words


@dataclass(frozen=True)
class Costs:
    """`rows`: one per option and machine price; `sources`: where each machine's price is from. Every text is ready to be
    shown."""

    rows: list[dict[str, str]]
    sources: list[Fact]
    upstream: list[Fact]
    wrong: list[str]
    assumptions: list[str]


def costs(plan: Document, words: Words) -> Costs | None:
    """None where nothing was priced."""
    priced = [
        (kind, option, price)
        for kind in ("scale_up", "scale_out")
        for option in listed(plan, kind)
        for price in listed(option, "cost")
        if q.is_number(price.get("per_month"))
    ]
    rows = [_row(kind, option, price, words) for kind, option, price in priced]
    sources = {
        str(price.get("machine")): f"{price.get('price_source')}, {price.get('price_date')}" for *_, price in priced
    }
    upstream = section(plan, "upstream_cost")
    if not rows and not upstream:
        return None
    assumed = [*texts(plan.get("cost_assumptions")), *texts(upstream.get("assumptions"))]
    wrong = _wrong(section(plan, "cost_of_being_wrong"), words)
    return Costs(rows, [Fact(*pair) for pair in sources.items()], _upstream(upstream, words), wrong, assumed)


def _row(kind: str, option: Document, price: Document, words: Words) -> dict[str, str]:
    currency = str(price.get("currency"))
    span = price.get("per_month_range")
    ends = [q.shown_money(end, currency) for end in span] if isinstance(span, list) and len(span) == 2 else []
    return {
        "option": words(f"option.{kind}"),
        "demand": q.shown(option.get("demand_rps"), q.rate),
        "machine": str(price.get("machine")),
        "per_month": q.money(price["per_month"], currency),
        "range": " – ".join(ends) if ends else q.NOTHING,
        "per_year": q.shown_money(price.get("per_year"), currency),
        "per_1000": q.shown_money(price.get("per_1000_requests_within_slo"), currency),
    }


def _upstream(found: Document, words: Words) -> list[Fact]:
    if not found:
        return []
    currency = str(found.get("currency"))
    rows: list[tuple[str, Any]] = [
        ("cost.model", found.get("model")),
        ("cost.per_month", q.shown_money(found.get("per_month"), currency)),
        ("cost.per_year", q.shown_money(found.get("per_year"), currency)),
        ("cost.per_1000", q.shown_money(found.get("per_1000_requests"), currency)),
        ("cost.source", f"{found.get('price_source')}, {found.get('price_date')}"),
    ]
    return [Fact(words(key), str(value)) for key, value in rows if value]


def _wrong(found: Document, words: Words) -> list[str]:
    sentences = []
    many = listed(found, "too_many")
    if many and q.is_number(many[0].get("replicas")) and many[0]["replicas"] > 0:
        month = q.shown_money(many[0].get("per_month"), str(many[0].get("currency")))
        key = "cost.too_many_one" if many[0]["replicas"] == 1 else "cost.too_many"
        sentences.append(words(key, count=q.plain(many[0]["replicas"]), month=month))
    few = section(found, "too_few")
    if q.is_number(few.get("peak_share_beyond_slo")) and few["peak_share_beyond_slo"] > 0:
        share = q.share(few["peak_share_beyond_slo"])
        key = "cost.too_few_one" if few.get("replicas_short") == 1 else "cost.too_few"
        sentences.append(words(key, count=q.shown(few.get("replicas_short"), q.plain), share=share))
    return sentences
