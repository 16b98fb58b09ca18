"""Rows on their way to the journal: packed on the hot path, turned into columns in bulk, once a second or when full."""

from __future__ import annotations

import struct
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from loadtests.evidence import Evidence
from loadtests.timing_notes import SUFFIX, TimingNotes
from measurements import sample
from measurements.journal import JournalWriter
from measurements.rundir import RunDirectory
from measurements.sample import PACKED

CAPACITY = 8_192
# what is made of a full buffer, and written and told of it, before arrivals come first again: under half a millisecond each
COLUMNS_AT_ONCE, ROWS_AT_ONCE = 4, 2_048
MOST_WAITING = 8  # full buffers; beyond them rows are kept at once, so that memory stays bounded
MAX_NAMES = 2_000
OTHER = "(more names)"

ROW_BYTES = PACKED.itemsize
FULL_BYTES = CAPACITY * ROW_BYTES

_pack_into = struct.Struct(sample.PACK_FORMAT).pack_into


class Recorder:
    """Writes `samples/worker-NNN` and `tokens/worker-NNN` of one run; `listeners` see every flushed block."""

    def __init__(self, run: RunDirectory, worker: int, start_ns: int, stages: list[str], evidence: Evidence) -> None:
        self.worker, self.start_ns, self.stages, self.evidence = worker, start_ns, stages, evidence
        self.endpoints: list[str] = []
        self._index: dict[str, int] = {}
        self._samples = JournalWriter(run.journal_path("samples", worker), sample.SAMPLES)
        self._tokens = JournalWriter(run.journal_path("tokens", worker), sample.TOKENS)
        self._buffer = bytearray(FULL_BYTES)
        self._offset = 0
        self._token_key: list[tuple[int, int, int]] = []
        self._token_at, self._token_count = array("q"), array("i")
        self._full: deque[tuple[bytearray, int]] = deque()
        self._spare: list[bytearray] = []
        self._keeping: Iterator[None] | None = None
        self.arrivals = 0  # in the journal: first rows, setup left out
        self.listeners: list[Callable[[np.ndarray], None]] = []
        self.when_full: Callable[[], None] = self.flush
        self.timings = TimingNotes(sidecar(run, "timings", worker).with_suffix(SUFFIX))

    @property
    def rows(self) -> int:
        return self._samples.rows + self._offset // ROW_BYTES + sum(count for _, count in self._full)

    def endpoint(self, name: str) -> int:
        """The number of an endpoint's name; past 2,000 names they share one, so that memory stays bounded."""
        found = self._index.get(name)
        if found is None:
            if len(self.endpoints) >= MAX_NAMES:
                name = OTHER
                if name in self._index:
                    return self._index[name]
            found = self._index[name] = len(self.endpoints)
            self.endpoints.append(self.evidence.redact.known(name))
        return found

    def row(
        self, seq: int, step: int, stage: int, endpoint: int, user: int, replica: int, intended_ns: int, sent_ns: int,
        connect_ns: int, first_byte_ns: int, first_token_ns: int, done_ns: int, status: int, outcome: int,
        error_id: int, bytes_out: int, bytes_in: int, tokens_in: int, tokens_out: int, tokens_source: int, attempt: int,
    ) -> None:  # fmt: skip
        """The fields of `sample.PACKED` in order; times are absolute monotonic nanoseconds, NULL where unknown."""
        _pack_into(
            self._buffer, self._offset, seq, step, stage, endpoint, user, replica, intended_ns, sent_ns, connect_ns,
            first_byte_ns, first_token_ns, done_ns, status, outcome, error_id, bytes_out, bytes_in, tokens_in,
            tokens_out, tokens_source, attempt,
        )  # fmt: skip
        self._offset += ROW_BYTES
        if self._offset == FULL_BYTES:
            self._set_aside()
            if len(self._full) > MOST_WAITING:
                self.flush()
            else:
                self.when_full()

    def stream(self, seq: int, step: int, at_ns: array[int], tokens: list[int]) -> None:
        """When each content event of a streamed answer came and how many tokens it carried."""
        self._token_key.append((seq, step, len(at_ns)))
        self._token_at.extend(at_ns)
        self._token_count.extend(tokens)
        if len(self._token_at) >= 8 * CAPACITY:
            self._flush_tokens()

    def flush(self) -> None:
        """Everything so far is in the journal, and the listeners have seen it."""
        for _ in self.keep():
            pass

    def keep(self, until_now: bool = True) -> Iterator[None]:
        """The work of a flush in steps of a fraction of a millisecond: whoever has arrivals to send goes on between them.

        `until_now`: also what fills no buffer yet.
        """
        if until_now:
            self._flush_tokens()
            self.timings.flush()
            self._set_aside()
        while self._keeping is not None or self._full:
            if self._keeping is None:
                self._keeping = self._keep_one(*self._full.popleft())
            try:
                next(self._keeping)
            except StopIteration:
                self._keeping = None
            except BaseException:
                self._keeping = None
                raise
            yield

    def _set_aside(self) -> None:
        if self._offset:
            self._full.append((self._buffer, self._offset // ROW_BYTES))
            self._buffer, self._offset = self._spare.pop() if self._spare else bytearray(FULL_BYTES), 0

    def _keep_one(self, buffer: bytearray, count: int) -> Iterator[None]:
        packed = np.frombuffer(buffer, dtype=PACKED, count=count)
        columns: list[pa.Array] = []
        for column in sample.columns(packed, self.worker, self.stages, self.endpoints, self.start_ns):
            columns.append(column)
            if len(columns) % COLUMNS_AT_ONCE == 0:
                yield
        batch = pa.RecordBatch.from_arrays(columns, schema=sample.SAMPLES)
        for first in range(0, count, ROWS_AT_ONCE):
            yield
            self._samples.append(batch.slice(first, ROWS_AT_ONCE))
            some = packed[first : first + ROWS_AT_ONCE]
            self.arrivals += int(np.count_nonzero((some["seq"] >= 0) & (some["step"] == 0)))
            for listener in self.listeners:
                yield
                listener(some)
        self._spare.append(buffer)

    def _flush_tokens(self) -> None:
        if not self._token_at:
            return
        seq, step, lengths = (np.array(part) for part in zip(*self._token_key, strict=True))
        ends = np.cumsum(lengths)
        event = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
        columns = [
            np.full(len(event), self.worker, dtype=np.int16),
            np.repeat(seq, lengths).astype(np.int64),
            np.repeat(step, lengths).astype(np.int32),
            event.astype(np.int32),
            np.array(self._token_at, dtype=np.int64) - self.start_ns,
            np.array(self._token_count, dtype=np.int32),
        ]
        self._token_key.clear()
        self._token_at, self._token_count = array("q"), array("i")
        arrays = [sample.column(field.type, values) for field, values in zip(sample.TOKENS, columns, strict=True)]
        self._tokens.append(pa.RecordBatch.from_arrays(arrays, schema=sample.TOKENS))

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._samples.close()
            self._tokens.close()
            self.timings.close()
            self.evidence.close()


def sidecar(run: RunDirectory, kind: str, worker: int) -> Path:
    """`errors` and `examples` of one worker, merged into one file when the run ends."""
    return run.path / "samples" / f"{kind}-{worker:03d}.jsonl"
