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
        self._last, self._from_ns, self._until_ns = 0, 0, 0  # the stage that was asked for last

    @property
    def end_ns(self) -> int:
        return self._ends_ns[-1]

    def stage(self, at_ns: int) -> int | None:
        """Its index, or None once the run is over."""
        if self._from_ns <= at_ns < self._until_ns:
            return self._last
        index = bisect_right(self._ends_ns, at_ns)
        if index == len(self._ends_ns):
            return None
        self._from_ns, self._until_ns = self._ends_ns[index - 1] if index else at_ns, self._ends_ns[index]
        self._last = index
        return index

    def take_seq(self) -> int:
        """Arrival numbers of a closed loop are striped over the workers as a schedule's are."""
        self.taken += 1
        return self._worker + (self.taken - 1) * self._workers
