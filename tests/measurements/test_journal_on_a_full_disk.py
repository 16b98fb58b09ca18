"""A disk that fills up while a run is finished costs nothing that was measured."""

import errno
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from measurements import journal

SCHEMA = pa.schema([("n", pa.int64())])


def test_the_journal_stays_and_no_half_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "worker-000.arrows", tmp_path / "worker-000.parquet"
    writer = journal.JournalWriter(source, SCHEMA)
    writer.append(pa.RecordBatch.from_arrays([pa.array([1, 2, 3])], schema=SCHEMA))
    writer.close()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        journal.to_parquet(source, target, SCHEMA)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["worker-000.arrows"]
    assert journal.to_parquet(source, target, SCHEMA) == 3
