"""uvicorn's access lines in their default form, which has neither time nor duration; a time in front is read.

INFO:     127.0.0.1:52044 - "GET /health HTTP/1.1" 200 OK
2026-11-21 19:39:45,123 INFO 127.0.0.1:52044 - "GET /health HTTP/1.1" 200
"""

from __future__ import annotations

import re

import numpy as np

from targets.workload.columns import NO_TIME, Columns
from targets.workload.moments import Moment, iso
from targets.workload.nginx import nothing, unmatched

COLOUR = re.compile(rb"\x1b\[[0-9;]{0,12}m")  # what uvicorn writes when its output was a terminal
LINE = re.compile(
    rb"^(?:\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?+))?+"
    rb'[^"\n]*+"([A-Z]{3,16}+ [^ ?"\n]++)[^"\n]*? HTTP/[\d.]{1,4}" (\d{3})\b[^\n]*+$',
    re.MULTILINE,
)


def read(block: bytes, header: tuple[str, ...] = ()) -> Columns:
    """Columns of a block of whole lines. Start-up messages, warnings and tracebacks between them are skipped."""
    if b"\x1b" in block:
        block = COLOUR.sub(b"", block)
    rows = LINE.findall(block)
    breaks, skipped, examples = unmatched(LINE, block, len(rows))
    if not rows:
        return nothing(breaks, skipped, examples)
    times, heads, statuses = zip(*rows, strict=True)
    moments = [_moment(text) for text in times] if any(times) else [(NO_TIME, 0)] * len(times)
    return Columns(
        breaks,
        len(rows) + skipped,
        list(heads),
        np.fromiter(map(int, statuses), np.int16, len(statuses)),
        np.fromiter((moment[0] for moment in moments), np.int64, len(moments)),
        np.fromiter((moment[1] for moment in moments), np.int32, len(moments)),
        np.full(len(rows), np.nan),
        finer_than_s=any(b"." in text or b"," in text for text in times),
        skipped=skipped,
        examples=examples,
    )


def _moment(text: bytes) -> Moment:
    try:
        return iso(text.decode("ascii"))
    except ValueError:
        return NO_TIME, 0
