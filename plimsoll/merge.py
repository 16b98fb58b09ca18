"""Rows of one trial into the run that it belongs to: later on the run's clock, with arrival numbers of their own."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from measurements.rundir import RunDirectory
from measurements.sample import SAMPLES, TOKENS

TIMES = ("intended_ns", "sent_ns", "connect_ns", "first_byte_ns", "first_token_ns", "done_ns")


def add_trial(run: RunDirectory, trial: RunDirectory, name: str, rows: pa.Table, shift_ns: int, first_seq: int) -> int:
    """Moves samples, tokens, errors and examples; returns the next free arrival number. Keeps the load processes' logs."""
    seq = rows["seq"].to_numpy()
    next_seq = first_seq + int(seq.max(initial=-1)) + 1
    for column in TIMES:
        rows = _replaced(rows, column, pc.add(rows[column], shift_ns))
    rows = _replaced(rows, "seq", pa.array(np.where(seq >= 0, seq + first_seq, seq)))
    pq.write_table(rows.cast(SAMPLES), run.path / "samples" / f"{name}.parquet", compression="zstd")
    tokens = trial.table("tokens")
    if tokens.num_rows:
        tokens = _replaced(tokens, "at_ns", pc.add(tokens["at_ns"], shift_ns))
        tokens = _replaced(tokens, "seq", pc.add(tokens["seq"], first_seq))
        pq.write_table(tokens.cast(TOKENS), run.path / "tokens" / f"{name}.parquet", compression="zstd")
    for path in sorted((trial.path / "samples").glob("*.jsonl")):
        kind, _, worker = path.stem.partition("-")
        lines = path.read_text(encoding="utf-8").splitlines()
        if kind == "examples":
            lines = [_moved(line, shift_ns, first_seq) for line in lines]
        (run.path / "samples" / f"{kind}-{name}-{worker}.jsonl").write_text(
            "".join(f"{line}\n" for line in lines), encoding="utf-8"
        )
    for log in trial.path.glob("load-*.log"):
        if log.stat().st_size:
            log.rename(run.path / f"{name}-{log.name}")
    shutil.rmtree(trial.path)
    return next_seq


def _moved(line: str, shift_ns: int, first_seq: int) -> str:
    try:
        entry = json.loads(line)
    except ValueError:
        return line  # a killed process's last line may be cut
    for key in TIMES:
        if isinstance(entry.get(key), int):
            entry[key] += shift_ns
    if entry.get("seq", -1) >= 0:
        entry["seq"] += first_seq
    return json.dumps(entry, ensure_ascii=False)


def _replaced(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
