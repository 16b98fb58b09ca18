"""`plimsoll run --join HOST`: this machine's load processes become part of a run that another one leads."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from loadtests.hosts import address
from loadtests.hosts.joined import Assignment, Joined
from loadtests.runner import Account, Hooks
from measurements.errors import Exit, GeneratorFault, Interrupted, PlimsollError
from measurements.rundir import RunDirectory
from plimsoll import permission
from plimsoll.placement import place
from plimsoll.signals import Signals, taking_signals
from plimsoll.spec import open_files
from plimsoll.watcher import Watcher
from targets.urls import is_loopback

WAIT_S = 600.0


@dataclass(frozen=True)
class Part:
    """What this host did; `folder` holds its rows when the master could not be told that it has them all."""

    rows: int
    folder: Path | None
    sentence: str
    exit: Exit


def join(where: str, processes: int, out: Path, watcher: Watcher, patient_s: float | None = None) -> Part:
    """Takes part in one run, from the waiting to the master's last word."""
    host, port = address.parse(where, "--join")
    token = address.token_to_join(host)
    run = RunDirectory.create(out, "joined")
    joined = Joined(host, port, token, run.path, patient_s)
    try:
        with taking_signals() as signals:
            try:
                given = _prepared(joined.ask(processes, WAIT_S, watcher.phase), joined)
                _keep_document(run, given)
                part = _work(joined, given, run, watcher, signals)
            finally:
                joined.close()
                watcher.end()
    except BaseException:
        _sweep(run)
        raise
    if part.folder is None:
        shutil.rmtree(run.path, ignore_errors=True)
    return part


def _prepared(given: Assignment, joined: Joined) -> Assignment:
    """This machine's own say: whether load may go there from here, and on which cores."""
    try:
        for url, address_ in zip(given.plan.base_urls, given.plan.addresses, strict=True):
            permission.check(url, address_, given.plan.peak_rps)
    except PlimsollError as error:
        joined.refuse(error)
        raise
    open_files()
    here = all(is_loopback(address_) for address_ in given.plan.addresses)
    return replace(given, plan=replace(given.plan, cpus=place(len(given.ranks), here).generator))


def _work(joined: Joined, given: Assignment, run: RunDirectory, watcher: Watcher, signals: Signals) -> Part:
    def begin(workers: object, start_ns: int) -> None:
        watcher.begin(given.plan, run)

    signals.at_once = False
    hooks = Hooks(begin, watcher.progress, signals.reason, signals.hurry)
    try:
        account = joined.work(given, run, hooks, watcher.phase)
    except (GeneratorFault, Interrupted):
        raise
    except PlimsollError as error:
        joined.refuse(error)
        raise
    watcher.phase("handing the rows over")
    complete = joined.hand_over(account, account.stop_reason if signals.interrupted else "")
    laid = (
        f" They also lie at {given.rows_to}: plimsoll recover of the master's run brings them home."
        if joined.all_laid
        else ""
    )
    return _part(run, account, given, complete, signals.interrupted, laid)


def _part(run: RunDirectory, account: Account, given: Assignment, complete: bool, interrupted: bool, laid: str) -> Part:
    rows = run.table("samples", ["seq"]).num_rows
    who = f"load processes {', '.join(map(str, given.ranks))} of run {given.plan.run}"
    if interrupted:
        code = Exit.INTERRUPTED
    elif account.lost or account.faults or not complete:
        code = Exit.INVALID
    else:
        code = Exit.OK
    if complete:
        return Part(rows, None, f"{who}: the master has all {rows:,} rows", code)
    return Part(
        rows, run.path,
        f"{who}: the master is gone; the {rows:,} rows of this host are kept in {run.path}: finish them with "
        f"plimsoll recover {run.path}{laid and '.'}{laid}",
        code,
    )  # fmt: skip


def _keep_document(run: RunDirectory, given: Assignment) -> None:
    """As the master wrote it, so that this host's part can be finished without it; no `latest` points here."""
    document = {**given.document, "ranks": given.ranks}
    run.write_text("run.json", json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def _sweep(run: RunDirectory) -> None:
    """Nothing measured, nothing left."""
    if not any((run.path / "samples").iterdir()):
        shutil.rmtree(run.path, ignore_errors=True)
