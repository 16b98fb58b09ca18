"""The append-only journal: Arrow IPC streams that a killed process leaves readable.

A writer appends whole record batches and flushes each to the file; a reader takes every batch that arrived whole and
says whether the end marker was missing (the writer was killed) or the bytes were damaged.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from measurements.errors import GeneratorFault

SUFFIX = ".arrows"
BATCH_BYTES = 1 << 20  # a batch goes to the file in one piece: each of its buffers alone is a call of the system


class JournalWriter:
    """Appends batches of one schema to `path`. A full disk is a `GeneratorFault`, never the target's error."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        try:
            path.open("xb").close()  # never over what is there
            self._file = pa.OSFile(str(path), "wb")
            self._whole = pa.BufferedOutputStream(self._file, BATCH_BYTES)
            self._stream = pa.ipc.new_stream(self._whole, schema)
            self._whole.flush()
        except FileExistsError:
            raise
        except OSError as error:
            raise self._full(error) from error

    def append(self, batch: pa.RecordBatch) -> None:
        try:
            self._stream.write_batch(batch)
            self._whole.flush()
        except OSError as error:
            raise self._full(error) from error
        self.rows += batch.num_rows

    def _full(self, error: OSError) -> GeneratorFault:
        return GeneratorFault(
            f"{self.path} cannot be written ({error.strerror or error}); "
            f"free disk space, then finish what was kept with: plimsoll recover {self.path.parent.parent}"
        )

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            self._stream.close()
            self._whole.flush()
        except OSError:
            pass  # a full disk: the end marker is missing, which readers know how to take
        finally:
            self._file.close()


DAMAGE = (pa.ArrowException, MemoryError, OSError, ValueError)  # MemoryError: a length that cannot be


def batches(path: Path, schema: pa.Schema | None = None) -> Iterator[pa.RecordBatch]:
    """Every batch of the journal that arrived whole; a torn tail or damage ends the iteration quietly (see `is_whole`), and
    so does a head that says another schema than `schema`."""
    with path.open("rb") as file:
        try:
            stream = pa.ipc.open_stream(file)
        except DAMAGE:
            return
        if schema is not None and not stream.schema.equals(schema):
            return
        while True:
            try:
                batch = stream.read_next_batch()
                batch.validate(full=True)  # damaged lengths and offsets would lead readers out of their memory
            except (StopIteration, *DAMAGE):
                return
            yield batch


def is_whole(path: Path) -> bool:
    """True when the writer closed the stream: every message can be read, and the last eight bytes are the end marker."""
    end_marker = b"\xff\xff\xff\xff\x00\x00\x00\x00"
    with path.open("rb") as file:
        try:
            for _ in pa.ipc.MessageReader.open_stream(file):
                pass
            file.seek(-len(end_marker), 2)
        except DAMAGE:
            return False
        return file.read() == end_marker


def to_parquet(source: Path, target: Path, schema: pa.Schema, **options: Any) -> int:
    """Copies a journal into one Parquet file, a row group at a time in bounded memory; returns the rows written."""
    rows = 0
    partial = target.with_suffix(".partial")
    held: list[pa.RecordBatch] = []
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd", **options) as writer:
            for batch in batches(source, schema):
                held.append(batch)
                rows += batch.num_rows
                if sum(b.num_rows for b in held) >= 131_072:
                    writer.write_table(pa.Table.from_batches(held).unify_dictionaries())
                    held.clear()
            if held:
                writer.write_table(pa.Table.from_batches(held).unify_dictionaries())
    except OSError:
        partial.unlink(missing_ok=True)  # a full disk: the journal stays as it is
        raise
    partial.rename(target)
    return rows
