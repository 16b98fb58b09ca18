"""Our generator's hot pieces: what each event of a stream and each row costs the load process."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from loadtests.evidence import Evidence
from loadtests.recorder import Recorder
from loadtests.tokens import TokenStream
from measurements.redaction import Redactor
from measurements.rundir import RunDirectory
from measurements.sample import NULL

EVENTS = (100, 1_000, 10_000)
ROWS = (10_000, 100_000, 1_000_000)
CHUNK_BYTES = 4_096


@pytest.mark.benchmark(group="generator")
@pytest.mark.parametrize("size", EVENTS)
def bench_sse_parsing(benchmark: Any, size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "event"}
    event = {"id": "x", "choices": [{"index": 0, "delta": {"content": "안녕 token"}, "finish_reason": None}]}
    whole = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for _ in range(size))
    chunks = [whole[at : at + CHUNK_BYTES] for at in range(0, len(whole), CHUNK_BYTES)]

    def parse() -> TokenStream:
        stream = TokenStream()
        for number, chunk in enumerate(chunks):
            stream.hear(chunk, number)
        stream.read()
        return stream

    assert len(benchmark(parse).at_ns) == size


@pytest.mark.benchmark(group="generator")
@pytest.mark.parametrize("size", ROWS)
def bench_recording(benchmark: Any, size: int, tmp_path: Path) -> None:
    """Rows to a journal on disk, columns and flushes included."""
    benchmark.extra_info |= {"size": size, "unit": "row"}
    names = (tmp_path / f"run-{number}" for number in range(1_000))

    def fresh() -> tuple[tuple[Recorder], dict[str, Any]]:
        run = RunDirectory.create(next(names), "bench")
        evidence = Evidence(run.path / "errors.jsonl", run.path / "examples.jsonl", Redactor())
        recorder = Recorder(run, 0, 0, ["step-01"], evidence)
        recorder.endpoint("work")
        return (recorder,), {}

    def record(recorder: Recorder) -> int:
        row = recorder.row
        for number in range(size):
            row(
                number,
                0,
                0,
                0,
                1,
                0,
                number,
                number,
                NULL,
                number,
                NULL,
                number,
                200,
                0,
                NULL,
                99,
                99,
                NULL,
                NULL,
                0,
                1,
            )
        recorder.close()
        return recorder.rows

    benchmark.pedantic(record, setup=fresh, rounds=3)
