"""One trial after another: how long each is to last, and when there may be no further one."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np

from loadtests.search.course import LEAST_MEASURE_S, Course, Done, Wishes, finished
from loadtests.search.goal import Limits
from loadtests.search.trial import Request, Trial
from loadtests.search.verdict import LEAST_ANSWERS, Verdict
from loadtests.search.watching import Watch

WIDTH = 0.05
HALF = log(1.045) / 2  # the ends aim at a bracket a little narrower than 5 %
STEP_S, STEP_REQUESTS = 1.2, 12
MOST_MEASURE_S, LEAST_REQUESTS = 16.0, 60
END_REQUESTS = 6000
END_S = (12.0, 28.0)  # a classification's measured time: at least, and at most for the limit's sake
SETTLE_SHARE = 0.15


class Trying:
    """`say` hears of each trial; `stop` gives a reason to end, or ""."""

    def __init__(
        self, trial: Trial, limits: Limits, wishes: Wishes, said: Callable[[Done], None] = lambda done: None,
        stop: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        self._trial, self._said, self._stop = trial, said, stop
        self.course = Course(limits, wishes)
        self.typical_s = 0.01

    def over(self) -> bool:
        course = self.course
        course.stopped = course.stopped or self._stop()
        if not course.stopped and course.left_s < LEAST_MEASURE_S / 2:
            course.ended = course.ended or "the budget is spent"
            return True
        return bool(course.stopped)

    def one(self, rate: float, settle: float, measure: float, purpose: str, whole: bool = False) -> Done | None:
        """None where the search was stopped meanwhile: a trial that was interrupted says nothing. `whole`: not cut short."""
        course = self.course
        measure = min(measure, course.left_s - settle)
        if measure <= 0:
            return None
        number = len(course.trials) + 1
        seed = int(np.random.default_rng([course.wishes.seed, number]).integers(2**31))
        request = Request(number, rate, settle, measure, purpose, seed)
        rows = self._trial(request, (lambda rows: "") if whole else Watch(request, course.limits))
        done = finished(rows, request, course.limits)
        course.trials.append(done)
        if done.slowest_p50_s and purpose == "doubling" and done.verdict() in (Verdict.PASS, Verdict.UNDECIDED):
            self.typical_s = max(done.slowest_p50_s, 1e-3)
        self._said(done)
        course.stopped = course.stopped or self._stop()
        return None if course.stopped else done

    def limited_here(self, rate: float) -> bool:
        """Not once, but again."""
        near = [r for r in self.course.of(Verdict.GENERATOR_LIMIT) if abs(log(r / rate)) < WIDTH]
        return len(near) >= 2

    def too_short(self, done: Done) -> bool:
        """For its own answers, where the next one will be longer."""
        lasted_s = done.request.measure_s
        return lasted_s < LEAST_ANSWERS * (done.slowest_first_s or 0.0) and self.step(done.rate_rps)[1] > lasted_s

    def step(self, rate: float) -> tuple[float, float]:
        """Where answers take long, settled until the first of them are back."""
        measure = max(STEP_S, 3 * self.typical_s, min(STEP_REQUESTS / rate, 4.0))
        settle = self.typical_s if self.typical_s > SETTLE_SHARE * STEP_S else 0.0
        return settle, min(measure, max(self.course.left_s / 4, STEP_S))

    def bisection(self, rate: float, half_width: float) -> tuple[float, float]:
        """Long enough that a rate beyond the edge by `half_width` builds up more wait than the limit."""
        distance = float(np.clip(half_width, HALF, 0.35))
        least = LEAST_MEASURE_S * 0.35 / distance  # a short trial from an idle start flatters
        measure = float(np.clip(max(1.2 * self.course.limit_s / distance, least), LEAST_MEASURE_S, MOST_MEASURE_S))
        return self.settled(max(measure, min(LEAST_REQUESTS / rate, MOST_MEASURE_S), 6 * self.typical_s))

    def end(self, rate: float) -> tuple[float, float]:
        measure = float(np.clip(1.2 * self.course.limit_s / HALF, *END_S))
        return self.settled(max(measure, min(END_REQUESTS / rate, END_S[1]), 10 * self.typical_s))

    def settled(self, measure: float) -> tuple[float, float]:
        measure = min(measure, self.course.wishes.budget_s / 3)
        return SETTLE_SHARE * measure, measure
