"""Rows that go to disk while a run goes on: memory stays flat, and a killed run keeps what was seen until then."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pyarrow as pa

EVERY_S = 5.0


class Spool:
    """Batches of one schema in an Arrow IPC stream at `path`, in the order in which they came.

    A disk that is full ends the spool, not the run: what comes later is kept in memory.
    """

    def __init__(self, path: Path | None, schema: pa.Schema) -> None:
        """`path` None: all is kept in memory."""
        self.schema = schema
        self._path = path
        self._kept: list[pa.RecordBatch] = []
        self._file: pa.NativeFile | None = None
        self._stream: pa.ipc.RecordBatchStreamWriter | None = None
        self._failed = path is None

    def add(self, batch: pa.RecordBatch) -> None:
        if not self._failed:
            try:
                self._opened().write_batch(batch)
                return
            except OSError:
                self._failed = True
        self._kept.append(batch)

    def _opened(self) -> pa.ipc.RecordBatchStreamWriter:
        if self._stream is None:
            assert self._path is not None
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pa.OSFile(str(self._path), "wb")
            self._stream = pa.ipc.new_stream(self._file, self.schema)
        return self._stream

    def table(self) -> pa.Table:
        """All rows so far."""
        written = read(self._path, self.schema) if self._path is not None else self.schema.empty_table()
        kept = pa.Table.from_batches(self._kept, self.schema)
        return pa.concat_tables([written, kept]).unify_dictionaries().combine_chunks()

    def remove(self) -> None:
        """The file, once its rows stand elsewhere."""
        for opened in (self._stream, self._file):
            if opened is not None:
                with contextlib.suppress(OSError, pa.ArrowException):
                    opened.close()
        self._stream = self._file = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._path.parent.rmdir()


def read(path: Path, schema: pa.Schema) -> pa.Table:
    """What can be read of a spool, which may break off anywhere; no rows where it is missing or of another schema."""
    batches: list[pa.RecordBatch] = []
    with contextlib.suppress(OSError, pa.ArrowException, EOFError), pa.OSFile(str(path), "rb") as file:
        stream = pa.ipc.open_stream(file)
        if not stream.schema.equals(schema):
            return schema.empty_table()
        while True:
            try:
                batches.append(stream.read_next_batch())
            except StopIteration:
                break
    return pa.Table.from_batches(batches, schema).unify_dictionaries().combine_chunks()
