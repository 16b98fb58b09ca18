"""Locust's own statistics, fed in bulk from our rows once a second, so that its UI, CSV and console show right numbers."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from loadtests.buckets import bucket_index, bucket_value
from measurements.sample import NULL, OUTCOMES, Outcome


class StatsFeed:
    """A listener of the recorder: adds each block of rows to `stats` (Locust's RequestStats) and its total."""

    def __init__(self, stats: Any, names: list[str], methods: dict[str, str]) -> None:
        self._stats, self._names, self._methods = stats, names, methods

    def __call__(self, packed: np.ndarray) -> None:
        rows = packed[packed["sent_ns"] != NULL]
        for endpoint in np.unique(rows["endpoint"]):
            name = self._names[endpoint]
            chosen = rows[rows["endpoint"] == endpoint]
            method = self._methods.get(name, "")
            for entry in (self._stats.entries[(name, method)], self._stats.total):
                _add(entry, chosen)
            for outcome in np.unique(chosen["outcome"]):
                if outcome != Outcome.ok:
                    self._errors(method, name, OUTCOMES[outcome], int((chosen["outcome"] == outcome).sum()))

    def _errors(self, method: str, name: str, error: str, count: int) -> None:
        from locust.stats import StatsError

        key = StatsError.create_key(method, name, error)
        known = self._stats.errors.setdefault(key, StatsError(method, name, error))
        known.occurrences += count


def _add(entry: Any, rows: np.ndarray) -> None:
    response_ms = np.maximum((rows["done_ns"] - rows["intended_ns"]) / 1e6, 0)
    failed = int((rows["outcome"] != Outcome.ok).sum())
    second = int(time.time())
    entry.num_requests += len(rows)
    entry.num_failures += failed
    entry.num_reqs_per_sec[second] += len(rows)
    if failed:
        entry.num_fail_per_sec[second] += failed
    entry.last_request_timestamp = time.time()
    entry.total_response_time += float(response_ms.sum())
    entry.total_content_length += int(np.maximum(rows["bytes_in"], 0).sum())
    low, high = float(response_ms.min()), float(response_ms.max())
    entry.min_response_time = low if entry.min_response_time is None else min(entry.min_response_time, low)
    entry.max_response_time = max(entry.max_response_time, high)
    for bucket, count in zip(*np.unique(bucket_index(response_ms), return_counts=True), strict=True):
        entry.response_times[float(f"{float(bucket_value(bucket)):.6g}")] += int(count)
