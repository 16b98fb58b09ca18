"""Locust's own statistics, fed in bulk from our rows once a second, so that its UI, CSV and console show right numbers."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from loadtests.buckets import bucket_index, by_bucket, shown_ms
from loadtests.live import IS_TIMED
from measurements.sample import NULL, OUTCOMES, Outcome

KEPT_SECONDS = 60  # Locust itself looks at the last twelve
NO_FAILURE = {Outcome.ok.name, Outcome.dropped.name}


@dataclass
class Added:
    """What some rows of one stage and endpoint add up to. `buckets` are of all that was sent, as Locust counts;
    `timed` of those that our percentiles are over."""

    stage: int
    name: str
    method: str
    sent: int = 0
    total_ms: float = 0.0
    low_ms: float | None = None
    high_ms: float = 0.0
    size_bytes: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    buckets: Counter[int] = field(default_factory=Counter)
    timed: Counter[int] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        return {part.name: getattr(self, part.name) for part in fields(self)}  # asdict would take Counters apart

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Added:
        buckets = {key: Counter({int(k): n for k, n in document[key].items()}) for key in ("buckets", "timed")}
        return cls(**{**document, "outcomes": Counter(document["outcomes"]), **buckets})

    @property
    def failed(self) -> dict[str, int]:
        """Failures of what was sent."""
        return {outcome: count for outcome, count in self.outcomes.items() if outcome not in NO_FAILURE}

    def join(self, other: Added) -> None:
        """Exact: sums of histograms."""
        self.sent += other.sent
        self.total_ms += other.total_ms
        self.low_ms = min((ms for ms in (self.low_ms, other.low_ms) if ms is not None), default=None)
        self.high_ms = max(self.high_ms, other.high_ms)
        self.size_bytes += other.size_bytes
        self.outcomes.update(other.outcomes)
        self.buckets.update(other.buckets)
        self.timed.update(other.timed)


def added(packed: np.ndarray, names: list[str], methods: dict[str, str]) -> list[Added]:
    """The rows by stage and endpoint. An arrival that was never sent has an outcome and no time."""
    found = []
    stages, endpoints = packed["stage"].astype(np.int64), packed["endpoint"]
    places = stages * len(names) + endpoints
    for place in np.unique(places):
        here = places == place
        stage, name = int(stages[here][0]), names[int(endpoints[here][0])]
        outcome, was_sent = packed["outcome"][here], packed["sent_ns"][here] != NULL
        ms = np.maximum((packed["done_ns"][here] - packed["intended_ns"][here])[was_sent] / 1e6, 0)
        bucket = bucket_index(ms)
        ended = np.bincount(outcome, minlength=len(OUTCOMES))
        found.append(
            Added(
                stage=stage,
                name=name,
                method=methods.get(name, ""),
                sent=len(ms),
                total_ms=float(ms.sum()),
                low_ms=float(ms.min()) if len(ms) else None,
                high_ms=float(ms.max(initial=0.0)),
                size_bytes=int(np.maximum(packed["bytes_in"][here][was_sent], 0).sum()),
                outcomes=Counter({OUTCOMES[k]: int(ended[k]) for k in np.flatnonzero(ended)}),
                buckets=Counter(by_bucket(np.bincount(bucket))),
                timed=Counter(by_bucket(np.bincount(bucket[IS_TIMED[outcome[was_sent]]]))),
            )
        )
    return found


class StatsFeed:
    """A listener of the recorder: adds each block of rows to `stats` (Locust's RequestStats) and its total."""

    def __init__(self, stats: Any, names: list[str], methods: dict[str, str]) -> None:
        self._stats, self._names, self._methods = stats, names, methods

    def __call__(self, packed: np.ndarray) -> None:
        for one in added(packed, self._names, self._methods):
            feed(self._stats, one)


class Gathered:
    """A listener of the recorder that keeps what was added until it is taken: for the web UI, which is elsewhere."""

    def __init__(self, names: list[str], methods: dict[str, str]) -> None:
        self._names, self._methods = names, methods
        self._kept: dict[tuple[int, str], Added] = {}

    def __call__(self, packed: np.ndarray) -> None:
        for one in added(packed, self._names, self._methods):
            known = self._kept.setdefault((one.stage, one.name), Added(one.stage, one.name, one.method))
            known.join(one)

    def take(self) -> list[dict[str, Any]]:
        taken, self._kept = self._kept, {}
        return [one.as_json() for one in taken.values()]


def feed(stats: Any, one: Added) -> None:
    """Into Locust's statistics: what was sent, by name and in all."""
    if one.sent:
        for entry in (stats.entries[(one.name, one.method)], stats.total):
            _feed_entry(entry, one)
    for outcome, count in one.failed.items():
        _count_error(stats, one, outcome, count)


def _feed_entry(entry: Any, one: Added) -> None:
    at_s = time.time()
    second = int(at_s)
    if entry.use_response_times_cache and entry.last_request_timestamp and second > int(entry.last_request_timestamp):
        entry._cache_response_times(second - 1)  # what Locust's percentiles of the last ten seconds are taken from
    failed = sum(one.failed.values())
    entry.num_requests += one.sent
    entry.num_failures += failed
    entry.num_reqs_per_sec[second] += one.sent
    if failed:
        entry.num_fail_per_sec[second] += failed
    for counted in (entry.num_reqs_per_sec, entry.num_fail_per_sec):  # Locust keeps every second of a run for ever
        for old in list(counted)[:-KEPT_SECONDS]:
            del counted[old]
    entry.last_request_timestamp = at_s
    entry.total_response_time += one.total_ms
    entry.total_content_length += one.size_bytes
    assert one.low_ms is not None
    known_ms = entry.min_response_time
    entry.min_response_time = one.low_ms if known_ms is None else min(known_ms, one.low_ms)
    entry.max_response_time = max(entry.max_response_time, one.high_ms)
    for bucket, count in one.buckets.items():
        entry.response_times[shown_ms(bucket)] += count


def _count_error(stats: Any, one: Added, outcome: str, count: int) -> None:
    from locust.stats import StatsError

    key = StatsError.create_key(one.method, one.name, outcome)
    known = stats.errors.setdefault(key, StatsError(one.method, one.name, outcome))
    known.occurrences += count
    known.last_seen = time.time()
    known.first_seen = known.first_seen or known.last_seen
