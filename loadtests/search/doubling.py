"""Doubling until a trial fails; or the finding that none does, or that all do."""

from __future__ import annotations

from loadtests.search.course import Done
from loadtests.search.trying import STEP_REQUESTS, Trying
from loadtests.search.verdict import Verdict

WARM_UP_RPS = 2.0
SEEN_RPS, SEEN_S, MUCH_SLOWER = 20.0, 1.2, 5.0
ALIKE, LEAST_RPS = 0.9, 0.1
LIGHT = 0.25  # mean in flight, below which waiting is not what makes answers slow


class Doubling:
    def __init__(self, trying: Trying) -> None:
        self._try, self._course = trying, trying.course

    def run(self) -> bool:
        """Until a trial fails; downwards where the first one does. True where there is an edge between two rates."""
        course, most = self._course, self._course.wishes.max_rps
        rate = self._begin()
        down = False
        while not self._try.over():
            done = self._try.one(rate, *self._try.step(rate), "doubling")
            if done is None:
                return bool(course.of(Verdict.FAIL))
            verdict = done.verdict()
            if verdict is Verdict.GENERATOR_LIMIT and self._try.limited_here(rate):
                return self._ceiling(rate)
            if verdict is Verdict.GENERATOR_LIMIT:
                continue  # once more: it may have been a moment's
            if verdict is Verdict.UNDECIDED and self._try.too_short(done):
                continue  # once more, as long as its answers need
            if verdict is Verdict.FAIL:
                if course.of(Verdict.PASS) and min(course.of(Verdict.FAIL)) > max(course.of(Verdict.PASS)):
                    return True
                if self._light(done):
                    return self._never_passes(rate)
                down, rate = True, rate / 2
            elif down and verdict is Verdict.PASS:
                return True
            elif down:
                rate = rate / 2
                if rate * self._course.left_s < STEP_REQUESTS:
                    return True
            elif rate >= most:
                return self._never_fails(most, f"--max-rate {most:g} was reached")
            else:
                rate = min(2 * rate, most)
        return bool(course.of(Verdict.FAIL))

    def _begin(self) -> float:
        """Where a service with one place for its slowest answers would not be half busy. What asks for a slow endpoint now and
        then is tried at once, for longer: in two seconds of warm-up it may not have been asked for."""
        most, known_s = self._course.wishes.max_rps, self._try.typical_s
        rate = min(max(WARM_UP_RPS, 0.4 / known_s), most)
        if rate > WARM_UP_RPS:
            seen = self._try.one(min(SEEN_RPS, rate), 0.0, SEEN_S, "warm_up")
            if seen is not None and seen.slowest_p50_s and seen.slowest_p50_s > MUCH_SLOWER * known_s:
                self._try.typical_s = seen.slowest_p50_s
                rate = min(max(WARM_UP_RPS, 0.4 / seen.slowest_p50_s), most)
        return rate

    def _light(self, done: Done) -> bool:
        """Waiting is not what it fails by: hardly anything was in flight, or half of the rate was answered no better."""
        judged = done.judgements["all"]
        if judged.growth.mean < LIGHT or done.rate_rps <= LEAST_RPS:
            return True
        twice = [t.judgements["all"] for t in self._course.trials[-3:] if t.rate_rps > 1.5 * done.rate_rps]
        alike = [t for t in twice if t.verdict is Verdict.FAIL and t.metric == judged.metric and not t.growth.grows]
        refused = judged.rejected > 0.5 * judged.errors > 0
        return bool(alike) and not refused and judged.ratio > ALIKE * alike[-1].ratio

    def _never_passes(self, rate: float) -> bool:
        """Shown on a fresh, longer run at half of the rate; if that passes, there is an edge after all."""
        settle, measure = self._try.end(rate / 2)
        done = self._try.one(rate / 2, settle, min(measure, self._course.left_s - settle), "classification")
        if done is not None and done.verdict() is Verdict.PASS:
            return True
        self._course.ended = "never_passes"
        return False

    def _never_fails(self, rate: float, why: str) -> bool:
        for _ in range(3):
            done = self._try.one(rate, *self._try.end(rate), "classification")
            if done is None or done.verdict() is not Verdict.GENERATOR_LIMIT:
                break
            self._course.ceiling_rps, rate = rate, rate / 1.15
        if done is not None and done.verdict() is Verdict.FAIL:
            return True
        self._course.ended = f"never_fails: {why}"
        return False

    def _ceiling(self, rate: float) -> bool:
        """The generator's own limit: the highest rate below it that it can still send, classified."""
        course = self._course
        low = max(course.of(Verdict.PASS), default=rate / 2)
        for _ in range(2):
            middle = (low * rate) ** 0.5
            done = self._try.one(middle, *self._try.step(middle), "doubling")
            if done is None:
                break
            if done.verdict() is Verdict.FAIL:
                return True
            low, rate = (middle, rate) if done.verdict() is Verdict.PASS else (low, middle)
        course.ceiling_rps = rate
        return self._never_fails(low, f"from {rate:.3g} rps on the generator is the limit, not the target")
