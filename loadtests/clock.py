"""Which stage a moment belongs to, and the next arrival number of a closed loop; per worker, no clock of its own."""

from __future__ import annotations

from bisect import bisect_right

from loadtests.arrivals import Stage


class StageClock:
    def __init__(self, stages: list[Stage], start_ns: int, worker: int, workers: int) -> None:
        self.start_ns = start_ns
        self._ends_ns: list[int] = []
        at = 0.0
        for stage in stages:
            at += stage.duration_s
            self._ends_ns.append(start_ns + round(at * 1e9))
        self._worker, self._workers = worker, workers
        self.taken = 0

    @property
    def end_ns(self) -> int:
        return self._ends_ns[-1]

    def stage(self, at_ns: int) -> int | None:
        """Its index, or None once the run is over."""
        index = bisect_right(self._ends_ns, at_ns)
        return index if index < len(self._ends_ns) else None

    def take_seq(self) -> int:
        """Arrival numbers of a closed loop are striped over the workers as a schedule's are."""
        self.taken += 1
        return self._worker + (self.taken - 1) * self._workers
