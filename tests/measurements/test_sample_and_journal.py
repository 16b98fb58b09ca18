"""The record on the hot path, and the journal that a killed process leaves readable."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from measurements import journal, sample
from measurements.journal import JournalWriter
from measurements.sample import NULL, PACKED, SAMPLES, Outcome


def packed(count: int, first_seq: int = 0) -> np.ndarray:
    rows = np.zeros(count, PACKED)
    rows["seq"] = np.arange(first_seq, first_seq + count)
    rows["connect_ns"] = NULL
    rows["status"] = 200
    return rows


def three_batches(path: Path) -> list[int]:
    """Writes three batches of five rows and returns the size of the file after each."""
    writer = JournalWriter(path, SAMPLES)
    sizes = []
    for number in range(3):
        writer.append(sample.batch(packed(5, 5 * number), 0, ["steady"], ["generate"]))
        sizes.append(path.stat().st_size)
    writer.close()
    return sizes


def test_the_pack_format_of_the_hot_path_is_the_numpy_dtype_byte_for_byte() -> None:
    assert struct.calcsize(sample.PACK_FORMAT) == PACKED.itemsize
    values = list(range(1, len(PACKED.names or ()) + 1))
    row = np.frombuffer(struct.pack(sample.PACK_FORMAT, *values), PACKED)[0]
    assert [int(row[name]) for name in PACKED.names or ()] == values


def test_the_packed_fields_are_the_columns_of_the_samples_in_order() -> None:
    assert ["worker", *(PACKED.names or ())] == SAMPLES.names


def test_every_integer_column_holds_what_the_packed_field_can_hold() -> None:
    for field in list(SAMPLES)[1:]:
        if pa.types.is_integer(field.type):
            assert field.type.bit_width >= 8 * PACKED[field.name].itemsize, field.name


def test_minus_one_becomes_null_but_not_in_columns_that_always_have_a_value() -> None:
    rows = packed(1)
    rows["seq"], rows["status"], rows["outcome"] = -1, NULL, Outcome.timeout
    batch = sample.batch(rows, 3, ["steady"], ["generate"])
    row = batch.to_pylist()[0]
    assert (row["worker"], row["seq"], row["status"], row["connect_ns"]) == (3, -1, None, None)
    assert (row["stage"], row["endpoint"], row["outcome"]) == ("steady", "generate", "timeout")


@pytest.mark.parametrize("group", [sample.NEVER_SENT, sample.RESPONDED, sample.TIMED, sample.CENSORED])
def test_groups_of_outcomes_name_real_outcomes(group: list[str]) -> None:
    assert set(group) <= set(sample.OUTCOMES)


def test_a_journal_torn_at_any_byte_of_its_last_batch_is_readable_up_to_the_batch_before(tmp_path: Path) -> None:
    whole = tmp_path / "whole.arrows"
    sizes = three_batches(whole)
    data = whole.read_bytes()
    torn = tmp_path / "torn.arrows"
    for length in range(sizes[1], sizes[2]):
        torn.write_bytes(data[:length])
        seqs = [seq for batch in journal.batches(torn) for seq in batch.column("seq").to_pylist()]
        assert seqs == list(range(10)), f"cut at byte {length} of {len(data)}"
        assert not journal.is_whole(torn)


def test_a_journal_torn_in_its_schema_or_empty_holds_no_batches(tmp_path: Path) -> None:
    whole = tmp_path / "whole.arrows"
    three_batches(whole)
    torn = tmp_path / "torn.arrows"
    for length in (0, 1, 4, 8, 100):
        torn.write_bytes(whole.read_bytes()[:length])
        assert list(journal.batches(torn)) == []
        assert not journal.is_whole(torn)


def test_a_closed_journal_is_whole_and_one_without_its_end_marker_is_not(tmp_path: Path) -> None:
    path = tmp_path / "w.arrows"
    sizes = three_batches(path)
    assert journal.is_whole(path)
    path.write_bytes(path.read_bytes()[: sizes[2]])
    assert not journal.is_whole(path)
    assert sum(batch.num_rows for batch in journal.batches(path)) == 15


def test_damaged_bytes_end_the_reading_without_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "w.arrows"
    sizes = three_batches(path)
    data = bytearray(path.read_bytes())
    data[sizes[0] : sizes[0] + 64] = b"\x07" * 64
    path.write_bytes(data)
    assert [seq for batch in journal.batches(path) for seq in batch.column("seq").to_pylist()][:5] == list(range(5))


def test_a_batch_is_on_disk_as_soon_as_it_was_appended(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "w.arrows", SAMPLES)
    writer.append(sample.batch(packed(7), 0, ["steady"], ["generate"]))
    assert sum(batch.num_rows for batch in journal.batches(writer.path)) == 7
    assert writer.rows == 7
    writer.close()
    writer.close()


def test_parquet_made_from_a_journal_has_the_same_rows_even_when_names_grew_from_batch_to_batch(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "w.arrows", SAMPLES)
    for names in (["a"], ["a", "b"], ["a", "b", "c"]):
        rows = packed(2)
        rows["endpoint"] = len(names) - 1
        writer.append(sample.batch(rows, 0, ["steady"], names))
    writer.close()
    assert journal.to_parquet(writer.path, tmp_path / "w.parquet", SAMPLES) == 6
    table = pq.read_table(tmp_path / "w.parquet")
    assert table["endpoint"].to_pylist() == ["a", "a", "b", "b", "c", "c"]
    assert not list(tmp_path.glob("*.partial"))


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import numpy as np
from measurements import journal, sample
from measurements.errors import GeneratorFault
writer = journal.JournalWriter(Path(sys.argv[1]), sample.SAMPLES)
batch = sample.batch(np.zeros(200, sample.PACKED), 0, ["steady"], ["generate"])
writer.append(batch)
resource.setrlimit(resource.RLIMIT_FSIZE, (3 * writer.path.stat().st_size,) * 2)
try:
    for _ in range(10):
        writer.append(batch)
except GeneratorFault as error:
    print(error)
writer.close()
print(sum(b.num_rows for b in journal.batches(writer.path)) >= 400)
"""


def test_a_full_disk_is_the_generators_fault_and_what_was_written_stays_readable(tmp_path: Path) -> None:
    """A limit on the file's size stands in for the full disk."""
    path = tmp_path / "samples" / "w.arrows"
    path.parent.mkdir()
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), root], capture_output=True, text=True, check=True, timeout=60
    )
    sentence, readable = done.stdout.splitlines()
    assert "cannot be written" in sentence and f"plimsoll recover {tmp_path}" in sentence
    assert readable == "True"
