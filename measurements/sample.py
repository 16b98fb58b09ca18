"""The one flat record that crosses all rooms: a row per intended request, failed or not.

Times are monotonic nanoseconds since that worker's start and never subtracted across hosts. `intended_ns` is when
the schedule wanted the request; `sent_ns` when the generator began the exchange (first byte written, or the
connection attempt that had to come first); `connect_ns` when that connection stood (null on a reused one).

    response = done − intended     service = done − sent     lateness = sent − intended
    connect  = connect − sent      ttft = first_token − intended
"""

from collections.abc import Iterator
from enum import IntEnum

import numpy as np
import pyarrow as pa

SCHEMA_VERSION = 1

NULL = -1


class Outcome(IntEnum):
    """How an intended request ended; exactly one each. The names are what Parquet and JSON carry."""

    ok = 0
    http_error = 1
    rejected = 2  # 429, 503: a limit said no
    timeout = 3
    connect_error = 4
    protocol_error = 5
    unexpected_body = 6
    dropped = 7  # never sent: no free user
    abandoned = 8  # open at the end
    lost = 9  # its worker died


OUTCOMES = [outcome.name for outcome in Outcome]
NEVER_SENT = {Outcome.dropped.name, Outcome.lost.name}
RESPONDED = {Outcome.ok.name, Outcome.http_error.name, Outcome.rejected.name, Outcome.unexpected_body.name}
TIMED = [Outcome.ok.name, Outcome.timeout.name, Outcome.abandoned.name]  # the population of every percentile
CENSORED = [Outcome.timeout.name, Outcome.abandoned.name]  # at no less than the timeout

TOKENS_SOURCES = ["none", "usage", "events", "tokenizer"]

# The record as the hot path packs it (struct format and numpy dtype agree; a test compares them). -1 is null.
PACK_FORMAT = "=qihhihqqqqqqhbiqqiibb"
PACKED = np.dtype(
    [
        ("seq", "i8"),
        ("step", "i4"),
        ("stage", "i2"),
        ("endpoint", "i2"),
        ("user", "i4"),
        ("replica", "i2"),
        ("intended_ns", "i8"),
        ("sent_ns", "i8"),
        ("connect_ns", "i8"),
        ("first_byte_ns", "i8"),
        ("first_token_ns", "i8"),
        ("done_ns", "i8"),
        ("status", "i2"),
        ("outcome", "i1"),
        ("error_id", "i4"),
        ("bytes_out", "i8"),
        ("bytes_in", "i8"),
        ("tokens_in", "i4"),
        ("tokens_out", "i4"),
        ("tokens_source", "i1"),
        ("attempt", "i1"),
    ]
)

WORDS = pa.dictionary(pa.int32(), pa.string())

SAMPLES = pa.schema(
    [
        ("worker", pa.int16()),
        ("seq", pa.int64()),
        ("step", pa.int32()),
        ("stage", WORDS),
        ("endpoint", WORDS),
        ("user", pa.int32()),
        ("replica", pa.int16()),
        ("intended_ns", pa.int64()),
        ("sent_ns", pa.int64()),
        ("connect_ns", pa.int64()),
        ("first_byte_ns", pa.int64()),
        ("first_token_ns", pa.int64()),
        ("done_ns", pa.int64()),
        ("status", pa.int16()),
        ("outcome", WORDS),
        ("error_id", pa.int32()),
        ("bytes_out", pa.int64()),
        ("bytes_in", pa.int64()),
        ("tokens_in", pa.int32()),
        ("tokens_out", pa.int32()),
        ("tokens_source", WORDS),
        ("attempt", pa.int16()),
    ]
)

# A row per content event of a stream; `tokens` is how many the event carried.
TOKENS = pa.schema(
    [
        ("worker", pa.int16()),
        ("seq", pa.int64()),
        ("step", pa.int32()),
        ("event", pa.int32()),
        ("at_ns", pa.int64()),
        ("tokens", pa.int32()),
    ]
)

TIMES = {"intended_ns", "sent_ns", "connect_ns", "first_byte_ns", "first_token_ns", "done_ns"}
NEVER_NULL = {"seq", "step", "stage", "endpoint", "intended_ns", "outcome", "tokens_source", "attempt"}


NUMBERS = {field.name: np.dtype(str(field.type)) for field in SAMPLES if field.type != WORDS}


def batch(
    packed: np.ndarray, worker: int, stages: list[str], endpoints: list[str], start_ns: int = 0
) -> pa.RecordBatch:
    """A structured array of `PACKED` (any length) as an Arrow batch of `SAMPLES`; -1 becomes null, times count from
    `start_ns`."""
    return pa.RecordBatch.from_arrays(list(columns(packed, worker, stages, endpoints, start_ns)), schema=SAMPLES)


def columns(
    packed: np.ndarray, worker: int, stages: list[str], endpoints: list[str], start_ns: int = 0
) -> Iterator[pa.Array]:
    """The arrays of `batch` one after another, for whoever must not be away for as long as all of them take."""
    words = {"stage": stages, "endpoint": endpoints, "outcome": OUTCOMES, "tokens_source": TOKENS_SOURCES}
    yield column(pa.int16(), np.full(len(packed), worker, dtype=np.int16))
    for field in list(SAMPLES)[1:]:
        name = field.name
        if name in words:
            indices = column(pa.int32(), packed[name].astype(np.int32))
            yield pa.DictionaryArray.from_arrays(indices, _texts(words[name]))
            continue
        values = packed[name].astype(NUMBERS[name])
        known = None if name in NEVER_NULL else values != NULL
        if start_ns and name in TIMES:
            values -= start_ns
        yield column(field.type, values, known)


def column(type_: pa.DataType, values: np.ndarray, known: np.ndarray | None = None) -> pa.Array:
    """Contiguous numbers as an Arrow array, from their own memory: `pa.array` takes ten times as long for a small batch,
    and imports pandas, which a load process does without."""
    bits = None if known is None else pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(type_, len(values), [bits, pa.py_buffer(values)])


def _texts(words: list[str]) -> pa.StringArray:
    written = [word.encode() for word in words]
    ends = np.cumsum([0, *map(len, written)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(written), pa.py_buffer(ends), pa.py_buffer(b"".join(written)))
