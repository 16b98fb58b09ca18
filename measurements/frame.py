"""The rows of a run as numpy columns, in the order in which they were intended."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from measurements.rundir import RunDirectory
from measurements.sample import CENSORED, NULL, OUTCOMES, TIMED, Outcome

TIMES = ("intended_ns", "sent_ns", "connect_ns", "first_token_ns", "done_ns")
COLUMNS = ["seq", "step", "stage", "endpoint", "user", "outcome", "tokens_in", "tokens_out", *TIMES]
TIMED_CODES = [int(Outcome[name]) for name in TIMED]
CENSORED_CODES = [int(Outcome[name]) for name in CENSORED]


@dataclass(frozen=True)
class Frame:
    """Columns of shape (n,); NULL (-1) where there is none. `stage` and `endpoint` index their name lists."""

    seq: np.ndarray
    step: np.ndarray
    stage: np.ndarray
    endpoint: np.ndarray
    user: np.ndarray
    outcome: np.ndarray
    tokens_in: np.ndarray
    tokens_out: np.ndarray
    intended_ns: np.ndarray
    sent_ns: np.ndarray
    connect_ns: np.ndarray
    first_token_ns: np.ndarray
    done_ns: np.ndarray
    stages: list[str]
    endpoints: list[str]

    def __len__(self) -> int:
        return len(self.seq)

    def where(self, chosen: np.ndarray) -> Frame:
        """The rows where `chosen` (boolean, shape (n,)) holds: a view where they lie together, as a stage's do."""
        at: np.ndarray | slice = chosen
        if chosen.any():
            together = slice(int(chosen.argmax()), len(chosen) - int(chosen[::-1].argmax()))
            at = together if chosen[together].all() else chosen
        return replace(self, **{name: getattr(self, name)[at] for name in COLUMNS})

    def at_stage(self, name: str) -> Frame:
        return (
            self.where(self.stage == self.stages.index(name))
            if name in self.stages
            else self.where(self.seq < -(2**62))
        )

    def at_endpoint(self, name: str) -> Frame:
        return self.where(self.endpoint == self.endpoints.index(name))

    @property
    def timed(self) -> np.ndarray:
        """Rows that percentiles are over: ok, timeout, abandoned."""
        return np.isin(self.outcome, TIMED_CODES) & (self.done_ns != NULL)

    @property
    def dropped(self) -> np.ndarray:
        """Arrivals that found no free user; those of a task that made no request had one."""
        return (self.outcome == Outcome.dropped) & (self.user == NULL)

    @property
    def without_request(self) -> np.ndarray:
        """Arrivals whose task made no request: the locustfile's doing."""
        return (self.outcome == Outcome.dropped) & (self.user != NULL)

    @property
    def censored(self) -> np.ndarray:
        return np.isin(self.outcome, CENSORED_CODES)


def read(run: RunDirectory) -> Frame:
    """Every arrival's rows; requests of users' set-up (seq below 0) are left out."""
    table = run.table("samples", COLUMNS)
    table = table.filter(pc.greater_equal(table["seq"], 0))
    order = np.argsort(_numbers(table["intended_ns"]), kind="stable")
    columns = {name: _numbers(table[name])[order] for name in COLUMNS if name not in ("stage", "endpoint", "outcome")}
    stage, stages = _codes(table["stage"])
    endpoint, endpoints = _codes(table["endpoint"])
    outcome, outcomes = _codes(table["outcome"])
    to_code = np.array([OUTCOMES.index(name) for name in outcomes] or [0], dtype=np.int8)
    return Frame(
        **columns,
        stage=stage[order],
        endpoint=endpoint[order],
        outcome=to_code[outcome[order]] if len(outcome) else outcome.astype(np.int8),
        stages=stages,
        endpoints=endpoints,
    )


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, NULL).to_numpy()


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    if column.num_chunks == 0 or len(column) == 0:
        return np.empty(0, dtype=np.int32), []
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0)
    return whole.indices.to_numpy(zero_copy_only=False), whole.dictionary.to_pylist()
