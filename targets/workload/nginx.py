"""nginx's combined format, and what shares it: Apache's common and combined, gunicorn, and formats that append to it."""

from __future__ import annotations

import re

import numpy as np

from targets.workload.columns import KEPT_EXAMPLES, NO_TIME, Columns, Skipped, arrived_us, skipped_line
from targets.workload.moments import common

TEXT = rb'[^"\\\n]*+(?:\\.[^"\\\n]*+)*+'  # inside quotes; nginx writes a quote as \x22, Apache as \"
# Of what follows the agent, the first number with three decimals is the time that the request took in seconds, as nginx
# writes $request_time.
TAIL = rb'(?:[^\n]*?[ \t=]"?(\d{1,6}\.\d{3})(?![^\s"]))?+[^\n]*+$'
# addr - user [time] "METHOD /path?query HTTP/1.1" status bytes "referer" "agent" …
LINE = re.compile(
    rb'^[^\[\n]*+\[([^\]\n]{20,30})\] "([^ "\n]*+ ?[^ ?"\n]*+)' + TEXT + rb'" (\d{3}) (?:\d++|-)'
    rb'(?: "' + TEXT + rb'" "' + TEXT + rb'")?+' + TAIL,
    re.MULTILINE,
)
# The same where no text holds a quote, a third faster; it may run over a line's end, which shows in too few matches.
QUICK = re.compile(
    rb'^[^\[\n]*+\[([^\]]{20,30})\] "([^ "\n]*+ ?[^ ?"\n]*+)[^"]*+" (\d{3}) (?:\d++|-) "[^"]*+" "[^"]*+"' + TAIL,
    re.MULTILINE,
)
HALF_A_SECOND_US = 500_000


def read(block: bytes, header: tuple[str, ...] = ()) -> Columns:
    """Columns of a block of whole lines. The time is of the second in which the request ended."""
    rows = requests(block)
    breaks, skipped, examples = unmatched(LINE, block, len(rows))
    if not rows:
        return nothing(breaks, skipped, examples)
    times, heads, statuses, durations = zip(*rows, strict=True)
    known = {text: _moment(text) for text in set(times)}
    moments = np.array(list(known.values()), np.int64)
    place = {text: k for k, text in enumerate(known)}
    at_us, offset_s = moments[np.fromiter(map(place.__getitem__, times), np.int64, len(times))].T
    duration_s = np.array([float(text or b"nan") for text in durations])
    at_us = arrived_us(np.where(at_us == NO_TIME, NO_TIME, at_us + HALF_A_SECOND_US), duration_s)
    status = np.fromiter(map(int, statuses), np.int16, len(statuses))
    return Columns(
        breaks, len(rows) + skipped, list(heads), status, at_us, offset_s.astype(np.int32), duration_s,
        skipped=skipped, examples=examples,
    )  # fmt: skip


def requests(block: bytes) -> list[tuple[bytes, bytes, bytes, bytes]]:
    """(time, head, status, duration) of every line that is a request.

    Each match of QUICK begins a line of its own: when there are as many as lines, none has run into the next one.
    """
    if b'\\"' not in block:
        rows = QUICK.findall(block)
        if len(rows) == block.count(b"\n"):
            return rows
    return LINE.findall(block)


def _moment(text: bytes) -> tuple[int, int]:
    try:
        return common(text)
    except ValueError:
        return NO_TIME, 0


def nothing(breaks: int, skipped: int, examples: list[Skipped]) -> Columns:
    """A block in which no line is a request."""
    none = np.empty(0, np.int64)
    return Columns(
        breaks, skipped, [], none.astype(np.int16), none, none.astype(np.int32), none.astype(np.float64),
        skipped=skipped, examples=examples,
    )  # fmt: skip


def unmatched(pattern: re.Pattern[bytes], block: bytes, matched: int) -> tuple[int, int, list[Skipped]]:
    """How many lines there are, how many of them are neither blank nor matched, and the first of those."""
    breaks = block.count(b"\n")
    if matched == breaks:
        return breaks, 0, []
    lines = block.split(b"\n")[:-1]
    blank = sum(not line.strip() for line in lines)
    examples: list[Skipped] = []
    if matched + blank < breaks:
        for number, line in enumerate(lines, 1):
            if line.strip() and not pattern.match(line):
                examples.append(skipped_line(number, "not in the file's format", line))
                if len(examples) == KEPT_EXAMPLES:
                    break
    return breaks, breaks - matched - blank, examples
