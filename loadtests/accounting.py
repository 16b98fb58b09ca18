"""Arrivals of a load process that died: the schedule is a pure function, so what has no row is known and gets one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from loadtests.arrivals import schedule
from loadtests.plan import LoadPlan
from measurements import journal, sample
from measurements.rundir import RunDirectory, read_parquet
from measurements.sample import NULL, PACKED, Outcome


def stripe(plan: LoadPlan, worker: int, until_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(seq, intended_ns, stage) of one worker's arrivals up to `until_s`, each shape (n,)."""
    seqs, times, stages, base = [], [], [], 0
    for at_s, stage in schedule(plan.stages, plan.process, plan.seed):
        mine = slice((worker - base) % plan.workers, None, plan.workers)
        seqs.append(np.arange(base, base + len(at_s))[mine])
        times.append(at_s[mine])
        stages.append(stage[mine])
        base += len(at_s)
        if at_s[-1] > until_s:
            break
    if not seqs:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int16)
    seq, at_s, stage = np.concatenate(seqs), np.concatenate(times), np.concatenate(stages)
    due = at_s <= until_s
    return seq[due], np.rint(at_s[due] * 1e9).astype(np.int64), stage[due]


def write_lost(run: RunDirectory, plan: LoadPlan, worker: int, until_s: float) -> tuple[int, int]:
    """A row `lost` for every due arrival of the worker that left none behind; returns (rows lost, arrivals in all).

    In a closed loop nobody knows what was still to come: what is there is all.
    """
    source = run.journal_path("samples", worker)
    finished = source.with_suffix(".parquet")
    if finished.exists():
        kept = [read_parquet(finished, ["seq"])["seq"].to_numpy()]
    else:
        kept = [b.column("seq").to_numpy() for b in journal.batches(source, sample.SAMPLES)] if source.exists() else []
    present = np.unique(np.concatenate(kept)) if kept else np.empty(0, np.int64)
    present = present[present >= 0]
    if plan.loop != "open":
        return 0, len(present)
    seq, intended_ns, stage = stripe(plan, worker, until_s)
    missing = ~np.isin(seq, present)
    rows = np.zeros(int(missing.sum()), dtype=PACKED)
    for name in PACKED.names or ():
        rows[name] = NULL
    rows["seq"], rows["intended_ns"], rows["stage"] = seq[missing], intended_ns[missing], stage[missing]
    rows["step"], rows["endpoint"], rows["tokens_source"], rows["attempt"] = 0, 0, 0, 0
    rows["outcome"] = Outcome.lost
    names = [stage.name for stage in plan.stages]
    lost = pa.Table.from_batches([sample.batch(rows, worker, names, ["(unknown)"])], sample.SAMPLES)
    run.write_table(f"samples/lost-{worker:03d}.parquet", lost)
    return len(rows), len(np.union1d(seq, present))
