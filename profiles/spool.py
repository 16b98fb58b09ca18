"""Rows that go to disk while a run goes on: memory stays flat, and a killed run keeps what was seen until then."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pyarrow as pa

from measurements import journal
from measurements.errors import GeneratorFault
from measurements.journal import JournalWriter

EVERY_S = 5.0


class Spool:
    """A journal of batches of one schema, begun with the first of them.

    A disk that is full ends the journal, not the run: what comes later is kept in memory.
    """

    def __init__(self, path: Path | None, schema: pa.Schema) -> None:
        """`path` None: all is kept in memory."""
        self.schema = schema
        self._path = path
        self._kept: list[pa.RecordBatch] = []
        self._writer: JournalWriter | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        if self._path is not None and not self._kept:
            with contextlib.suppress(OSError, GeneratorFault):
                self._journal(self._path).append(batch)
                return
        self._kept.append(batch)

    def table(self) -> pa.Table:
        """All rows so far."""
        written = read(self._path, self.schema) if self._writer is not None else self.schema.empty_table()
        kept = pa.Table.from_batches(self._kept, self.schema)
        return pa.concat_tables([written, kept]).unify_dictionaries().combine_chunks()

    def remove(self) -> None:
        """The file, once its rows stand elsewhere."""
        if self._writer is not None and self._path is not None:
            self._writer.close()
            self._path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._path.parent.rmdir()

    def _journal(self, path: Path) -> JournalWriter:
        if self._writer is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = JournalWriter(path, self.schema)
        return self._writer


def read(path: Path | None, schema: pa.Schema) -> pa.Table:
    """What can be read of a spool, which may break off anywhere; no rows where it is missing or of another schema."""
    if path is None or not path.is_file():
        return schema.empty_table()
    return pa.Table.from_batches(journal.batches(path, schema), schema).unify_dictionaries().combine_chunks()
