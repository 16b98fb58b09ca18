"""A gate's verdict in words: the rows that page, Markdown, JUnit and terminal all show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports import quantities as q
from reports.documents import Document, amount, listed, section
from reports.wording import Words

TONES = {"PASS": "good", "WARN": "warn", "FAIL": "bad", "INVALID": "bad", "BLIND": "warn", "INCONCLUSIVE": "warn"}
ICONS = {"good": "✓", "warn": "!", "bad": "✕", "": "·"}
MOST_REASONS, MOST_DEARER = 6, 3
MOST_WAITS = 8


@dataclass(frozen=True)
class Row:
    """A comparison as written text."""

    what: str
    verdict: str
    tone: str
    baseline: str
    candidate: str
    change: str
    interval: str
    p_value: str
    smallest: str
    why: str
    primary: bool


def name_of(one: Document, words: Words) -> str:
    metric = str(one.get("metric"))
    endpoint = str(one.get("endpoint"))
    shown = words.known("gate_metric", metric)
    return shown if endpoint == "all" else f"{endpoint} {shown}"


def rows(document: Document, words: Words) -> list[Row]:
    """Primaries first, in their order; then what is only reported and could be compared."""
    found = [one for one in listed(document, "comparisons") if one.get("primary") or one.get("ci95")]
    return [_row(one, words) for one in sorted(found, key=lambda one: not one.get("primary"))]


def _row(one: Document, words: Words) -> Row:
    verdict = str(one.get("verdict") or words("gate.report_only"))
    formatter = value_formatter(str(one.get("metric")))
    return Row(
        what=name_of(one, words),
        verdict=verdict,
        tone=TONES.get(verdict, ""),
        baseline=q.shown(one.get("baseline"), formatter),
        candidate=q.shown(one.get("candidate"), formatter),
        change=change_of(one),
        interval=interval_of(one),
        p_value=q.shown(one.get("p_value"), probability),
        smallest=_smallest(one),
        why=str(one.get("why") or ""),
        primary=bool(one.get("primary")),
    )


def _smallest(one: Document) -> str:
    found = one.get("minimum_detectable")
    if not q.is_number(found):
        return q.NOTHING
    return (signed_percent(found) if q.is_number(one.get("ratio")) else difference_of(one, found)).lstrip("+")


def value_formatter(metric: str) -> q.Formatter:
    if metric == "cpu_s_per_request":
        return lambda value: f"{q.number(value * 1000)} ms"
    if metric == "leak_kib_per_request":
        return lambda value: f"{q.plain(value)} KiB"
    return q.by_key(metric)


def change_of(one: Document) -> str:
    """+3.2 % of a ratio, +0.4 points of a share."""
    if q.is_number(one.get("ratio")):
        return signed_percent(float(one["ratio"]) - 1)
    return difference_of(one, float(one["difference"])) if q.is_number(one.get("difference")) else q.NOTHING


def interval_of(one: Document) -> str:
    ends = one.get("ci95")
    if not isinstance(ends, list) or len(ends) != 2:
        return q.NOTHING
    if q.is_number(one.get("ratio")):
        return f"{signed_percent(ends[0] - 1)} … {signed_percent(ends[1] - 1)}"
    return f"{difference_of(one, ends[0])} … {difference_of(one, ends[1])}"


def difference_of(one: Document, value: float) -> str:
    if str(one.get("metric")) == "error_rate":
        return f"{signed(value * 100)} %p"
    return f"{signed(value)} KiB"


def signed(value: float) -> str:
    text = f"{value:+.2f}" if abs(value) < 1 else f"{value:+.1f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def signed_percent(value: float) -> str:
    return f"{signed(value * 100)} %"


def probability(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def headline(document: Document, words: Words) -> str:
    verdict = str(document.get("verdict") or "INVALID")
    return words(f"gate_verdict.{verdict}", floor=q.percent(float(document.get("floor") or 0.0)))


def facts(document: Document, words: Words) -> list[tuple[str, str]]:
    """How it was measured, as label and text."""
    duets = listed(document, "duets")
    doubts = section(duets[0], "doubts") if duets else {}
    found: list[tuple[str, Any]] = [
        (words("gate.baseline"), section(document, "baseline").get("label")),
        (words("gate.candidate"), section(document, "candidate").get("label")),
        (words("gate.rate"), q.shown(amount(document, "rate_rps"), q.rate)),
        (words("gate.blocks"), _blocks(document, words)),
        (words("gate.attenuation"), _attenuation(doubts, words)),
        (words("gate.placement"), document.get("placement")),
        (words("gate.accuracy"), accuracy(document, words)),
    ]
    return [(label, str(text)) for label, text in found if text not in (None, "", q.NOTHING)]


def _blocks(document: Document, words: Words) -> str:
    counts = []
    for duet in listed(document, "duets"):
        blocks = listed(duet, "blocks")
        counts.append(words("gate.blocks_of", count=len(blocks), void=sum(bool(b.get("voided")) for b in blocks)))
    return f"{' + '.join(counts)}, {q.shown(amount(document, 'block_s'), q.seconds)}" if counts else ""


def _attenuation(doubts: Document, words: Words) -> str:
    if not q.is_number(doubts.get("attenuation")):
        return ""
    return words(
        "gate.attenuation_is", share=q.share(doubts["overlap_share"]), stretch=signed_percent(doubts["stretch"]),
        lost=q.share(doubts["attenuation"]),
    )  # fmt: skip


def accuracy(document: Document, words: Words) -> str:
    """What the gate was measured to get wrong, where and how often."""
    parts = [
        words("gate.accuracy_of", case=one["case"], what=one["what"], share=q.percent(one["share"]),
              low=q.percent(one["ci95"][0]), high=q.percent(one["ci95"][1]), gates=one["gates"])
        for one in listed(section(document, "accuracy"), "figures")
        if one.get("quoted")
    ]  # fmt: skip
    return "; ".join(parts) or words("gate.accuracy_none")


def accepted_lines(document: Document, words: Words) -> list[str]:
    return [
        words("gate.accepted_one", what=f"{one.get('endpoint')} {one.get('metric')}", ratio=q.shown(one.get("up_to"), q.ratio),
              until=one.get("until"), reason=one.get("reason"), by=one.get("by"))
        for one in listed(document, "accepted")
    ]  # fmt: skip


def dearer(document: Document, words: Words) -> list[str]:
    """The functions that cost more CPU in the candidate, where a FAIL was profiled."""
    rows = listed(section(document, "profile"), "functions")
    costs = [
        (amount(one, "before_ms") or 0.0, amount(one, "after_ms") or 0.0, str(one.get("function"))) for one in rows
    ]
    grown = sorted((before - after, before, after, name) for before, after, name in costs if after > before)
    return [
        words("gate.dearer", name=name, before=q.number(before), after=q.number(after))
        for _, before, after, name in grown[:MOST_DEARER]
    ]


def waits(profile: Document) -> list[tuple[str, int, int]]:
    """Where threads of either version were found waiting: place, in how many snapshots of the baseline, of the candidate."""
    found = []
    for one in listed(profile, "waits")[:MOST_WAITS]:
        place = f"{one.get('function')} ({Path(str(one.get('file'))).name}:{one.get('line')})"
        found.append((place, int(amount(one, "before") or 0), int(amount(one, "after") or 0)))
    return found


def waiting(document: Document, words: Words) -> list[str]:
    """Where the candidate was found waiting more often than the baseline, where a FAIL was profiled."""
    found = section(document, "profile")
    snapshots = max(found.get("snapshots") or [0])
    return [
        words("gate.waits_more", name=name, before=before, after=after, snapshots=snapshots)
        for name, before, after in waits(found)
        if after > before
    ][:MOST_DEARER]


def lines(document: Document, report: Path | str, lang: str = "en") -> list[str]:
    """For the terminal: the verdict, every primary, what was noticed beside, where the rest is."""
    words = Words(lang)
    found = [f"{document.get('verdict')}: {headline(document, words)}"]
    found += [f"  {reason}" for reason in (document.get("reasons") or [])[:MOST_REASONS]]
    for row in rows(document, words):
        if row.primary:
            found.append(f"  {row.verdict:<12} {row.what}: {row.baseline} → {row.candidate}, {row.change} [{row.interval}]"
                         f", p {row.p_value}, {words('gate.notices', smallest=row.smallest)}")  # fmt: skip
    changed = [row for row in rows(document, words) if not row.primary and row.why == "changed"]
    found += [f"  {words('gate.also')} {row.what}: {row.change} [{row.interval}]" for row in changed[:MOST_REASONS]]
    found += [f"  {label}: {text}" for label, text in facts(document, words) if label == words("gate.attenuation")]
    found += [
        f"  {line}" for line in [*accepted_lines(document, words), *dearer(document, words), *waiting(document, words)]
    ]
    found += [f"  {line}" for line in document.get("notes") or []]
    found.append(words("gate.report", path=report))
    return ["".join(c if c.isprintable() else " " for c in line) for line in found]
