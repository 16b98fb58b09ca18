"""A journal that is cut or damaged anywhere gives the rows before the damage, and never takes the reader along."""

from pathlib import Path

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from measurements import journal

SCHEMA = pa.schema([("n", pa.int64()), ("word", pa.dictionary(pa.int32(), pa.string()))])
BATCHES, ROWS = 6, 40


def written(path: Path) -> bytes:
    path.unlink(missing_ok=True)
    writer = journal.JournalWriter(path, SCHEMA)
    for k in range(BATCHES):
        words = pa.array([f"w{(k + n) % 3}" for n in range(ROWS)]).dictionary_encode()
        numbers = pa.array(range(k * ROWS, (k + 1) * ROWS), pa.int64())
        writer.append(pa.RecordBatch.from_arrays([numbers, words], schema=SCHEMA))
    writer.close()
    return path.read_bytes()


def numbers(path: Path) -> list[int]:
    return [n for batch in journal.batches(path, SCHEMA) for n in batch.column("n").to_pylist()]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_a_cut_anywhere_leaves_whole_batches_from_the_start(share: float, tmp_path: Path) -> None:
    path = tmp_path / "worker-000.arrows"
    data = written(path)
    path.write_bytes(data[: int(share * len(data))])
    kept = numbers(path)
    assert kept == list(range(len(kept))) and len(kept) % ROWS == 0
    assert journal.is_whole(path) == (int(share * len(data)) == len(data))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.lists(st.floats(0, 0.999999), min_size=1, max_size=8), value=st.integers(0, 255))
def test_damage_anywhere_is_read_past_or_ends_the_reading(at: list[float], value: int, tmp_path: Path) -> None:
    path = tmp_path / "worker-000.arrows"
    data = bytearray(written(path))
    for share in at:
        data[int(share * len(data))] = value
    path.write_bytes(bytes(data))
    for batch in journal.batches(path, SCHEMA):
        batch.to_pylist()
