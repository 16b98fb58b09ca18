"""What the parent is told once a second while the load runs: counts, rates, quantiles so far, the generator's health.

Outcomes and histogram are of the whole run so far, with a sequence number: a report replaces the one before it, and
several load processes' add up exactly.

Quantiles here come from log buckets of 1 % width (off by at most 0.5 %); the report's are exact, from the rows.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from loadtests.buckets import bucket_index, bucket_value
from measurements.sample import NULL, OUTCOMES, TIMED, Outcome

FDS = Path("/proc/self/fd")
BUCKETS = 2_304  # up to two hours; of one length for good, so that no second needs memory of another size
IS_TIMED = np.isin(np.arange(len(OUTCOMES)), [Outcome[name] for name in TIMED])


class LiveView:
    """Listens to flushed rows; `snapshot` describes the time since the one before and the run so far."""

    def __init__(self, stages: list[str]) -> None:
        self._stages = stages
        self._outcomes = np.zeros(len(OUTCOMES), dtype=np.int64)
        self._responses = _counts()  # of the whole run; the others since the last look
        self._recent_responses, self._lateness = _counts(), _counts()
        self._ended, self._stage = 0, -1
        self._cpu_s, self._at_s = time.process_time(), time.monotonic()
        self._sequence = 0

    def __call__(self, packed: np.ndarray) -> None:
        rows = packed[packed["seq"] >= 0] if (packed["seq"] < 0).any() else packed
        if not len(rows):
            return
        outcome, intended_ns, sent_ns = rows["outcome"], rows["intended_ns"], rows["sent_ns"]
        self._outcomes += np.bincount(outcome, minlength=len(OUTCOMES))
        responses = _counted((rows["done_ns"] - intended_ns)[IS_TIMED[outcome]])
        self._responses += responses
        self._recent_responses += responses
        self._lateness += _counted((sent_ns - intended_ns)[sent_ns != NULL])
        self._ended += len(rows)
        self._stage = max(self._stage, int(rows["stage"].max()))

    def snapshot(self, in_flight: int, users: int) -> dict[str, Any]:
        at_s, cpu_s = time.monotonic(), time.process_time()
        elapsed_s = max(at_s - self._at_s, 1e-6)
        self._sequence += 1
        found = np.flatnonzero(self._responses)
        document = {
            "sequence": self._sequence,
            "histogram": np.column_stack([found, self._responses[found]]),
            "elapsed_s": elapsed_s,
            "ended": self._ended,
            "outcomes": {name: int(n) for name, n in zip(OUTCOMES, self._outcomes, strict=True) if n},
            "p50_ms": _quantile_ms(self._responses, 0.5),
            "p95_ms": _quantile_ms(self._responses, 0.95),
            "recent_p95_ms": _quantile_ms(self._recent_responses, 0.95),
            "lateness_p99_ms": _quantile_ms(self._lateness, 0.99),
            "stage": self._stages[self._stage] if self._stage >= 0 else None,
            "in_flight": in_flight,
            "users": users,
            "cpu_cores": (cpu_s - self._cpu_s) / elapsed_s,
            "fds": len(os.listdir(FDS)) if FDS.is_dir() else None,  # noqa: PTH208  thousands of Paths take milliseconds
        }
        self._recent_responses[:] = self._lateness[:] = 0
        self._ended, self._stage = 0, -1
        self._cpu_s, self._at_s = cpu_s, at_s
        return document


def _counts() -> np.ndarray:
    return np.zeros(BUCKETS, dtype=np.int64)


def _counted(times_ns: np.ndarray) -> np.ndarray:
    """How many fall into each bucket, shape (BUCKETS,); the last holds whatever took longer."""
    return np.bincount(np.minimum(bucket_index(times_ns / 1e6), BUCKETS - 1), minlength=BUCKETS)


def _quantile_ms(counts: np.ndarray, q: float) -> float | None:
    upto = np.cumsum(counts)
    return float(bucket_value(int(np.searchsorted(upto, q * upto[-1])))) if upto[-1] else None
