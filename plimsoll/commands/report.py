"""plimsoll report"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from measurements.errors import UsageError
from measurements.rundir import RunDirectory

FORMS = ("review", "markdown", "junit", "totals", "daily", "weekly", "monthly", "quarterly")


def report(paths: Sequence[Path], form: str, baseline: Path | None, lang: str, as_json: bool) -> None:
    if form not in FORMS:
        raise UsageError(f"--as {form}: there is {', '.join(FORMS)}")
    if baseline is not None and form not in ("weekly", "monthly", "quarterly"):
        raise UsageError(f"--baseline goes with --as weekly, monthly or quarterly, not with {form}")
    written, text = _made(paths, form, baseline, lang)
    if as_json:
        print(json.dumps({"report": str(written), "as": form}))
    else:
        print(text if text is not None else written)


def _made(paths: Sequence[Path], form: str, baseline: Path | None, lang: str) -> tuple[Path, str | None]:
    """(the file that was written, its text where that is for the terminal too)."""
    from reports import junit, markdown, periodic, periods
    from reports.render import render, render_quarter

    if form in ("review", "markdown", "junit", "totals"):
        if len(paths) != 1:
            raise UsageError(f"--as {form} is about one run; name one run directory, or take --as weekly for several")
        run = RunDirectory.open(paths[0])
        if run.has("verdict.json") and form != "totals":
            return _of_gate(run, form, lang)
        if form == "review":
            return render(run, lang), None
        if form == "totals":
            return _totals(run)
        text = markdown.markdown(run, lang) if form == "markdown" else junit.junit(run, lang)
        return run.write_text("report.md" if form == "markdown" else "junit.xml", text), text
    runs = periods.runs_in(paths)
    pinned = RunDirectory.open(baseline) if baseline else None
    if form == "quarterly":
        return render_quarter(runs, pinned, lang), None
    text = periodic.check(runs, form, lang, pinned)
    return runs[-1].write_text(f"{form}.md", text), text


def _of_gate(run: RunDirectory, form: str, lang: str) -> tuple[Path, str | None]:
    from reports import gate_ci, gate_page

    document = run.read_json("verdict.json")
    if form == "review":
        return run.write_text("report.html", gate_page.page(document, lang)), None
    text = gate_ci.markdown(document, lang) if form == "markdown" else gate_ci.junit(document, lang)
    return run.write_text("comment.md" if form == "markdown" else "junit.xml", text), text


def _totals(run: RunDirectory) -> tuple[Path, str]:
    """Of a run whose rows memory may not hold: read out of core, nothing judged."""
    from measurements.out_of_core import totals
    from measurements.quantiles import QUANTILES

    found = totals(run.path)
    heads = ["stage", "endpoint", "count", "ok", *(f"{name.replace('_', '.')} ms" for name in QUANTILES)]
    lines = [
        [entry["stage"], entry["endpoint"], f"{entry['count']:,}", f"{entry['outcomes'].get('ok', 0):,}",
         *("-" if (ms := entry.get("response_ms", {}).get(name)) is None else f"{ms:.3f}" for name in QUANTILES)]
        for entry in found
    ]  # fmt: skip
    widths = [max(len(line[k]) for line in [heads, *lines]) for k in range(len(heads))]
    text = "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in [heads, *lines])
    return run.write_json("totals.json", {"schema": 1, "groups": found}), text
