"""What a search found, in words: one source for the page's verdict and for the lines on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from reports import quantities as q
from reports.documents import Document, listed, section
from reports.said import say
from reports.wording import Words

NEARLY_SURE = 0.8  # below it the two rates that were tried say less than all trials together


def verdict(search: Document, name: str, words: Words) -> tuple[str, bool]:
    """(sentence, whether a bracket was found)."""
    lower, upper = search.get("lower_rps"), search.get("upper_rps")
    fields = {"name": name, "slo": (search.get("slo") or "").replace(",", ", ")}  # where a line may break
    if q.is_number(lower) and q.is_number(upper):
        sure = q.shown(search.get("confidence"), q.share)
        key = "search.unconfirmed" if not _whole(search).get("confirmed") else "search.between"
        return words(key, bracket=q.between(lower, upper, q.number), confidence=sure, **fields), True
    if q.is_number(lower):
        key = "search.at_least_so_far" if _whole(search).get("edge_rps") else "search.at_least"
        return words(key, rate=q.rate(lower), **fields), False
    if q.is_number(upper):
        key = "search.never" if _whole(search).get("shape") == "never_passes" else "search.at_most"
        return words(key, rate=q.rate(upper), **fields), False
    return words("search.nothing", **fields), False


def details(search: Document, words: Words) -> list[str]:
    """Width and shape, what it cost and what 5 % would, whose limit ended it, each endpoint's own bracket, refusals."""
    found = []
    whole = _whole(search)
    if q.is_number(whole.get("width")):
        shape = words.known("search_shape", str(whole.get("shape") or "unknown"))
        found.append(words("search.shape", width=q.percent(round(whole["width"], 3)), shape=shape))
    edge = section(whole, "edge_rps")
    if edge and not (whole.get("confidence") or 0.0) >= NEARLY_SURE:
        found.append(words("search.edge", bracket=q.between(edge["low"], edge["high"], q.number)))
    found.append(_cost(search, whole, words))
    limit = section(search, "limit")
    if limit:
        found.append(" ".join(say(str(limit[key]), words.lang) for key in ("sentence", "remedy") if limit.get(key)))
    found += [
        words("search.endpoint", name=name, what=_own(entry, words))
        for name, entry in section(search, "endpoints").items()
        if name != "all" and len(section(search, "endpoints")) > 2
    ]
    found += [
        words("search.refused", **{key: say(str(refusal.get(key)), words.lang) for key in ("reason", "remedy")})
        for refusal in listed(whole, "refusals")
    ]
    return found


def _cost(search: Document, whole: Document, words: Words) -> str:
    spent, seconds = search.get("load_seconds"), whole.get("seconds_for_5_percent")
    fields = {
        "spent": q.shown(spent, q.count),
        "budget": q.shown(search.get("budget_s"), q.plain),
        "trials": len(listed(search, "trials")),
    }
    if q.is_number(seconds) and q.is_number(spent) and seconds > spent + 1:
        return words("search.cost_more", more=q.seconds(float(f"{seconds:.2g}")), **fields)
    return words("search.cost", **fields)


def _own(entry: Document, words: Words) -> str:
    lower, upper = entry.get("lower_rps"), entry.get("upper_rps")
    if q.is_number(lower) and q.is_number(upper):
        return words("search.own", bracket=q.between(lower, upper, q.rate))
    if q.is_number(lower):
        return words("search.own_at_least", rate=q.rate(lower))
    if q.is_number(upper):
        return words("search.own_never", rate=q.rate(upper))
    return words("search.own_nothing")


def lower_trial(search: Document) -> str | None:
    """The name of the trial, and so of the stage, that showed the lower end."""
    lower = search.get("lower_rps")
    shown = [t for t in listed(search, "trials") if t.get("rate_rps") == lower and t.get("verdict") == "pass"]
    return str(shown[-1]["name"]) if shown else None


def telling(search: Document, stages: Sequence[Document]) -> list[Document]:
    """The stages of classifications, which were long enough for percentiles; all where there is none."""
    names = {t.get("name") for t in listed(search, "trials") if t.get("purpose") == "classification"}
    return [stage for stage in stages if stage.get("name") in names] or list(stages)


def _whole(search: Document) -> Document:
    return section(search, "endpoints", "all")
