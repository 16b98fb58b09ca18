"""From journals to a finished run directory: Parquet, evidence, resources, summary, validity, exit code."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from loadtests import evidence
from loadtests.plan import LoadPlan
from loadtests.runner import Account
from loadtests.shapes import FINDING
from measurements import frame as frames
from measurements import reading, slo, streams, validity
from measurements.circumstances import Circumstances
from measurements.errors import Exit
from measurements.generator_checks import hot_windows
from measurements.rundir import RunDirectory
from measurements.summary import RunFacts, Window, summarise
from measurements.trouble import trouble
from plimsoll import incidents, observed, policy, told
from plimsoll.incidents import Incident
from plimsoll.spec import Spec, pool_needed
from plimsoll.watch import Watch
from profiles import derived
from profiles.usage import per_window

if TYPE_CHECKING:
    from plimsoll.measure import Run

ERRORS = pa.schema(
    [
        ("error_id", pa.int32()),
        ("outcome", pa.string()),
        ("count", pa.int64()),
        ("first_s", pa.float64()),  # when the first and the last of them were intended, in seconds of the run
        ("last_s", pa.float64()),
        ("pattern", pa.string()),
        ("excerpt", pa.string()),
    ]
)


def finish(
    spec: Spec, plan: LoadPlan, run: RunDirectory, document: dict[str, Any], account: Account, looking: Watch,
    interrupted: bool, incident: Incident | None = None,
) -> Run:  # fmt: skip
    """Everything after the last row. Nothing here needs the target any more."""
    from plimsoll.measure import Run

    drift_ms = _clock_drift_ms(account)
    usage: dict[str, dict[str, Any]] = {}
    windows = _windows(plan, account.stopped_s)
    measured = [w for w in windows if not w.warmup]
    if looking.observer is not None:
        table = looking.observer.table()
        run.write_table("resources.parquet", table)
        spans = [(w.name, w.start_s, w.end_s) for w in windows]
        if measured:
            spans.append(("run", measured[0].start_s, measured[-1].end_s))
        usage = per_window(table, spans)
    run.finish_shards()
    merge_evidence(run)
    frame, tokens = frames.read(run), streams.read(run)
    facts = RunFacts(
        run=run.identity,
        loop=plan.loop,
        arrivals=plan.process.label if plan.loop == "open" else "closed",
        seed=plan.seed,
        ended="interrupted" if interrupted else account.ended,
        windows=windows,
        timeouts_s=spec.timeouts_s(),
        default_timeout_s=plan.timeout_s,
        limits=spec.limits(),
        usage=usage,
    )
    summary = summarise(frame, tokens, facts)
    summary["trouble"] = trouble(run, frame)
    summary |= _looked(spec, run, summary, looking, measured)
    summary["memory_growth"] = observed.memory_growth(frame, looking, measured, spec.contract)
    summary["where_time_went"] = told.where_time_went(run, document, looking.spans, _recording(spec))
    unfinished = ""
    if incident is not None:
        summary[spec.shape], finding, unfinished = incidents.found(spec.shape, run, incident, measured)
        summary["slo"] += [finding] if finding else []
    hot, longest, highest = hot_windows(account.progress)
    echoes = _echoes(account.progress)
    if found_late := reading.in_brief(echoes):
        summary["resources"].setdefault("generator", {})["read_late_ms"] = found_late
    endpoint_names = {e.name for e in spec.contract.endpoint} if spec.contract else set()
    verdict = validity.judge(
        frame,
        summary,
        Circumstances(
            loop=plan.loop,
            windows=windows,
            given=account.given,
            lost=account.lost,
            late=account.late,
            own_faults=account.own_faults,
            faults=account.faults,
            stale=account.stale,
            pool_cap=plan.pool_cap,
            pool_needed=pool_needed(plan.stages, plan.timeout_s, plan.process),
            hot=hot,
            longest_hot=longest,
            cpu_share_max=highest,
            run_delay_share=float(usage.get("run", {}).get("generator", {}).get("run_delay_s_per_s") or 0.0),
            echoes=echoes,
            clock_drift_ms=drift_ms,
            has_expectation=spec.contract is not None,
            expectation_checked=bool(endpoint_names & set(summary["endpoints"])) or not len(frame),
            allow_degraded=spec.allow_degraded,
            ended=facts.ended,
            stop_reason=account.stop_reason,
            unfinished=unfinished,
        ),
    )
    found = exit_code(summary, verdict, spec.shape, interrupted, account.target_died)
    close(run, document, summary, verdict, found, account)
    looking.forget()
    return Run(run, document, summary, verdict, found)


def _recording(spec: Spec) -> Path | None:
    """Where the contract says that the recording proxy writes."""
    named = spec.contract.target.observe.recording if spec.contract else None
    return spec.contract.beside(named) if spec.contract and named else None


def _echoes(progress: Iterable[dict[str, Any]]) -> list[tuple[float, float]]:
    """(s since the start, ms late) of each echo; within a report they lie evenly."""
    at_s: dict[int, float] = {}
    found = []
    for news in progress:
        begin_s, late_us = at_s.get(news["worker"], 0.0), news.get("echo_us", [])
        at_s[news["worker"]] = begin_s + news["elapsed_s"]
        found += [(begin_s + news["elapsed_s"] * k / len(late_us), us / 1000) for k, us in enumerate(late_us)]
    return found


def _looked(
    spec: Spec, run: RunDirectory, summary: dict[str, Any], looking: Watch, measured: list[Window]
) -> dict[str, Any]:
    """server.parquet, and what the service's metrics, its health checks, its limits and its traps add to the summary."""
    table = looking.server()
    if table.num_rows:
        whole = pa.concat_tables([table, derived.derived(table)]).unify_dictionaries().sort_by("at_ns")
        run.write_table(observed.FILE, whole)
    found: dict[str, Any] = {"server": {"failures": looking.failures()}, "health": looking.health()}
    if looking.snapshots is not None:
        from capacity.documents import RunDocuments

        stacks = looking.snapshots.document()
        run.write_json(observed.SNAPSHOTS, stacks)
        found["blocked_frames"] = observed.blocked(stacks, RunDocuments({}, summary, {}))
    if table.num_rows and measured:
        found["server"] |= observed.in_brief(table, measured[0].start_s, measured[-1].end_s)
    if spec.contract is not None:
        started = spec.replicas if spec.start else max(1, len(spec.contract.target.base_urls))
        workers = spec.service_workers or spec.contract.resources.workers
        replaced = spec.shape in ("failover", "rollout")
        facts = policy.Run(
            spec.contract, summary["stages"], looking.asked, found["health"], table, started, workers, replaced
        )
        found |= policy.findings(run, facts)
    return found


def close(
    run: RunDirectory,
    document: dict[str, Any],
    summary: dict[str, Any],
    verdict: dict[str, Any],
    found: Exit,
    account: Account,
) -> None:
    summary |= {
        "valid": verdict["valid"],
        "indicative": verdict["indicative"],
        "reasons": validity.reasons(verdict),
        "exit_code": int(found),
    }
    document |= {
        "ended": summary["ended"],
        "stop_reason": account.stop_reason,
        "exit_code": int(found),
        "client": account.client,
        "task_exceptions": account.exceptions,
        "lost": account.lost,
        "late": account.late,
    }
    run.write_json("validity.json", verdict)
    run.write_json("run.json", document)
    run.write_json("summary.json", summary)  # the last: a run with a summary is finished


def exit_code(
    summary: dict[str, Any], verdict: dict[str, Any], shape: str, interrupted: bool, target_died: bool = False
) -> Exit:
    codes = []
    outcomes = summary["all"]["outcomes"]
    if target_died or (outcomes and set(outcomes) <= {"connect_error"}):
        codes.append(Exit.UNREACHABLE)
    if interrupted:
        codes.append(Exit.INTERRUPTED)
    if not verdict["valid"]:
        codes.append(Exit.INVALID)
    if summary.get("trouble", {}).get("failing") or (slo.missed(summary["slo"]) and shape not in FINDING):
        codes.append(Exit.SLO_MISSED)
    return Exit.first(*codes)


def merge_evidence(run: RunDirectory) -> None:
    """The workers' side files become errors.parquet (with counts from the rows) and examples.jsonl."""
    known: dict[int, dict[str, Any]] = {}
    examples: list[dict[str, Any]] = []
    sidecars = sorted((run.path / "samples").glob("*.jsonl"))
    for path in sidecars:
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # a killed worker's last line may be cut
            if path.name.startswith("errors"):
                known.setdefault(entry["error_id"], entry)
            else:
                examples.append(entry)
    rows = run.table("samples", ["error_id", "outcome", "intended_ns"])
    failed = rows.filter(rows["error_id"].is_valid())
    failed = failed.set_column(1, "outcome", failed["outcome"].cast(pa.string()))
    wanted = [([], "count_all"), ("intended_ns", "min"), ("intended_ns", "max")]
    counted = failed.group_by(["error_id", "outcome"]).aggregate(wanted).sort_by([("count_all", "descending")])
    lost = {"pattern": "(text lost with its worker)", "excerpt": ""}
    lines = [
        {
            **(known.get(row["error_id"]) or lost),
            "error_id": row["error_id"],
            "outcome": row["outcome"],
            "count": row["count_all"],
            "first_s": row["intended_ns_min"] / 1e9,
            "last_s": row["intended_ns_max"] / 1e9,
        }
        for row in counted.to_pylist()
    ]
    table = pa.Table.from_pylist(lines, schema=ERRORS)
    run.write_table("errors.parquet", table)
    lines_kept = [json.dumps(entry, ensure_ascii=False) for entry in _chosen(examples)]
    run.write_text("examples.jsonl", "".join(f"{line}\n" for line in lines_kept))
    for path in sidecars:
        path.unlink()


def _chosen(examples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every load process kept its first and its slowest; the run has the first and the slowest of all."""
    first: list[dict[str, Any]] = []
    early = sorted((e for e in examples if e["why"].startswith("first")), key=lambda e: e["intended_ns"])
    for entry in early:
        if sum(other["outcome"] == entry["outcome"] for other in first) < evidence.FIRST:
            first.append(entry)
    slow = sorted((e for e in examples if e["why"].startswith("slowest")), key=lambda e: -e["response_ms"])
    return first + slow[: evidence.SLOWEST]


def _windows(plan: LoadPlan, cut_s: float | None) -> list[Window]:
    """Stages with their times; an interrupted run ends its last one early and has no later ones."""
    windows, at = [], 0.0
    for stage in plan.stages:
        end = at + stage.duration_s
        if cut_s is not None:
            end = min(end, max(cut_s, at))
        if end > at:
            windows.append(Window(stage.name, at, end, stage.start_rps, stage.end_rps, stage.warmup))
        at += stage.duration_s
    return windows


def _clock_drift_ms(account: Account) -> float:
    if account.clock_drift_ms is not None:
        return account.clock_drift_ms
    if not account.workers:
        return 0.0
    first = account.workers[0]
    wall_ns = time.time_ns() - first["start_unix_ns"]
    monotonic_ns = time.monotonic_ns() - first["start_monotonic_ns"]
    return (wall_ns - monotonic_ns) / 1e6
