"""A block's columns, counted: small enough to cross a process boundary, and bounded whatever the block holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from targets.workload.columns import NO_TIME, Columns, Skipped
from targets.workload.latency import buckets
from targets.workload.paths import NO_SUCH_PATH, Endpoints, folded

NO_HOUR = 24
STATUSES = 1000
MOST_ENDPOINTS = 2_000
MOST_DAYS = 366


@dataclass
class Times:
    """Of one endpoint or one hour of day: bucket indices, how many each, the sum and the largest."""

    index: np.ndarray
    counts: np.ndarray
    sum_s: float
    max_s: float


@dataclass
class Tally:
    """`counts[(endpoint, hour of day 0..23 or NO_HOUR, status)]`; `second_s` are distinct, UTC, with `second_counts`.

    `exact_us` are the arrivals themselves, where the log's times are finer than a second. `first_local_s` and
    `last_local_s` are in the log's own zone. `days` are the local days (since 1970) that have a request.
    """

    line_breaks: int
    lines: int
    requests: int
    skipped: int
    examples: list[Skipped]
    counts: dict[tuple[str, int, int], int] = field(default_factory=dict)
    endpoint_times: dict[str, Times] = field(default_factory=dict)
    hour_times: dict[int, Times] = field(default_factory=dict)
    second_s: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    second_counts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    exact_us: np.ndarray | None = None
    days: list[int] = field(default_factory=list)
    first_local_s: int | None = None
    last_local_s: int | None = None
    offsets_s: dict[int, int] = field(default_factory=dict)
    tokens: tuple[np.ndarray, np.ndarray] | None = None


def tally(columns: Columns, endpoints: Endpoints) -> Tally:
    made = Tally(columns.line_breaks, columns.lines, columns.requests, columns.skipped, columns.examples)
    if not columns.requests:
        return made
    names, codes = _codes(columns, endpoints)
    timed = columns.at_us != NO_TIME
    hours = np.full(columns.requests, NO_HOUR, np.int64)
    if timed.any():
        seconds = columns.at_us[timed] // 1_000_000
        offsets = columns.offset_s[timed].astype(np.int64)
        local = seconds + offsets
        hours[timed] = local // 3600 % 24
        made.second_s, made.second_counts = np.unique(seconds, return_counts=True)
        made.days = np.unique(local // 86_400)[:MOST_DAYS].tolist()
        made.first_local_s, made.last_local_s = int(local.min()), int(local.max())
        made.offsets_s = {int(o): int(n) for o, n in zip(*np.unique(offsets, return_counts=True), strict=True)}
        if columns.finer_than_s:
            made.exact_us = columns.at_us[timed]
    combined, counts = np.unique((codes * 25 + hours) * STATUSES + columns.status, return_counts=True)
    for key, count in zip(combined.tolist(), counts.tolist(), strict=True):
        made.counts[names[key // (25 * STATUSES)], key // STATUSES % 25, key % STATUSES] = count
    known = ~np.isnan(columns.duration_s)
    if known.any():
        seconds_taken = columns.duration_s[known]
        made.endpoint_times = {names[k]: t for k, t in _times(codes[known], seconds_taken).items()}
        made.hour_times = {k: t for k, t in _times(hours[known], seconds_taken).items() if k != NO_HOUR}
    if columns.tokens is not None:
        made.tokens = columns.tokens[columns.status < 400, 0], columns.tokens[columns.status < 400, 1]
    return made


def _codes(columns: Columns, endpoints: Endpoints) -> tuple[list[str], np.ndarray]:
    """The block's endpoints and each request's place among them, int64 (n,); folded where they are too many."""
    of_head = endpoints.of(columns.heads)
    names = sorted(set(of_head.values()))
    place = {name: k for k, name in enumerate(names)}
    of_head_code = {head: place[endpoint] for head, endpoint in of_head.items()}
    codes = np.fromiter(map(of_head_code.__getitem__, columns.heads), np.int64, columns.requests)
    if len(names) <= MOST_ENDPOINTS:
        return names, codes
    total = np.bincount(codes, minlength=len(names)).tolist()
    existing = np.bincount(codes[~np.isin(columns.status, NO_SUCH_PATH)], minlength=len(names)).tolist()
    shorter = folded(dict(zip(names, zip(total, existing, strict=True), strict=True)))
    fewer = sorted(set(shorter.values()))
    place = {name: k for k, name in enumerate(fewer)}
    return fewer, np.array([place[shorter[name]] for name in names], np.int64)[codes]


def _times(codes: np.ndarray, seconds: np.ndarray) -> dict[int, Times]:
    order = np.argsort(codes, kind="stable")
    codes, seconds = codes[order], seconds[order]
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    found = {}
    for start, end in zip(starts, np.r_[starts[1:], len(codes)], strict=True):
        index, counts = np.unique(buckets(seconds[start:end]), return_counts=True)
        found[int(codes[start])] = Times(
            index, counts, float(seconds[start:end].sum()), float(seconds[start:end].max())
        )
    return found
