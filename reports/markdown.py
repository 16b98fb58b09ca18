"""The findings as Markdown, for CI summaries and pull requests; everything from a target is escaped."""

import re

from measurements.rundir import RunDirectory
from reports import advice, documents, findings, tables
from reports.key_figures import ICONS
from reports.wording import Words

SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@-])")


def escape(text: str) -> str:
    """Plain text for any place in Markdown: nothing in it is markup, a link, a mention or a new line."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def markdown(run: RunDirectory, lang: str = "en") -> str:
    words = Words(lang)
    read = documents.read(run)
    found = findings.find(read, words)
    lines = [f"## {escape(words('page.title', name=read.name))}", ""]
    lines += [f"**{ICONS[found.state_tone]} {escape(found.state)}** {escape(found.verdict)}", ""]
    lines += [escape(found.ended), ""] if found.ended else []
    lines += [line for sentence in found.troubles for line in (f"**{escape(sentence)}**", "")]
    lines += [escape(found.grade), ""] if found.grade_known else []
    lines += [f"- {escape(sentence)} {escape(remedy)}" for sentence, remedy in found.reasons]
    if found.figures:
        lines += ["", "| | | |", "|---|---|---|"]
        lines += [
            f"| {escape(f.label)} | **{escape(f.value)}** | {escape('; '.join(f.notes))} |" for f in found.figures
        ]
    recommended = advice.recommend(read.plan, words)
    if recommended:
        lines += ["", f"**{escape(words('option.chosen'))}** {escape(recommended)}"]
    limits = tables.limit_rows(read, words)
    if limits:
        heads = [words(f"column.{key}") for key in ("endpoint", "metric", "value", "limit", "result")]
        lines += ["", "| " + " | ".join(escape(head) for head in heads) + " |", "|---" * len(heads) + "|"]
        for row in limits:
            cells = [
                row["endpoint"],
                row["metric"],
                row["value"],
                row["limit"],
                f"{row['mark'].icon} {row['mark'].word}",
            ]
            lines.append("| " + " | ".join(escape(str(cell)) for cell in cells) + " |")
    lines += ["", escape(words("page.made", identity=read.identity)), ""]
    return "\n".join(lines)
