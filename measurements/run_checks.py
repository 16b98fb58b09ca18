"""Checks of the run as a whole: every arrival has its row, everybody stayed, the clocks agree, the answers were looked at."""

from __future__ import annotations

from typing import Any

import numpy as np

from measurements.check import INVALID, NOTE, OK, Check
from measurements.circumstances import Circumstances
from measurements.frame import Frame

ENOUGH_EFFECTIVE = 400


def accounting(frame: Frame, facts: Circumstances) -> Check:
    arrivals = int((frame.step == 0).sum())
    distinct = len(np.unique(frame.seq[frame.step == 0]))
    intended = sum(facts.given.values()) + sum(lost.get("arrivals", 0) for lost in facts.lost)
    difference = abs(arrivals - intended) + (arrivals - distinct)
    return Check(
        "accounting", "run", INVALID if difference else OK, difference, 0,
        f"{arrivals} arrivals have a row, {intended} were intended, {arrivals - distinct} twice",
        "this is a defect of the instrument: keep the run directory and report it" if difference else "",
    )  # fmt: skip


def workers(facts: Circumstances) -> Check:
    gone = [f"worker {lost['worker']}: {lost.get('said', '')}" for lost in facts.lost]
    late = [f"{late['host']} {late['said']}" for late in facts.late]
    state = OK if not gone and not late else NOTE if facts.allow_degraded else INVALID
    rows = sum(lost.get("rows", 0) for lost in facts.lost)
    told = [f"{len(gone)} load processes were lost with {rows} arrivals ({'; '.join(gone)})"] if gone else []
    told += [f"{len(late)} hosts began late ({'; '.join(late)})"] if late else []
    return Check(
        "workers_present", "run", state, len(gone) + len(late), 0,
        "; ".join(told) or "every load process stayed to the end",
        "see its log in the run directory; --allow-degraded accepts the gap" if told else "",
    )  # fmt: skip


def clock(facts: Circumstances) -> Check:
    off = abs(facts.clock_drift_ms)
    return Check(
        "clock", "run", INVALID if off > 50 else OK, off, 50,
        f"wall clock and monotonic clock drifted {off:.1f} ms apart over the run",
        "let the time service settle and run again" if off > 50 else "",
    )  # fmt: skip


def content(facts: Circumstances) -> Check:
    if not facts.has_expectation:
        return Check("content", "run", OK, 0, 0, "statuses were checked; no contract says what answers must contain")
    state = OK if facts.expectation_checked else INVALID
    return Check(
        "content", "run", state, 0, 0,
        "answers were checked against the contract" if state == OK else "no answer was checked against the contract's expect",
        "" if state == OK else "name the locustfile's requests (name=…) as the contract's endpoints are named",
    )  # fmt: skip


def complete(facts: Circumstances) -> Check:
    early = facts.ended != "completed"
    return Check(
        "schedule_complete", "run", NOTE if early else OK, 0, 0,
        f"the run ended early: {facts.stop_reason or facts.ended}" if early else "the schedule ran to its end",
        "what was measured until then is kept and judged" if early else "",
    )  # fmt: skip


def incident(facts: Circumstances) -> list[Check]:
    if not facts.unfinished:
        return []
    return [
        Check("incident_complete", "run", INVALID, 0, 0, facts.unfinished, "what was done until then is in the summary")
    ]


def indicative(summary: dict[str, Any]) -> list[Check]:
    """A capacity claim rests on at least 400 effective samples per stage."""
    few = {
        stage["name"]: stage["all"]["response_ms"]["n_effective"].get("p95", 0)
        for stage in summary["stages"]
        if not stage["warmup"] and stage["all"]["response_ms"]["n_effective"].get("p95", 0) < ENOUGH_EFFECTIVE
    }
    if not few:
        return []
    least = min(few.values())
    return [
        Check(
            "effective_samples", "run", NOTE, least, ENOUGH_EFFECTIVE,
            f"{len(few)} of {len(summary['stages'])} stages have fewer than {ENOUGH_EFFECTIVE} effective samples (least {least}): "
            "capacity claims are indicative",
            "run longer (--duration), so that each stage has more",
        )
    ]  # fmt: skip
