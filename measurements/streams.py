"""Token timings from the stored times of every content event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from measurements.frame import Frame
from measurements.rundir import RunDirectory

STEPS = 1_024


@dataclass(frozen=True)
class Streams:
    """A row per streamed request, sorted by key: first and last content event, tokens, and its slice of gaps."""

    key: np.ndarray
    first_ns: np.ndarray
    last_ns: np.ndarray
    tokens: np.ndarray
    gap_ns: np.ndarray  # per token: an event with k tokens after a gap g counts as k gaps of g/k
    gap_owner: np.ndarray  # index into the rows above

    def of(self, frame: Frame) -> Streams:
        """The streams that belong to the rows of `frame`."""
        wanted = np.isin(self.key, keys(frame.seq, frame.step))
        number = np.cumsum(wanted) - 1
        mine = wanted[self.gap_owner] if len(self.gap_owner) else self.gap_owner.astype(bool)
        return Streams(
            self.key[wanted], self.first_ns[wanted], self.last_ns[wanted], self.tokens[wanted], self.gap_ns[mine],
            number[self.gap_owner[mine]] if len(mine) else self.gap_owner,
        )  # fmt: skip

    @property
    def tpot_ns(self) -> np.ndarray:
        """(last − first) / (tokens − 1), for answers of at least two tokens."""
        several = self.tokens > 1
        return (self.last_ns[several] - self.first_ns[several]) / (self.tokens[several] - 1)


def keys(seq: np.ndarray, step: np.ndarray) -> np.ndarray:
    return seq.astype(np.int64) * STEPS + np.minimum(step, STEPS - 1)


def read(run: RunDirectory) -> Streams:
    table = run.table("tokens", ["seq", "step", "event", "at_ns", "tokens"])
    return from_table(table)


def from_table(table: pa.Table) -> Streams:
    """Events of one request lie together, in order; event 0 begins a request."""
    seq, step, event, at_ns, tokens = (table[name].to_numpy() for name in ("seq", "step", "event", "at_ns", "tokens"))
    if len(seq) == 0:
        empty = np.empty(0, dtype=np.int64)
        return Streams(empty, empty, empty, empty, empty.astype(float), empty)
    begins = np.flatnonzero(event == 0)
    ends = np.append(begins[1:], len(event))
    owner = np.repeat(np.arange(len(begins)), ends - begins)
    gap = np.diff(at_ns, prepend=at_ns[0])
    later = event > 0
    gap_ns = np.repeat(gap[later] / np.maximum(tokens[later], 1), np.maximum(tokens[later], 1))
    gap_owner = np.repeat(owner[later], np.maximum(tokens[later], 1))
    return Streams(
        key=keys(seq[begins], step[begins]),
        first_ns=at_ns[begins],
        last_ns=at_ns[ends - 1],
        tokens=np.add.reduceat(tokens, begins),
        gap_ns=gap_ns,
        gap_owner=gap_owner,
    )
