"""Rows on disk while a run goes on: all come back, a cut file gives what is whole, a full disk costs none."""

from pathlib import Path

import pyarrow as pa
import pytest

from measurements.errors import GeneratorFault
from measurements.journal import JournalWriter
from profiles import spool
from profiles.spool import Spool

SCHEMA = pa.schema([("at_ns", pa.int64()), ("name", pa.dictionary(pa.int32(), pa.string()))])


def batch(*rows: tuple[int, str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"at_ns": at, "name": name} for at, name in rows], SCHEMA)


def test_rows_come_back_in_order_and_the_file_goes_when_it_is_not_needed(tmp_path: Path) -> None:
    kept = Spool(tmp_path / "observed" / "rows.arrows", SCHEMA)
    assert kept.table().num_rows == 0
    kept.add(batch((1, "a"), (2, "b")))
    kept.add(batch((3, "c")))
    assert kept.table().to_pylist() == [{"at_ns": n, "name": name} for n, name in ((1, "a"), (2, "b"), (3, "c"))]
    assert spool.read(tmp_path / "observed" / "rows.arrows", SCHEMA).num_rows == 3  # as another process finds it
    kept.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_breaks_off_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.arrows"
    kept = Spool(path, SCHEMA)
    kept.add(batch((1, "a"), (2, "b")))
    whole = path.stat().st_size
    kept.add(batch((3, "c")))
    data = path.read_bytes()
    for length in (whole + 5, whole, whole // 2, 3, 0):
        path.write_bytes(data[:length])
        assert spool.read(path, SCHEMA).num_rows == (2 if length >= whole else 0)
    assert spool.read(tmp_path / "none", SCHEMA).num_rows == 0
    assert spool.read(path, pa.schema([("other", pa.int64())])).num_rows == 0


def test_a_full_disk_costs_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Spool(tmp_path / "rows.arrows", SCHEMA)
    kept.add(batch((1, "a")))

    def full(*_: object) -> None:
        raise GeneratorFault("cannot be written (No space left on device)")

    monkeypatch.setattr(JournalWriter, "append", full)
    kept.add(batch((2, "b")))
    monkeypatch.undo()
    kept.add(batch((3, "c")))
    assert [row["at_ns"] for row in kept.table().to_pylist()] == [1, 2, 3]
