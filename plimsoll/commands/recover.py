"""plimsoll recover: a run whose process was killed, finished from what its journals hold."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa

from loadtests import timing_notes
from loadtests.accounting import write_lost
from loadtests.arrivals import Process, Stage
from loadtests.plan import LoadPlan
from loadtests.runner import Account
from measurements import frame as frames
from measurements import streams, validity
from measurements.check import INVALID, Check
from measurements.circumstances import Circumstances
from measurements.errors import Exit, FormatError, UsageError
from measurements.redaction import Redactor, of_environment
from measurements.rundir import FINISHING, RunDirectory
from measurements.summary import RunFacts, Window, summarise
from plimsoll import observed
from plimsoll.finish import close, merge_evidence
from plimsoll.homecoming import Homecoming
from plimsoll.watch import FOLDER, RESOURCES_SPOOL, SERVER_SPOOL
from profiles import derived, spool
from profiles.resources import RESOURCES
from profiles.scrape import SERVER
from profiles.usage import per_window
from targets.contract_file import ENV


def recover(run_dir: Path, without_place: bool, as_json: bool) -> None:
    run = RunDirectory.open(run_dir)
    if (kind := run.read_json("run.json").get("kind")) in ("gate", "profile"):
        raise UsageError(f"{run.path} is a {kind}'s directory, and only a run can be finished; start the {kind} again")
    run.take_over()
    try:
        summary = _recovered(run, without_place)
    finally:
        run.release()
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        print(f"recovered {summary['all']['count']:,} rows in {run.path}; the run is INVALID: it did not end by itself")


def _recovered(run: RunDirectory, without_place: bool) -> dict[str, Any]:
    document = run.read_json("run.json")
    if _is_finished(run):
        raise UsageError(
            f"{run.path} is finished already; open {run.path}/report.html or run: plimsoll report {run.path}"
        )
    named = ENV.findall(json.dumps(document.get("contract")))
    run.redact = Redactor([*of_environment(), *(os.environ[name] for name in named if name in os.environ)]).known
    run.redact_logs()
    home = None if without_place else Homecoming.of(run, document)
    if home is not None:
        home.take()
    summary = finish_from_disk(run, document)
    if home is not None:
        home.clear()
    return summary


def _is_finished(run: RunDirectory) -> bool:
    """A document that cannot be read is none."""
    try:
        return all(run.has(name) and bool(run.read_json(name)) for name in FINISHING)
    except FormatError:
        return False


def finish_from_disk(run: RunDirectory, document: dict[str, Any]) -> dict[str, Any]:
    """Rows up to the last one written; what each worker still owed until then becomes `lost`."""
    schedule = document["schedule"]
    stages = [Stage(**stage) for stage in schedule["stages"]]
    kept = run.table("samples", ["intended_ns", "done_ns"])
    last_ns = max([v for c in ("intended_ns", "done_ns") for v in (kept[c].drop_null().to_pylist() or [0])], default=0)
    until_s = min(last_ns / 1e9, sum(stage.duration_s for stage in stages))
    account = Account(ended="killed", stop_reason="the process that ran it was killed")
    plan = _plan(document, stages)
    if plan.process.kind in ("constant", "poisson", "gamma"):
        for worker in document.get("ranks", range(plan.workers)):  # of a joined host: its own
            rows, _ = write_lost(run, plan, worker, until_s)
            account.lost.append({"worker": worker, "rows": rows, "said": "killed"})
    run.finish_shards()
    merge_evidence(run)
    timing_notes.forget(run.path / "samples")
    frame = frames.read(run)
    windows, at = [], 0.0
    for stage in stages:
        end = min(at + stage.duration_s, max(until_s, at))
        if end > at:
            windows.append(Window(stage.name, at, end, stage.start_rps, stage.end_rps, stage.warmup))
        at += stage.duration_s
    resources = _resources(run)
    _keep_server(run)
    facts = RunFacts(
        run=run.identity, loop=schedule["loop"], arrivals=schedule["process"], seed=document["seed"], ended="killed",
        windows=windows, timeouts_s=document["timeouts_s"], default_timeout_s=schedule["timeout_s"],
        limits=document["limits"], usage=per_window(resources, [(w.name, w.start_s, w.end_s) for w in [*windows, _whole(windows)]]),
    )  # fmt: skip
    summary = summarise(frame, streams.read(run), facts)
    arrivals = int((frame.step == 0).sum())
    verdict = validity.judge(
        frame, summary, Circumstances(schedule["loop"], windows, given={0: arrivals}, lost=account.lost, ended="killed",
                                      stop_reason=account.stop_reason)
    )  # fmt: skip
    verdict["checks"].insert(
        0, Check("recovered", "run", INVALID, 0, 0, "the process that ran it was killed; the last second may be missing",
                 "run again").as_json(),
    )  # fmt: skip
    verdict["valid"] = False
    close(run, document, summary, verdict, Exit.INVALID, account)
    shutil.rmtree(run.path / FOLDER, ignore_errors=True)
    return summary


def _whole(windows: list[Window]) -> Window:
    measured = [window for window in windows if not window.warmup] or [Window("run", 0, 0, 0, 0)]
    return Window("run", measured[0].start_s, measured[-1].end_s, 0, 0)


def _resources(run: RunDirectory) -> pa.Table:
    """What the processes used until then; of a run that was killed while it was finished, as it stands there."""
    if run.has("resources.parquet"):
        return run.table("resources")
    found = spool.read(run.path / FOLDER / RESOURCES_SPOOL, RESOURCES)
    if found.num_rows:
        run.write_table("resources.parquet", found)
    return found


def _keep_server(run: RunDirectory) -> None:
    """What the service's own pages had said until then."""
    pages = [spool.read(path, SERVER) for path in sorted((run.path / FOLDER).glob(SERVER_SPOOL.format("*")))]
    if not any(page.num_rows for page in pages):
        return
    table = pa.concat_tables(pages)
    whole = pa.concat_tables([table, derived.derived(table.unify_dictionaries())]).unify_dictionaries().sort_by("at_ns")
    run.write_table(observed.FILE, whole)


def _plan(document: dict[str, Any], stages: list[Stage]) -> LoadPlan:
    """As much of it as says when each load process's arrivals were due."""
    schedule = document["schedule"]
    kind = schedule["process"].split(":")[0]
    return LoadPlan(
        run=document["run"], base_urls=[], addresses=[], stages=stages, process=Process(kind, schedule["cv"]),
        seed=document["seed"], nonce="", loop=schedule["loop"], users=schedule["users"], workers=schedule["workers"],
    )  # fmt: skip
