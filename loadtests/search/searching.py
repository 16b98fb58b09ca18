"""The course of a search: a warm-up, doubling until a trial fails, bisection, and the ends classified on fresh runs."""

from __future__ import annotations

from collections.abc import Callable

from loadtests.search.course import Course, Done, Wishes
from loadtests.search.doubling import WARM_UP_RPS, Doubling
from loadtests.search.goal import Limits
from loadtests.search.narrowing import Narrowing
from loadtests.search.trial import Trial
from loadtests.search.trying import Trying

WARM_UP_S = 2.0


class Search:
    """One search; the parameters are `Trying`'s."""

    def __init__(
        self, trial: Trial, limits: Limits, wishes: Wishes, said: Callable[[Done], None] = lambda done: None,
        stop: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        self._try = Trying(trial, limits, wishes, said, stop)

    @property
    def course(self) -> Course:
        return self._try.course

    def run(self) -> Course:
        """The whole course; what was done stands also where it is interrupted."""
        course = self.course
        warm = min(WARM_UP_RPS, course.wishes.max_rps)
        first = self._try.one(warm, 0.0, WARM_UP_S, "warm_up")
        if first is None or self._try.over():
            return course
        if first.slowest_p50_s:
            self._try.typical_s = max(first.slowest_p50_s, 1e-3)
        if Doubling(self._try).run() and not self._try.over():
            Narrowing(self._try).run()
        course.ended = course.stopped or course.ended
        return course
