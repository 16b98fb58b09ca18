"""The summary that a run ends with in the terminal: at most fifteen lines, from the same findings as the page."""

from pathlib import Path

from reports import advice
from reports.documents import Document, Documents, listed
from reports.findings import find
from reports.incidents import incident
from reports.key_figures import Figure
from reports.said import say
from reports.wording import Words

MOST_LINES = 15
MOST_LIMITS, MOST_TRAPS, MOST_TROUBLES = 3, 3, 3


def summary_lines(
    summary: Document, validity: Document, plan: Document | None, report_path: Path | str, lang: str = "en",
    run: Document | None = None, search: Document | None = None,
) -> list[str]:  # fmt: skip
    """p95, rate, errors, capacity, what binds, the advice and where the report is; reasons where it is INVALID. `run` is
    run.json, for the target's name as it is written; `search` that of a search, whose lower end the figures speak of."""
    words = Words(lang)
    read = Documents(str(summary.get("run") or ""), run or {}, summary, validity, plan or {}, search or {}, {}, {})
    found = find(read, words)
    lines = [words("terminal.headline", state=found.state, verdict=found.verdict)]
    if found.ended:
        lines.append(words("terminal.note", value=found.ended))
    lines += [words("terminal.note", value=sentence) for sentence in found.troubles[:MOST_TROUBLES]]
    keys = {"p95": "p95", "rps": "rps", "errors": "errors", "capacity": "capacity", "binds": "binds"}
    lines += [words(f"terminal.{keys[figure.key]}", value=_line(figure, words)) for figure in found.figures]
    made = incident(summary)
    lines += [words("terminal.note", value=sentence) for sentence in (made.sentences if made else [])]
    lines += [words("terminal.note", value=say(sentence, lang)) for sentence in limits_and_traps(summary)]
    recommended = advice.remedy(plan or {}, words) or advice.recommend(plan or {}, words)
    if recommended and validity.get("valid") is not False and not found.troubles:
        lines.append(words("terminal.advice", value=recommended))
    lines += [words("terminal.note", value=sentence) for sentence in advice.doubts(plan or {}, words)]
    if found.grade_known:
        lines.append(words("terminal.note", value=found.grade))
    lines += [
        words("terminal.note", value="; ".join(say(part, lang) for part in (sentence, remedy) if part))
        for sentence, remedy in found.reasons
    ]
    lines = lines[: MOST_LINES - 1]
    return [one_line(line) for line in lines] + [words("terminal.report", path=report_path)]


def limits_and_traps(summary: Document) -> list[str]:
    """Sentences on the limits, those that bind first, and on the traps that this run met or priced."""
    limits = sorted(listed(summary, "limits"), key=lambda limit: not limit.get("binds"))[:MOST_LIMITS]
    traps = [trap for trap in listed(summary, "traps") if trap.get("state") in ("binds", "costs")][:MOST_TRAPS]
    return [str(found.get("sentence")) for found in [*limits, *traps]]


def _line(figure: Figure, words: Words) -> str:
    whose = [figure.label] if figure.key == "p95" and figure.label != words("figure.p95_all") else []
    notes = [*whose, *figure.notes]
    return f"{figure.value}  ({'; '.join(notes)})" if notes else figure.value


def one_line(text: str) -> str:
    """Control characters from a target can neither break the line nor move the cursor."""
    return "".join(character if character.isprintable() else " " for character in text)
