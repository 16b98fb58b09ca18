"""VALID or INVALID, each reason with its remedy: a closed list of checks.

A check makes a run INVALID only when it could change a published number by more than its interval, or flip a verdict;
else it is a note beside the number.
"""

from __future__ import annotations

from typing import Any

from measurements import generator_checks as generator
from measurements import run_checks as run
from measurements.check import INVALID, OK
from measurements.circumstances import Circumstances
from measurements.frame import Frame
from measurements.reading import read_late


def judge(frame: Frame, summary: dict[str, Any], facts: Circumstances) -> dict[str, Any]:
    """`validity.json`: valid, indicative and every check with its state."""
    checks = [
        run.accounting(frame, facts),
        generator.delivered(frame, facts),
        *generator.dropped(summary, facts),
        *generator.generator_added(summary),
        read_late(frame, summary, facts.windows, facts.echoes),
        generator.cpu(frame, summary, facts),
        generator.run_delay(facts),
        generator.own_faults(facts),
        generator.stale(frame, facts),
        run.workers(facts),
        run.clock(facts),
        run.content(facts),
        run.complete(facts),
        *run.incident(facts),
    ]
    indicative = run.indicative(summary)
    checks += indicative
    return {
        "schema": 1,
        "valid": not any(check.state == INVALID for check in checks),
        "indicative": bool(indicative),
        "checks": [check.as_json() for check in checks],
    }


def reasons(validity: dict[str, Any]) -> list[dict[str, Any]]:
    """What `summary.json` carries: the checks that are not plainly ok, INVALID ones first."""
    found = [check for check in validity["checks"] if check["state"] != OK]
    return sorted(found, key=lambda check: check["state"] != INVALID)
