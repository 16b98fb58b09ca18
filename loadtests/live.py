"""What the parent is told once a second while the load runs: counts, rates, quantiles so far, the generator's health.

Quantiles here come from log buckets of 1 % width (off by at most 0.5 %); the report's are exact, from the rows.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from loadtests.buckets import bucket_index, bucket_value
from measurements.sample import NULL, OUTCOMES, PACKED, Outcome

FDS = Path("/proc/self/fd")
TIMED = (Outcome.ok, Outcome.timeout, Outcome.abandoned)


class LiveView:
    """Listens to flushed rows; `snapshot` describes the time since the one before and the run so far."""

    def __init__(self, stages: list[str]) -> None:
        self._stages = stages
        self._outcomes = np.zeros(len(OUTCOMES), dtype=np.int64)
        self._histogram: Counter[int] = Counter()
        self._recent: list[np.ndarray] = []
        self._cpu_s, self._at_s = time.process_time(), time.monotonic()

    def __call__(self, packed: np.ndarray) -> None:
        rows = packed[packed["seq"] >= 0]
        self._outcomes += np.bincount(rows["outcome"], minlength=len(OUTCOMES))
        self._recent.append(rows)
        timed = rows[np.isin(rows["outcome"], TIMED)]
        response_ms = (timed["done_ns"] - timed["intended_ns"]) / 1e6
        for bucket, number in zip(*np.unique(bucket_index(response_ms), return_counts=True), strict=True):
            self._histogram[int(bucket)] += int(number)

    def snapshot(self, in_flight: int, users: int) -> dict[str, Any]:
        at_s, cpu_s = time.monotonic(), time.process_time()
        elapsed_s = max(at_s - self._at_s, 1e-6)
        rows = np.concatenate(self._recent) if self._recent else np.empty(0, PACKED)
        self._recent.clear()
        sent = rows[rows["sent_ns"] != NULL]
        lateness_ms = (sent["sent_ns"] - sent["intended_ns"]) / 1e6
        done = rows[rows["done_ns"] != NULL]
        document = {
            "elapsed_s": elapsed_s,
            "ended": len(rows),
            "outcomes": {name: int(n) for name, n in zip(OUTCOMES, self._outcomes, strict=True) if n},
            "p50_ms": self._quantile(0.5),
            "p95_ms": self._quantile(0.95),
            "recent_p95_ms": float(np.quantile((done["done_ns"] - done["intended_ns"]) / 1e6, 0.95))
            if len(done)
            else None,
            "lateness_p99_ms": float(np.quantile(lateness_ms, 0.99)) if len(lateness_ms) else None,
            "stage": self._stages[int(rows["stage"].max())] if len(rows) else None,
            "in_flight": in_flight,
            "users": users,
            "cpu_cores": (cpu_s - self._cpu_s) / elapsed_s,
            "fds": sum(1 for _ in FDS.iterdir()) if FDS.is_dir() else None,
        }
        self._cpu_s, self._at_s = cpu_s, at_s
        return document

    def _quantile(self, q: float) -> float | None:
        total, upto = sum(self._histogram.values()), 0
        for bucket in sorted(self._histogram):
            upto += self._histogram[bucket]
            if upto >= q * total:
                return float(bucket_value(bucket))
        return None
