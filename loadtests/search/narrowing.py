"""Bisection where a trial tells most, then the ends of the bracket classified on fresh runs."""

from __future__ import annotations

from math import exp, log

from loadtests.search.course import LEAST_MEASURE_S
from loadtests.search.posterior import Posterior, blur
from loadtests.search.trying import HALF, SETTLE_SHARE, WIDTH, Trying
from loadtests.search.verdict import LEAST_ERROR, Verdict

SURE = 0.9
NEAR = 0.01
SEEN_ABOVE = 0.018  # so far above what a service completes, a classification sees its backlog grow
OVERHEAD_S = 4.0  # what a trial costs beside its load: a start, a drain, a pause
MOST_TRIALS = 60
LIMIT_S, FAR_ABOVE, WELL_KNOWN = 2.0, 1.2, 0.006  # the trial that measures a limit


class Narrowing:
    def __init__(self, trying: Trying) -> None:
        self._try, self._course = trying, trying.course

    def run(self) -> None:
        course = self._course
        self._measure_the_limit()
        while not self._try.over() and len(course.trials) < MOST_TRIALS:
            posterior = course.posterior()
            if self._found(posterior):
                course.ended = "found"
                return
            rate = self._end_to_classify(posterior)
            purpose = "bisection" if rate is None else "classification"
            if rate is None:
                rate, settle, measure = self._most_telling(posterior)
            else:
                settle, measure = self._try.end(rate)
            rate = min(rate, course.wishes.max_rps)
            if settle + measure > course.left_s:
                if course.left_s < max(2 * LEAST_MEASURE_S, 0.6 * (settle + measure)):
                    break
                settle, measure = SETTLE_SHARE * course.left_s, (1 - SETTLE_SHARE) * course.left_s
            done = self._try.one(rate, settle, measure, purpose)
            if done is None:
                return
            if done.verdict() is Verdict.GENERATOR_LIMIT and self._try.limited_here(rate):
                course.ceiling_rps = rate
                course.ended = f"at {rate:.3g} rps the generator is the limit, not the target"
                return
        course.ended = course.ended or "the budget is spent"

    def _measure_the_limit(self) -> None:
        """Where refusals are what failed: two seconds far above it say what a bucket is set to, and with that where to look."""
        course = self._course
        failed = [t for t in course.trials if t.verdict() is Verdict.FAIL]
        if not failed or (course.bucket and course.bucket.error_rps < WELL_KNOWN * course.bucket.rate_rps):
            return
        judged, rate = failed[-1].judgements["all"], min(2 * failed[-1].rate_rps, course.wishes.max_rps)
        refuses = judged.rejected > 0.5 * judged.errors > 0 and not judged.growth.grows
        if refuses and rate > FAR_ABOVE * failed[-1].rate_rps and course.left_s > LIMIT_S:
            self._try.one(rate, 0.0, LIMIT_S, "doubling", whole=True)

    def _found(self, posterior: Posterior) -> bool:
        """A pair of classified ends that is narrow and sure enough."""
        passed, failed = self._classified(Verdict.PASS), self._classified(Verdict.FAIL)
        pairs = [(a, b) for a in passed for b in failed if a < b <= a * (1 + WIDTH)]
        return any(posterior.between(a, b) >= SURE for a, b in pairs)

    def _classified(self, verdict: Verdict) -> list[float]:
        return [t.rate_rps for t in self._course.trials
                if t.request.purpose == "classification" and t.verdict() is verdict]  # fmt: skip

    def _end_to_classify(self, posterior: Posterior) -> float | None:
        """The ends of a bracket that likely holds the edge: around the guess first, then where the posterior has it, then,
        when no more than two such trials can be afforded, of whatever is left. None while narrowing comes first."""
        guess = self._untried_guess()
        if guess is not None:
            return guess
        lower, upper, held = posterior.window(exp(2 * HALF) - 1)
        if held < SURE:
            if self._course.left_s >= 2 * sum(self._try.end(lower)):
                return None
            return self._wider(posterior)
        below = any(abs(log(a / lower)) < NEAR for a in self._classified(Verdict.PASS))
        above = any(abs(log(b / upper)) < NEAR for b in self._classified(Verdict.FAIL))
        return self._missing(posterior, lower, upper, below, above)

    def _wider(self, posterior: Posterior) -> float | None:
        """An end of the bracket that holds nearly all of the posterior; further out where the one that was tried does not
        hold enough of it, None where it does."""
        lower, upper, middle = posterior.quantile(0.04), posterior.quantile(0.96), posterior.quantile(0.5)
        passed = [a for a in self._course.of(Verdict.PASS) if lower * (1 - 2 * NEAR) <= a < middle]
        failed = [b for b in self._course.of(Verdict.FAIL) if middle < b <= upper * (1 + 2 * NEAR)]
        if not passed or not failed:
            return self._missing(posterior, lower, upper, bool(passed), bool(failed))
        a, b = min(passed), max(failed)
        if posterior.between(a, b) >= SURE:
            return None
        if posterior.below(a) > 1 - posterior.below(b):
            return min(lower, a * (1 - NEAR))
        return max(upper, b * (1 + NEAR))

    def _missing(self, posterior: Posterior, lower: float, upper: float, below: bool, above: bool) -> float:
        """The end that is not shown yet; of two the one that is less sure, or, with one trial left, the one that no
        classification stands for."""
        if below != above:
            return upper if below else lower
        passes, fails = bool(self._classified(Verdict.PASS)), bool(self._classified(Verdict.FAIL))
        if passes != fails and self._course.left_s < 2 * sum(self._try.end(lower)):
            return upper if passes else lower
        return lower if posterior.below(lower) > 1 - posterior.below(upper) else upper

    def _most_telling(self, posterior: Posterior) -> tuple[float, float, float]:
        """(rate, settle, measure) of the trial that is expected to tell most about the edge per second."""
        best, most = (posterior.quantile(0.5), *self._try.bisection(posterior.quantile(0.5), HALF)), -1.0
        error_1s = self._course.error_1s()
        for p in (0.08, 0.2, 0.35, 0.5, 0.65, 0.8, 0.92):
            rate = posterior.quantile(p)
            settle, measure = self._try.bisection(rate, posterior.reach(rate, 0.35))
            seconds = settle + measure
            blurred = blur(rate, seconds, 0.5 * self._course.limit_s)
            gain = posterior.gain(rate, max(error_1s / seconds**0.5, LEAST_ERROR), seconds, blurred)
            gain /= seconds + OVERHEAD_S
            if gain > most:
                best, most = (rate, settle, measure), gain
        return best

    def _untried_guess(self) -> float | None:
        """The ends of a bracket around what a saturated service completed: where it is a cliff, that is all it takes."""
        guess = self._course.guess
        if guess is None or guess[1] > HALF:
            return None
        upper = guess[0] * exp(HALF)
        if guess[1] < HALF and guess[0] * exp(HALF) > self._course.served_rps:  # no edge lies above what is completed
            upper = max(upper, self._course.served_rps * (1 + SEEN_ABOVE))
        lower = upper * exp(-2 * HALF)
        passed, failed = self._course.of(Verdict.PASS), self._course.of(Verdict.FAIL)
        ends = [t for t in self._course.trials if t.request.purpose == "classification"]
        if not ends and max(passed, default=0.0) < upper < min(failed):
            return lower
        if len(ends) == 1 and ends[0].verdict() is Verdict.PASS and abs(log(ends[0].rate_rps / lower)) < 0.01:
            return upper
        return None
