"""Daily, weekly and monthly checks as short Markdown: thresholds, then the trend, then what binds and what it costs."""

from collections.abc import Sequence

from measurements.rundir import RunDirectory
from reports import advice, comparison, decision, findings, periods
from reports import quantities as q
from reports.documents import Documents
from reports.key_figures import ICONS
from reports.markdown import escape
from reports.thresholds import thresholds
from reports.wording import Words

MOST_CHANGES = 8


def check(runs: Sequence[RunDirectory], period: str, lang: str = "en", baseline: RunDirectory | None = None) -> str:
    """`runs` oldest first; the newest one is judged. `baseline`: what the trend is held against; absent: the oldest run."""
    words = Words(lang)
    reads = periods.within(runs, period)
    newest = reads[-1]
    lines = [f"## {escape(words(f'period.{period}', name=newest.name))}", "", *_judged(newest, words)]
    if period in ("weekly", "monthly"):
        by_name = {run.identity: run for run in runs}
        lines += _trend(reads, by_name, baseline, words)
    if period == "monthly":
        lines += _binds_and_cost(newest, words)
    return "\n".join([*lines, "", escape(words("page.made", identity=newest.identity)), ""])


def _judged(read: Documents, words: Words) -> list[str]:
    found = findings.find(read, words)
    rows = thresholds(read, words)
    tones = [getattr(row["mark"], "tone", "") for row in rows]
    missed, met = tones.count("bad"), tones.count("good")
    key = "missed" if missed else "no_thresholds" if not rows else "met" if met == len(rows) else "partly"
    said = words(f"period.{key}", count=missed, met=met, unseen=len(rows) - met - missed, total=len(rows))
    icon = ICONS["bad" if missed or found.state_tone == "bad" else "good" if key == "met" else "warn"]
    lines = [f"**{icon} {escape(said)}** {escape(found.state)}. {escape(found.verdict)}", ""]
    lines += [f"- {escape(sentence)} {escape(remedy)}" for sentence, remedy in found.reasons]
    if rows:
        lines += [""] if found.reasons else []
        heads = [words(f"column.{key}") for key in ("metric", "value", "limit", "result")]
        lines += _table(
            heads, [[str(row["what"]), str(row["value"]), str(row["limit"]), _mark(row["mark"])] for row in rows]
        )
    return lines


def _mark(mark: object) -> str:
    return f"{getattr(mark, 'icon', '')} {getattr(mark, 'word', '')}"


def _trend(
    reads: Sequence[Documents], by_name: dict[str, RunDirectory], baseline: RunDirectory | None, words: Words
) -> list[str]:
    heads = [words(f"period.head_{head}") for head in periods.HEADS]
    lines = ["", f"### {escape(words('period.trend'))}", "", *_table(heads, periods.rows(periods.points(reads), words))]
    first = baseline or by_name.get(reads[0].identity)
    last = by_name.get(reads[-1].identity)
    if first is None or last is None or first.identity == last.identity:
        return [*lines, "", escape(words("period.one_run"))]
    document = comparison.compare(first, last)
    apart = [row for row in comparison.rows(document, words) if row["state"] in _apart(words)]
    lines += ["", escape(words("period.against", run=first.identity))]
    lines += [
        f"- {escape(row['stage'])}, {escape(row['endpoint'])} {escape(row['metric'])}: {escape(row['a'])} → "
        f"{escape(row['b'])}, × {escape(row['ratio'])}, {escape(row['state'])}"
        for row in apart[:MOST_CHANGES]
    ]
    return [*lines, *([] if apart else [f"- {escape(words('period.nothing_apart'))}"])]


def _apart(words: Words) -> set[str]:
    return {words("comparison.higher"), words("comparison.lower")}


def _binds_and_cost(read: Documents, words: Words) -> list[str]:
    lines = ["", f"### {escape(words('section.binds'))}", ""]
    binding = findings.find(read, words).binding
    lines.append(escape(" ".join(binding)) if binding else escape(words("period.no_plan")))
    paper = decision.paper(read, words)
    lines += ["", f"### {escape(words('cost.title'))}", ""]
    if paper is None:
        return [*lines, escape(words("period.no_plan"))]
    heads = [
        words("choice.option"),
        words("choice.get"),
        words("cost.per_month"),
        words("cost.per_year"),
        words("choice.outcome"),
    ]
    rows = [[one.name, one.get, one.per_month, one.per_year, one.outcome] for one in paper.choices]
    lines += [*_table(heads, rows), "", escape(paper.price_note)]
    recommended = advice.recommend(read.plan, words)
    return [*lines, "", f"**{escape(words('option.chosen'))}** {escape(recommended or q.NOTHING)}"]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(escape(head) for head in heads) + " |",
        "|---" * len(heads) + "|",
        *("| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows),
    ]
