"""What the parent is told once a second while the load runs: counts, rates, quantiles so far, the generator's health.

Outcomes and histogram are of the whole run so far, with a sequence number: a report replaces the one before it, and
several load processes' add up exactly.

Quantiles here come from log buckets of 1 % width (off by at most 0.5 %); the report's are exact, from the rows.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from loadtests.buckets import bucket_index, by_bucket, quantile_ms
from measurements.sample import NULL, OUTCOMES, PACKED, TIMED, Outcome

FDS = Path("/proc/self/fd")
IS_TIMED = np.isin(np.arange(len(OUTCOMES)), [Outcome[name] for name in TIMED])


class Recent(NamedTuple):
    """Columns of rows that ended since the last look."""

    intended_ns: np.ndarray
    sent_ns: np.ndarray
    done_ns: np.ndarray
    stage: np.ndarray


NOTHING = Recent(*(np.empty(0, PACKED[name]) for name in Recent._fields))


class LiveView:
    """Listens to flushed rows; `snapshot` describes the time since the one before and the run so far."""

    def __init__(self, stages: list[str]) -> None:
        self._stages = stages
        self._outcomes = np.zeros(len(OUTCOMES), dtype=np.int64)
        self._histogram = np.zeros(0, dtype=np.int64)
        self._recent: list[Recent] = []
        self._cpu_s, self._at_s = time.process_time(), time.monotonic()
        self._sequence = 0

    def __call__(self, packed: np.ndarray) -> None:
        counted = packed["seq"] >= 0
        outcome = packed["outcome"][counted]
        recent = Recent(*(packed[name][counted] for name in Recent._fields))
        self._outcomes += np.bincount(outcome, minlength=len(OUTCOMES))
        self._recent.append(recent)
        response_ms = ((recent.done_ns - recent.intended_ns) / 1e6)[IS_TIMED[outcome]]
        more = np.bincount(bucket_index(response_ms))
        if len(more) > len(self._histogram):
            self._histogram, more = more, self._histogram
        self._histogram[: len(more)] += more

    def snapshot(self, in_flight: int, users: int) -> dict[str, Any]:
        at_s, cpu_s = time.monotonic(), time.process_time()
        elapsed_s = max(at_s - self._at_s, 1e-6)
        rows = Recent(*(np.concatenate(parts) for parts in zip(*(self._recent or [NOTHING]), strict=True)))
        self._recent.clear()
        lateness_ms = ((rows.sent_ns - rows.intended_ns) / 1e6)[rows.sent_ns != NULL]
        response_ms = ((rows.done_ns - rows.intended_ns) / 1e6)[rows.done_ns != NULL]
        self._sequence += 1
        counts = by_bucket(self._histogram)
        document = {
            "sequence": self._sequence,
            "histogram": list(counts.items()),
            "elapsed_s": elapsed_s,
            "ended": len(rows.stage),
            "outcomes": {name: int(n) for name, n in zip(OUTCOMES, self._outcomes, strict=True) if n},
            "p50_ms": quantile_ms(counts, 0.5),
            "p95_ms": quantile_ms(counts, 0.95),
            "recent_p95_ms": float(np.quantile(response_ms, 0.95)) if len(response_ms) else None,
            "lateness_p99_ms": float(np.quantile(lateness_ms, 0.99)) if len(lateness_ms) else None,
            "stage": self._stages[int(rows.stage.max())] if len(rows.stage) else None,
            "in_flight": in_flight,
            "users": users,
            "cpu_cores": (cpu_s - self._cpu_s) / elapsed_s,
            "fds": len(os.listdir(FDS)) if FDS.is_dir() else None,  # noqa: PTH208  thousands of Paths take milliseconds
        }
        self._cpu_s, self._at_s = cpu_s, at_s
        return document
