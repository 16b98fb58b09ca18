"""`report.html` of a gate: the verdict matrix, each change with its interval, every block, earlier gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from reports import gate_charts, gate_text
from reports import quantities as q
from reports.charts.chart import Chart
from reports.documents import Document, listed, section
from reports.page import page_of
from reports.wording import Words

MOST_FUNCTIONS = 12


def page(document: Document, lang: str = "en") -> str:
    """Of a verdict alone: its `trends` are as `gate_charts.trend` takes them, its `profile` what profiles.compared says."""
    words = Words(lang)
    primaries = [one for one in listed(document, "comparisons") if one.get("primary")]
    drawings: list[Callable[[], Chart | None]] = [lambda: gate_charts.forest(document, words)]
    drawings += [partial(gate_charts.blocks, document, one, words) for one in primaries]
    drawings.append(lambda: gate_charts.agreement(document, words))
    return page_of(
        "gate.html.j2",
        words,
        name=document.get("target"),
        identity=document.get("run"),
        verdict=str(document.get("verdict")),
        tone=gate_text.TONES.get(str(document.get("verdict")), "warn"),
        icons=gate_text.ICONS,
        headline=gate_text.headline(document, words),
        reasons=document.get("reasons") or [],
        notes=document.get("notes") or [],
        rows=gate_text.rows(document, words),
        facts=gate_text.facts(document, words),
        accepted=gate_text.accepted_lines(document, words),
        charts=_drawn(drawings),
        sight=_sight(document, words),
        limits=_limits(document, words),
        trends=_drawn([partial(gate_charts.trend, entry, words) for entry in listed(document, "trends")]),
        profile=_profile(section(document, "profile"), words),
        command=document.get("command"),
    )


def _drawn(drawings: Sequence[Callable[[], Chart | None]]) -> list[Chart]:
    return [chart for drawing in drawings if (chart := drawing()) is not None]


def _sight(document: Document, words: Words) -> list[dict[str, str]]:
    return [
        {
            "what": gate_text.name_of(one, words),
            "primary": "✓" if one.get("primary") else "",
            "requests": q.shown(one.get("requests_per_block"), q.count),
            "smallest": q.shown(one.get("smallest"), q.percent),
            "why": str(one.get("why_not") or ""),
        }
        for one in listed(document, "sight")
    ]


def _limits(document: Document, words: Words) -> list[dict[str, Any]]:
    tones = {"met": "good", "missed": "bad"}
    return [
        {
            "what": f"{one.get('endpoint')} {words.known('slo', str(one.get('metric')))}",
            "limit": q.shown(one.get("limit"), q.by_key(str(one.get("metric")))),
            **{
                side: {
                    "value": q.shown(one.get(side), q.by_key(str(one.get("metric")))),
                    "word": words.known("slo", str(one.get(f"{side}_state"))),
                    "tone": tones.get(str(one.get(f"{side}_state")), "warn"),
                }
                for side in ("baseline", "candidate")
            },
        }
        for one in listed(document, "slo")
    ]


def _profile(profile: Document, words: Words) -> Document:
    """The functions whose cost per request differs most."""
    costs = profile.get("cpu_ms_per_request") or []
    if len(costs) != 2:
        return {}
    costs_ms = ("before_ms", "after_ms", "change_ms")
    rows = [
        [str(one.get("function")), *(q.shown(one.get(key), q.milliseconds) for key in costs_ms)]
        for one in listed(profile, "functions")[:MOST_FUNCTIONS]
    ]
    before, after = (q.number(cost) for cost in costs)
    return {
        "note": words("gate.profile_note" if rows else "gate.profile_same", before=before, after=after),
        "rows": rows,
        "waits": gate_text.waits(profile),
        "waits_note": words("gate.waits_note", snapshots=" / ".join(map(str, profile.get("snapshots") or []))),
    }
