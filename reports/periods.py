"""Several runs of one target over a period: which belong to it, and what they show one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from measurements.errors import PlimsollError, UsageError
from measurements.rundir import RunDirectory
from reports import documents
from reports import quantities as q
from reports.documents import Document, Documents, amount, entry_of, level_rps, listed, section
from reports.key_figures import p95_or_bound, reference_stage, tightest
from reports.stages import within_slo
from reports.wording import Words

DAYS = {"daily": 1, "weekly": 7, "monthly": 31, "quarterly": 92}
STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Point:
    """One run in a row of them. `p95_ms` of the endpoint closest to its limit at the highest load within the SLO; not
    `p95_exact`: it is at least that."""

    identity: str
    day: str
    valid: bool | None
    endpoint: str
    load_rps: float | None
    p95_ms: float | None
    p95_exact: bool
    error_rate: float | None
    capacity: Document
    binds: str


def runs_in(paths: Sequence[Path]) -> list[RunDirectory]:
    """Run directories as named, and those inside a named folder of runs, oldest first; unreadable ones there are left out."""
    found: dict[str, RunDirectory] = {}
    for path in paths:
        if (path / "run.json").is_file():
            run = RunDirectory.open(path)
            found[run.identity] = run
            continue
        inside = sorted(child.parent for child in path.glob("*/run.json") if not child.parent.is_symlink())
        if not inside:
            raise UsageError(f"{path} is no run directory and holds none; runs lie in runs/, the newest is runs/latest")
        for folder in inside:
            try:
                run = RunDirectory.open(folder)
            except PlimsollError:
                continue
            found[run.identity] = run
    return [found[name] for name in sorted(found)]


def within(runs: Sequence[RunDirectory], period: str) -> list[Documents]:
    """Those of the newest run's target, no older than the period before it, that were finished."""
    if period not in DAYS:
        raise UsageError(f"--as {period}: periods are {', '.join(DAYS)}")
    read = [documents.read(run) for run in runs]
    finished = [one for one in read if one.summary]
    if not finished:
        raise UsageError("none of these runs has a summary; finish one with: plimsoll recover RUN_DIR")
    newest = finished[-1]
    since = _moment(newest.identity) - timedelta(days=DAYS[period])
    return [one for one in finished if one.name == newest.name and _moment(one.identity) >= since]


def _moment(identity: str) -> datetime:
    try:
        return datetime.strptime(identity[:16], STAMP)  # noqa: DTZ007  all in UTC, only compared
    except ValueError:
        return datetime.min  # noqa: DTZ901


def points(reads: Sequence[Documents]) -> list[Point]:
    return [_point(read) for read in reads]


def _point(read: Documents) -> Point:
    slo = listed(read.summary, "slo")
    stage = reference_stage(read)
    name = tightest(stage, slo, read.endpoints)
    valid = read.validity.get("valid", read.summary.get("valid"))
    p95, exact = p95_or_bound(entry_of(stage, name))
    judged = not slo or within_slo(stage, slo) != "unknown"
    return Point(
        identity=read.identity,
        day=f"{read.identity[:4]}-{read.identity[4:6]}-{read.identity[6:8]}" if read.identity[:8].isdigit() else "",
        valid=valid if isinstance(valid, bool) else None,
        endpoint=name,
        load_rps=level_rps(stage) if judged else None,
        p95_ms=p95,
        p95_exact=exact,
        error_rate=amount(section(stage, "all"), "error_rate"),
        capacity=section(read.plan, "capacity_rps"),
        binds=str(section(read.plan, "bottleneck").get("kind") or ""),
    )


def rows(found: Sequence[Point], words: Words) -> list[list[str]]:
    """Day, run, whether it is valid, load, p95, errors, capacity and what binds, as written."""
    return [
        [
            one.day,
            one.identity,
            words("state.valid") if one.valid else words("state.unknown" if one.valid is None else "state.invalid"),
            q.shown(one.load_rps, q.rate),
            f"{one.endpoint}: {'' if one.p95_exact or one.p95_ms is None else '≥ '}{q.shown(one.p95_ms, q.milliseconds)}",
            q.shown(one.error_rate, q.percent),
            q.interval(one.capacity, q.rate),
            words.known("bottleneck", one.binds) if one.binds else q.NOTHING,
        ]
        for one in found
    ]


HEADS = ("day", "run", "state", "load", "p95", "error_rate", "capacity", "binds")
