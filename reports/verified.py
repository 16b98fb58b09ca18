"""Predicted against measured: a plan's own tests, and how often past predictions held."""

from dataclasses import dataclass
from typing import Any

from reports import quantities as q
from reports.documents import Document, Documents, listed, section
from reports.key_figures import Tone
from reports.tables import Mark
from reports.wording import Words

VERDICTS: dict[str, Tone] = {"HELD": "good", "MISSED": "bad", "UNDECIDED": "warn", "NOT_TESTABLE": "warn"}


@dataclass(frozen=True)
class Verified:
    """`mark` None and no rows: nobody has tested the plan. `record`: sentences on the ledger."""

    mark: Mark | None
    sentence: str
    rows: list[dict[str, Any]]
    record: list[str]


def verified(read: Documents, words: Words) -> Verified | None:
    """None without a plan: there is nothing to hold against."""
    if not read.plan:
        return None
    document = read.verification
    verdict = str(document.get("verdict"))
    mark = Mark(words.known("verified", verdict), VERDICTS[verdict]) if verdict in VERDICTS else None
    sentence = words(f"verified.{verdict}_means") if mark else words("verified.untested")
    rows = [_row(test, words) for test in listed(document, "tests")]
    return Verified(mark, sentence, rows, _record(section(read.plan, "track_record"), words))


def _row(test: Document, words: Words) -> dict[str, Any]:
    within = test.get("within")
    bounds = {key: test[key] for key in ("at_least", "at_most") if q.is_number(test.get(key))}
    tried = bool(bounds) or q.is_number(test.get("measured"))
    unknown = "undecided" if tried else "not_tested"
    state = "within" if within is True else "outside" if within is False else unknown
    tones: dict[str, Tone] = {"within": "good", "outside": "bad", "undecided": "warn", "not_tested": "warn"}
    what = str(test.get("what") or "")
    formatter = _formatter(what)
    return {
        "what": what,
        "factor": q.shown(test.get("factor"), q.plain),
        "predicted": q.interval(test.get("predicted"), formatter),
        "measured": ", ".join(words(f"verified.{key}", value=formatter(value)) for key, value in bounds.items())
        or q.shown(test.get("measured"), formatter),
        "spread": q.shown(test.get("repeat_spread"), formatter),
        "mark": Mark(words(f"verified.{state}"), tones[state]),
        "why_not": str(test.get("note") or ""),
    }


def _formatter(what: str) -> q.Formatter:
    """By the unit that a test's name ends with, "(rps)" or "(ms)"; a bare number where it names none."""
    return (
        q.rate if what.endswith(("(rps)", " rps")) else q.milliseconds if what.endswith(("(ms)", " ms")) else q.number
    )


def _record(found: Document, words: Words) -> list[str]:
    """What past predictions were worth; below ten entries that there is no record yet."""
    entries = found.get("entries")
    if not q.is_number(entries):
        return [words("record.none")]
    if found.get("verdict") != "on record":
        return [words("record.too_few", entries=q.count(entries), needed=q.shown(found.get("needed"), q.count))]
    sentences = [
        words(
            "record.coverage", entries=q.count(entries), coverage=q.shown(found.get("coverage"), q.percent),
            ends=q.span(found.get("coverage_ci95"), q.share), nominal=q.shown(found.get("nominal"), q.percent),
        )
    ]  # fmt: skip
    if q.is_number(found.get("bias")):
        sentences.append(
            words("record.bias", bias=q.percent(found["bias"]), error=q.shown(found.get("median_error"), q.percent))
        )
    factor = found.get("half_widths_multiplied_by")
    if q.is_number(factor):
        own = found.get("multiplied_by_record_of") == "line"
        sentences.append(words("record.scaled_by_own" if own else "record.scaled", factor=q.number(factor)))
    return sentences
