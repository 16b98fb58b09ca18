"""Public traces of LLM services: arrivals and token counts, one line per request.

Azure LLM inference 2023 and 2024: CSV TIMESTAMP,ContextTokens,GeneratedTokens, ISO times.
BurstGPT: CSV with Timestamp (seconds from the first day's midnight), Request tokens, Response tokens and more; 0
response tokens mark a failed request. Mooncake: JSON lines with timestamp (ms), input_length, output_length, hash_ids.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import orjson

from targets.workload.columns import KEPT_EXAMPLES, Columns, Skipped, skipped_line
from targets.workload.moments import iso
from targets.workload.nginx import nothing

AZURE_HEADER = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURSTGPT_COLUMNS = ("Timestamp", "Request tokens", "Response tokens")
MOST_TOKENS = 10_000_000
LONGEST_S = 1e9
HEAD = b"POST /v1/chat/completions"
FAILED = 500  # BurstGPT tells that a request failed, not how; the other traces hold no failures

Row = tuple[int, int, int, int]  # at_us, prompt tokens, answer tokens, status


def azure(block: bytes, header: tuple[str, ...] = ()) -> Columns:
    def row(line: bytes) -> Row:
        time, prompt, answer = line.split(b",")
        return iso(time.decode("ascii"))[0], int(prompt), int(answer), 200

    return _read(block, row, b",".join(name.encode() for name in AZURE_HEADER))


def burstgpt(block: bytes, header: tuple[str, ...]) -> Columns:
    at, prompt, answer = (header.index(name) for name in BURSTGPT_COLUMNS)

    def row(line: bytes) -> Row:
        fields = line.split(b",")
        if len(fields) != len(header):
            raise ValueError
        tokens = int(float(fields[answer]))
        return _relative_us(float(fields[at])), int(float(fields[prompt])), tokens, 200 if tokens else FAILED

    return _read(block, row, b",".join(name.encode() for name in header))


def mooncake(block: bytes, header: tuple[str, ...] = ()) -> Columns:
    def row(line: bytes) -> Row:
        given = orjson.loads(line)
        return _relative_us(given["timestamp"] / 1000), given["input_length"], given["output_length"], 200

    return _read(block, row, b"")


def _relative_us(seconds: float) -> int:
    if not 0 <= seconds <= LONGEST_S:
        raise ValueError("a time outside the trace")
    return round(seconds * 1e6)


def _read(block: bytes, row: Callable[[bytes], Row], header: bytes) -> Columns:
    rows: list[Row] = []
    number, skipped, examples = 1, 0, list[Skipped]()
    for number, raw in enumerate(block.split(b"\n"), 1):
        line = raw.strip()
        if not line or line == header:
            continue
        try:
            read = row(line)
            if not (0 <= read[1] <= MOST_TOKENS and 0 <= read[2] <= MOST_TOKENS):
                raise ValueError("impossible token count")
            rows.append(read)
        except (ValueError, TypeError, KeyError, OverflowError):
            skipped += 1
            if len(examples) < KEPT_EXAMPLES:
                examples.append(skipped_line(number, "not a row of the trace", raw))
    if not rows:
        return nothing(number - 1, skipped, examples)
    table = np.array(rows, np.int64)
    return Columns(
        number - 1,
        len(rows) + skipped,
        [HEAD] * len(rows),
        table[:, 3].astype(np.int16),
        table[:, 0].copy(),
        np.zeros(len(rows), np.int32),
        np.full(len(rows), np.nan),
        tokens=table[:, 1:3].copy(),
        finer_than_s=bool((table[:, 0] % 1_000_000 != 0).any()),
        skipped=skipped,
        examples=examples,
    )
