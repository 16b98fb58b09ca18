"""What a format's reader makes of a block of whole lines: its requests as columns, and the lines that were none."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

NO_TIME = int(np.iinfo(np.int64).min)
KEPT_EXAMPLES = 5
EXCERPT_BYTES = 160


@dataclass(frozen=True)
class Skipped:
    """A line that is no request. `line` counts from 1, in the block; `text` is its beginning, raw: escape it before it is shown."""

    line: int
    reason: str
    text: bytes


@dataclass(frozen=True)
class Columns:
    """The n requests of a block. `heads[i]` is b"METHOD /path", without query.

    `status` int16 (n,), 0 where none is logged · `at_us` int64 (n,), arrival in microseconds since the epoch (or the
    trace's start), NO_TIME where none is logged · `offset_s` int32 (n,), of the log's time zone · `duration_s`
    float64 (n,), NaN where none is logged · `tokens` int64 (n, 2), prompt and answer, traces only ·
    `finer_than_s`: the times carry fractions of a second · `lines` and `skipped` do not count blank lines,
    `line_breaks` does.
    """

    line_breaks: int
    lines: int
    heads: list[bytes]
    status: np.ndarray
    at_us: np.ndarray
    offset_s: np.ndarray
    duration_s: np.ndarray
    tokens: np.ndarray | None = None
    finer_than_s: bool = False
    skipped: int = 0
    examples: list[Skipped] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return len(self.heads)


def skipped_line(line: int, reason: str, text: bytes) -> Skipped:
    return Skipped(line, reason, text[:EXCERPT_BYTES])


def arrived_us(logged_us: np.ndarray, duration_s: np.ndarray) -> np.ndarray:
    """When requests came, from when they were logged: servers write a line at a request's end."""
    spent_us = np.nan_to_num(duration_s * 1e6, nan=0.0, posinf=0.0, neginf=0.0).astype(np.int64)
    return np.where(logged_us == NO_TIME, NO_TIME, logged_us - spent_us)
