"""The lines that a search ends with in the terminal."""

from __future__ import annotations

from pathlib import Path

from reports import searched
from reports.documents import Document
from reports.terminal import MOST_LINES, one_line
from reports.wording import Words


def search_lines(search: Document, name: str, report_path: Path | str, lang: str = "en") -> list[str]:
    """At most fifteen: the bracket, then what belongs to it, then where the report is."""
    words = Words(lang)
    sentence, _ = searched.verdict(search, name, words)
    state = words("state.valid") if search.get("valid") else words("state.invalid")
    lines = [words("terminal.headline", state=state, verdict=sentence)]
    lines += [words("terminal.note", value=detail) for detail in searched.details(search, words)]
    return [one_line(line) for line in lines[: MOST_LINES - 1]] + [words("terminal.report", path=report_path)]
