"""A finished run directory from rows written down in a test: times in milliseconds, the rest by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from measurements import frame, sample, streams
from measurements.frame import Frame
from measurements.journal import JournalWriter
from measurements.rundir import RunDirectory
from measurements.sample import NULL, PACKED, SAMPLES, TOKENS, Outcome
from measurements.summary import RunFacts, Window, summarise

TEN_SECONDS = [Window("steady", 0.0, 10.0, 10.0, 10.0)]


def row(
    intended_ms: float, response_ms: float | None = 10.0, outcome: str = "ok", *, late_ms: float = 0.0,
    endpoint: str = "generate", stage: str = "steady", step: int = 0, token_ms: list[tuple[float, int]] | None = None,
    seq: int | None = None, connect_ms: float | None = None, user: int = NULL,
) -> dict[str, Any]:  # fmt: skip
    """One request; `response_ms` None: never sent. `token_ms`: (ms after intended, tokens) of each content event."""
    return {
        "seq": seq, "step": step, "stage": stage, "endpoint": endpoint, "outcome": outcome, "intended_ms": intended_ms,
        "sent_ms": None if response_ms is None else intended_ms + late_ms,
        "done_ms": None if response_ms is None else intended_ms + response_ms,
        "user": user, "connect_ms": connect_ms, "token_ms": token_ms or [],
    }  # fmt: skip


def write(folder: Path, rows: list[dict[str, Any]]) -> RunDirectory:
    """As a load process would: packed, through the journal."""
    run = RunDirectory.create(folder, "made")
    packed = np.zeros(len(rows), PACKED)
    for name in PACKED.names or ():
        packed[name] = NULL
    stages = list(dict.fromkeys(entry["stage"] for entry in rows))
    endpoints = list(dict.fromkeys(entry["endpoint"] for entry in rows))
    tokens: list[tuple[int, int, int, int, int, int]] = []
    for number, entry in enumerate(rows):
        seq = number if entry["seq"] is None else entry["seq"]
        packed[number]["seq"], packed[number]["step"] = seq, entry["step"]
        packed[number]["stage"] = stages.index(entry["stage"])
        packed[number]["endpoint"] = endpoints.index(entry["endpoint"])
        packed[number]["outcome"] = Outcome[entry["outcome"]]
        packed[number]["tokens_source"], packed[number]["user"] = 0, entry["user"]
        for name in ("intended", "sent", "done"):
            if entry[f"{name}_ms"] is not None:
                packed[number][f"{name}_ns"] = round(entry[f"{name}_ms"] * 1e6)
        if entry["connect_ms"] is not None:
            packed[number]["connect_ns"] = packed[number]["sent_ns"] + round(entry["connect_ms"] * 1e6)
        for event, (at_ms, count) in enumerate(entry["token_ms"]):
            at_ns = round((entry["intended_ms"] + at_ms) * 1e6)
            tokens.append((0, seq, entry["step"], event, at_ns, count))
        if entry["token_ms"]:
            packed[number]["first_token_ns"] = tokens[-len(entry["token_ms"])][4]
            packed[number]["tokens_out"] = sum(count for _, count in entry["token_ms"])
    samples = JournalWriter(run.journal_path("samples", 0), SAMPLES)
    if rows:
        samples.append(sample.batch(packed, 0, stages, endpoints))
    samples.close()
    journal = JournalWriter(run.journal_path("tokens", 0), TOKENS)
    columns = zip(*tokens, strict=True) if tokens else [()] * len(TOKENS.names)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, TOKENS, strict=True)]
    journal.append(pa.RecordBatch.from_arrays(arrays, schema=TOKENS))
    journal.close()
    return run


def framed(folder: Path, rows: list[dict[str, Any]]) -> Frame:
    return frame.read(write(folder, rows))


def summary(folder: Path, rows: list[dict[str, Any]], **facts: Any) -> dict[str, Any]:
    run = write(folder, rows)
    given = {
        "run": run.identity, "loop": "open", "arrivals": "poisson", "seed": 1, "ended": "completed",
        "windows": TEN_SECONDS, **facts,
    }  # fmt: skip
    return summarise(frame.read(run), streams.read(run), RunFacts(**given))
