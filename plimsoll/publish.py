"""What a finished run is turned into for people: plan.json, report.html, and the lines on the terminal."""

from __future__ import annotations

from measurements.errors import PlimsollError
from plimsoll.measure import Run


def publish(run: Run, lang: str, with_plan: bool) -> list[str]:
    """Writes plan and report into the run directory; returns at most 15 lines. A report that fails never costs the run."""
    from reports.render import render
    from reports.terminal import summary_lines

    plan = None
    if with_plan:
        from capacity.plan import RunDocuments, make_plan

        made = make_plan([RunDocuments(run.document, run.summary, run.validity)], None)
        plan = made.as_json()
        run.directory.write_json("plan.json", plan)
    try:
        path = str(render(run.directory, lang))
    except PlimsollError as error:
        path = f"not written: {error}"
    return summary_lines(run.summary, run.validity, plan, path, lang)
