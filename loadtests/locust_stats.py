"""Locust's own statistics, fed in bulk from our rows once a second, so that its UI, CSV and console show right numbers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtests.buckets import bucket_index, bucket_value
from measurements.sample import NULL, OUTCOMES, Outcome


class StatsFeed:
    """A listener of the recorder: adds each block of rows to `stats` (Locust's RequestStats) and its total."""

    def __init__(self, stats: Any, names: list[str], methods: dict[str, str]) -> None:
        self._stats, self._names, self._methods = stats, names, methods

    def __call__(self, packed: np.ndarray) -> None:
        sent = packed["sent_ns"] != NULL
        endpoints, outcomes = packed["endpoint"][sent], packed["outcome"][sent]
        response_ms = np.maximum((packed["done_ns"] - packed["intended_ns"])[sent] / 1e6, 0)
        bytes_in = np.maximum(packed["bytes_in"][sent], 0)
        for endpoint in np.flatnonzero(np.bincount(endpoints)):
            name = self._names[endpoint]
            chosen = endpoints == endpoint
            method = self._methods.get(name, "")
            ended = np.bincount(outcomes[chosen], minlength=len(OUTCOMES))
            added = _Added.of(response_ms[chosen], int(bytes_in[chosen].sum()), int(ended.sum() - ended[Outcome.ok]))
            for entry in (self._stats.entries[(name, method)], self._stats.total):
                added.to(entry)
            ended[Outcome.ok] = 0
            for outcome in np.flatnonzero(ended):
                self._errors(method, name, OUTCOMES[outcome], int(ended[outcome]))

    def _errors(self, method: str, name: str, error: str, count: int) -> None:
        from locust.stats import StatsError

        key = StatsError.create_key(method, name, error)
        known = self._stats.errors.setdefault(key, StatsError(method, name, error))
        known.occurrences += count


@dataclass
class _Added:
    """What a block of rows adds to an entry of Locust's."""

    count: int
    failed: int
    total_ms: float
    low_ms: float
    high_ms: float
    size_bytes: int
    buckets: dict[float, int]

    @classmethod
    def of(cls, response_ms: np.ndarray, size_bytes: int, failed: int) -> _Added:
        found, counts = np.unique(bucket_index(response_ms), return_counts=True)
        buckets = {float(f"{float(bucket_value(b)):.6g}"): int(n) for b, n in zip(found, counts, strict=True)}
        return cls(
            len(response_ms), failed, float(response_ms.sum()), float(response_ms.min()), float(response_ms.max()),
            size_bytes, buckets,
        )  # fmt: skip

    def to(self, entry: Any) -> None:
        second = int(time.time())
        if (
            entry.use_response_times_cache
            and entry.last_request_timestamp
            and second > int(entry.last_request_timestamp)
        ):
            entry._cache_response_times(second - 1)  # what its "current" percentiles are the difference to
        entry.num_requests += self.count
        entry.num_failures += self.failed
        entry.num_reqs_per_sec[second] += self.count
        if self.failed:
            entry.num_fail_per_sec[second] += self.failed
        entry.last_request_timestamp = time.time()
        entry.total_response_time += self.total_ms
        entry.total_content_length += self.size_bytes
        known_ms = entry.min_response_time
        entry.min_response_time = self.low_ms if known_ms is None else min(known_ms, self.low_ms)
        entry.max_response_time = max(entry.max_response_time, self.high_ms)
        for bucket_ms, count in self.buckets.items():
            entry.response_times[bucket_ms] += count
