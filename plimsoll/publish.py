"""What a finished run is turned into for people: plan.json, report.html, and the lines on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from measurements.errors import PlimsollError
from plimsoll import observed
from plimsoll.measure import Run

T = TypeVar("T")


def publish(run: Run, lang: str, with_plan: bool) -> list[str]:
    """Writes plan and report into the run directory; returns at most 15 lines. A report that fails never costs the run."""
    from reports.terminal import summary_lines

    plan = _kept(_plan, run) if with_plan else None
    return summary_lines(run.summary, run.validity, plan, report_of(run, lang), lang, run.document)


def report_of(run: Run, lang: str) -> str:
    """Writes report.html; its path, or what to do where it was not made."""
    from reports.render import render

    return _kept(lambda: str(render(run.directory, lang))) or "not written; try: plimsoll report"


def _plan(run: Run) -> dict[str, Any]:
    from plimsoll import planning

    made = planning.plan([run.directory], [observed.documents(run.directory)], planning.Wish(), files=False)
    run.directory.write_json("plan.json", made.document)
    return made.document


def _kept(make: Callable[..., T], *arguments: object) -> T | None:
    """The rows are safe on disk by now: a defect in what is drawn from them is told, and the run stands."""
    try:
        return make(*arguments)
    except Exception as error:
        kind = "" if isinstance(error, PlimsollError) else f"{type(error).__name__}: "
        print(f"plimsoll: the run is kept, but its plan or report was not made: {kind}{error}", file=sys.stderr)
        return None
