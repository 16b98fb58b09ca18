"""When the line is reached and when to order: dates of a plan, or why there is none."""

from typing import Any

from reports import quantities as q
from reports.advice import Fact, past, planned
from reports.documents import Document, listed, section
from reports.wording import Words


def dates(plan: Document, words: Words) -> list[Fact]:
    nothing, demand = (listed(plan, "do_nothing") or [{}])[-1], section(plan, "demand")
    today, share = demand.get("demand_rps"), nothing.get("today_share_of_line")
    wanted = demand.get("planned_rps") or [None]
    grows = q.is_number(today) and q.is_number(wanted[-1]) and wanted[-1] != today
    lead = nothing.get("lead_time_days")
    found: list[tuple[str, Any]] = [
        ("today", q.rate(today) if q.is_number(today) else None),
        ("headroom", _headroom(share, words) if q.is_number(share) else None),
        ("planned", planned(plan, wanted[-1], words) if grows else None),
        ("reached", words("dates.passed") if past(plan, nothing.get("breaks_on")) else nothing.get("breaks_on")),
        ("lead", words("dates.days", days=q.plain(lead)) if q.is_number(lead) else None),
        ("order", _order(plan, nothing, grows, words)),
    ]
    return [Fact(words(f"dates.{key}"), str(value)) for key, value in found if value]


def _headroom(share: float, words: Words) -> str:
    return words("dates.no_headroom" if share > 1 else "dates.share_of_line", share=q.percent(share))


def _order(plan: Document, nothing: Document, grows: bool, words: Words) -> str:
    day = nothing.get("order_by")
    if nothing.get("breaks_on") and day:
        return words("dates.now") if past(plan, day) else str(day)
    refused = any(refusal.get("field") == "capacity_rps" for refusal in listed(plan, "refusals"))
    if refused or (grows and not q.is_number(nothing.get("today_share_of_line"))):
        return words("dates.no_line")
    return words("dates.not_reached" if grows else "dates.unknown")
