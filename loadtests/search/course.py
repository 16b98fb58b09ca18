"""The course of a search: a warm-up, doubling until a trial fails, bisection, and the ends classified on fresh runs.

Load-seconds are what it costs, so lengths are declared before each trial: short where the rate is far from the edge,
long at the ends that are published. A trial may be cut short only where its verdict cannot change (`verdict.Watch`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, log

import numpy as np

from loadtests.search.goal import Limits
from loadtests.search.posterior import Posterior, Seen, blur, seen
from loadtests.search.trial import Request, Rows, Trial
from loadtests.search.verdict import (
    LEAST_ERROR,
    NO_LIMIT_S,
    QUANTILES,
    UNSURE,
    Judgement,
    Served,
    Verdict,
    Watch,
    judge,
    served,
)
from measurements.sample import Outcome

WIDTH = 0.05
HALF = log(1.045) / 2  # the ends aim at a bracket a little narrower than 5 %
SURE = 0.9
WARM_UP_RPS, WARM_UP_S = 2.0, 2.0
STEP_S, STEP_REQUESTS = 1.2, 12
LEAST_MEASURE_S, MOST_MEASURE_S, LEAST_REQUESTS = 3.0, 16.0, 60
END_REQUESTS = 6000
END_S = (12.0, 28.0)  # a classification's measured time: at least, and at most for the limit's sake
SETTLE_SHARE = 0.15
NEAR = 0.01
SEEN_ABOVE = 0.018  # so far above what a service completes, a classification sees its backlog grow
OVERHEAD_S = 4.0  # what a trial costs beside its load: a start, a drain, a pause
ALIKE, LEAST_RPS = 0.9, 0.1
LIGHT = 0.25  # mean in flight, below which waiting is not what makes answers slow
MOST_TRIALS = 60


@dataclass(frozen=True)
class Wishes:
    """`first_rps` overrides where doubling begins; `max_rps` is never exceeded; `budget_s` are load-seconds."""

    budget_s: float = 120.0
    max_rps: float = float("inf")
    seed: int = 0


@dataclass(frozen=True)
class Done:
    """A trial that was run: its seconds under load, and what it said of the mix and of each endpoint."""

    request: Request
    seconds: float
    requests: int
    cut: str
    judgements: dict[str, Judgement]
    statuses: dict[int, int]
    served: Served | None
    cpu_share: float
    response_p50_s: float | None

    @property
    def rate_rps(self) -> float:
        return self.request.rate_rps

    def verdict(self, name: str = "all") -> Verdict:
        found = self.judgements.get(name)
        return found.verdict if found else Verdict.UNDECIDED


@dataclass
class Course:
    """Everything that was done; `ended` says why it went no further."""

    limits: Limits
    wishes: Wishes
    trials: list[Done] = field(default_factory=list)
    ended: str = ""
    stopped: str = ""
    ceiling_rps: float | None = None  # where the generator itself came to its limit

    @property
    def load_seconds(self) -> float:
        return sum(trial.seconds for trial in self.trials)

    @property
    def left_s(self) -> float:
        return self.wishes.budget_s - self.load_seconds

    def error_1s(self, name: str = "all") -> float:
        """The error of ln(figure) that a second of trial has, typically; it falls as 1/√seconds."""
        errors = [
            t.judgements[name].error * t.seconds**0.5
            for t in self.trials
            if t.verdict(name) in (Verdict.PASS, Verdict.FAIL) and 0.2 < t.judgements[name].ratio < 5
            and not t.cut and t.seconds >= LEAST_MEASURE_S
        ]  # fmt: skip
        return float(np.median(errors)) if errors else 1.0

    def seen(self, name: str = "all") -> list[Seen]:
        """The trials that passed or failed. Their errors are pooled: one's own is small where its figure happens to be
        small, and to weigh by it would draw the edge upwards."""
        told = [t for t in self.trials if t.verdict(name) in (Verdict.PASS, Verdict.FAIL)]
        error_1s = self.error_1s(name)
        found = []
        for trial in told:
            judged, seconds = trial.judgements[name], trial.request.duration_s
            failed = judged.verdict is Verdict.FAIL
            wait_s = 0.0 if failed else self.limit_s * min(judged.ratio, 1.0)
            log_ratio = None if trial.cut or judged.value is None else log(max(judged.ratio, 1e-9))
            error = max(error_1s / seconds**0.5, UNSURE if judged.error >= UNSURE else LEAST_ERROR)
            found.append(seen(trial.rate_rps, failed, log_ratio, error, seconds, blur(trial.rate_rps, seconds, wait_s)))
        return found

    @property
    def limit_s(self) -> float:
        """The longest limit on a time; without one, a wait of a second is what a trial is held against."""
        times = [v for metrics in self.limits.values() for metric, v in metrics.items() if metric.endswith("_ms")]
        return max(times) / 1000 if times else NO_LIMIT_S

    @property
    def _served(self) -> Served | None:
        return self._least_behind.served if self._least_behind else None

    @property
    def _least_behind(self) -> Done | None:
        behind = [t for t in self.trials if t.served and t.verdict() is Verdict.FAIL]
        return min(behind, key=lambda trial: trial.rate_rps, default=None)

    def _served_fails(self, name: str) -> bool:
        """Whether it was this endpoint that failed where the service was behind."""
        return self._least_behind is not None and self._least_behind.verdict(name) is Verdict.FAIL

    @property
    def served_rps(self) -> float:
        return self._served.rate_rps if self._served else 0.0

    @property
    def guess(self) -> tuple[float, float] | None:
        """Where a cliff would be (a rate, its relative standard deviation): below what a saturated service completed by
        as much as the limit needs. In heavy traffic a wait is exponential with the mean (c_a² + c_s²)/(2μ(1 − ρ))
        (Kingman 1962), so that 1 − ρ = ln(1/(1 − p)) (1 + c_s²) / (2 μ L) at a limit L on the p-quantile."""
        found = self._served
        if found is None:
            return None
        below = self._quantile_logs * (1 + min(found.dispersion, 3.0)) / (2 * found.rate_rps * self.limit_s)
        below = min(below, 0.3)
        return found.rate_rps * (1 - below), (0.008**2 + found.relative_error**2 + (0.35 * below) ** 2) ** 0.5

    @property
    def _quantile_logs(self) -> float:
        metrics = {metric.removesuffix("_ms").split("_p")[-1] for limits in self.limits.values() for metric in limits}
        logs = [log(1 / (1 - QUANTILES[name])) for name in metrics if name in QUANTILES]
        return max(logs, default=1.0 if "mean" in metrics else 0.0)

    def posterior(self, name: str = "all") -> Posterior:
        rates = [trial.rate_rps for trial in self.trials if trial.request.purpose != "warm_up"] or [1.0]
        return Posterior(
            min(rates) / 2, max(rates) * 2, self.seen(name), self.guess if self._served_fails(name) else None
        )

    def of(self, verdict: Verdict, name: str = "all") -> list[float]:
        return sorted(t.rate_rps for t in self.trials if t.verdict(name) is verdict and t.request.purpose != "warm_up")


class Search:
    """One search. `say` hears a sentence before and after each trial; `stop` gives a reason to end, or ""."""

    def __init__(
        self, trial: Trial, limits: Limits, wishes: Wishes, said: Callable[[Done], None] = lambda done: None,
        stop: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        self._trial, self._said, self._stop = trial, said, stop
        self.course = Course(limits, wishes)
        self._typical_s = 0.01

    def run(self) -> Course:
        """The whole course; what was done stands also where it is interrupted."""
        course = self.course
        warm = min(WARM_UP_RPS, course.wishes.max_rps)
        first = self._one(warm, 0.0, WARM_UP_S, "warm_up")
        if first is None or self._over():
            return course
        if first.response_p50_s is not None:
            self._typical_s = max(first.response_p50_s, 1e-3)
        if self._double() and not self._over():
            self._narrow()
        course.ended = course.stopped or course.ended
        return course

    # ------------------------------------------------------------------ doubling

    def _double(self) -> bool:
        """Until a trial fails; downwards where the first one does. True where there is an edge between two rates."""
        course, most = self.course, self.course.wishes.max_rps
        rate = min(max(WARM_UP_RPS, 0.4 / self._typical_s), most)
        down = False
        while not self._over():
            done = self._one(rate, *self._step(rate), "doubling")
            if done is None:
                return bool(course.of(Verdict.FAIL))
            verdict = done.verdict()
            if verdict is Verdict.GENERATOR_LIMIT and self._limited_here(rate):
                return self._ceiling(rate)
            if verdict is Verdict.GENERATOR_LIMIT:
                continue  # once more: it may have been a moment's
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
                if rate * self.course.left_s < STEP_REQUESTS:
                    return True
            elif rate >= most:
                return self._never_fails(most, f"--max-rate {most:g} was reached")
            else:
                rate = min(2 * rate, most)
        return bool(course.of(Verdict.FAIL))

    def _step(self, rate: float) -> tuple[float, float]:
        measure = max(STEP_S, 3 * self._typical_s, min(STEP_REQUESTS / rate, 4.0))
        return 0.0, min(measure, max(self.course.left_s / 4, STEP_S))

    def _light(self, done: Done) -> bool:
        """Waiting is not what it fails by: hardly anything was in flight, or half of the rate was answered no better."""
        judged = done.judgements["all"]
        if judged.growth.mean < LIGHT or done.rate_rps <= LEAST_RPS:
            return True
        twice = [t.judgements["all"] for t in self.course.trials[-3:] if t.rate_rps > 1.5 * done.rate_rps]
        alike = [t for t in twice if t.verdict is Verdict.FAIL and t.metric == judged.metric and not t.growth.grows]
        refused = judged.rejected > 0.5 * judged.errors > 0
        return bool(alike) and not refused and judged.ratio > ALIKE * alike[-1].ratio

    def _never_passes(self, rate: float) -> bool:
        """Shown on a fresh, longer run at half of the rate; if that passes, there is an edge after all."""
        settle, measure = self._end(rate / 2)
        done = self._one(rate / 2, settle, min(measure, self.course.left_s - settle), "classification")
        if done is not None and done.verdict() is Verdict.PASS:
            return True
        self.course.ended = "never_passes"
        return False

    def _never_fails(self, rate: float, why: str) -> bool:
        for _ in range(3):
            done = self._one(rate, *self._end(rate), "classification")
            if done is None or done.verdict() is not Verdict.GENERATOR_LIMIT:
                break
            self.course.ceiling_rps, rate = rate, rate / 1.15
        if done is not None and done.verdict() is Verdict.FAIL:
            return True
        self.course.ended = f"never_fails: {why}"
        return False

    def _ceiling(self, rate: float) -> bool:
        """The generator's own limit: the highest rate below it that it can still send, classified."""
        course = self.course
        low = max(course.of(Verdict.PASS), default=rate / 2)
        for _ in range(2):
            middle = (low * rate) ** 0.5
            done = self._one(middle, *self._step(middle), "doubling")
            if done is None:
                break
            if done.verdict() is Verdict.FAIL:
                return True
            low, rate = (middle, rate) if done.verdict() is Verdict.PASS else (low, middle)
        course.ceiling_rps = rate
        return self._never_fails(low, f"from {rate:.3g} rps on the generator is the limit, not the target")

    # ------------------------------------------------------------------ narrowing

    def _narrow(self) -> None:
        course = self.course
        while not self._over() and len(course.trials) < MOST_TRIALS:
            posterior = course.posterior()
            if self._found(posterior):
                course.ended = "found"
                return
            rate = self._end_to_classify(posterior)
            purpose = "bisection" if rate is None else "classification"
            if rate is None:
                rate, settle, measure = self._most_telling(posterior)
            else:
                settle, measure = self._end(rate)
            rate = min(rate, course.wishes.max_rps)
            if settle + measure > course.left_s:
                if course.left_s < max(2 * LEAST_MEASURE_S, 0.6 * (settle + measure)):
                    break
                settle, measure = SETTLE_SHARE * course.left_s, (1 - SETTLE_SHARE) * course.left_s
            done = self._one(rate, settle, measure, purpose)
            if done is None:
                return
            if done.verdict() is Verdict.GENERATOR_LIMIT and self._limited_here(rate):
                course.ceiling_rps = rate
                course.ended = f"at {rate:.3g} rps the generator is the limit, not the target"
                return
        course.ended = course.ended or "the budget is spent"

    def _found(self, posterior: Posterior) -> bool:
        """A pair of classified ends that is narrow and sure enough."""
        passed, failed = self._classified(Verdict.PASS), self._classified(Verdict.FAIL)
        pairs = [(a, b) for a in passed for b in failed if a < b <= a * (1 + WIDTH)]
        return any(posterior.between(a, b) >= SURE for a, b in pairs)

    def _classified(self, verdict: Verdict) -> list[float]:
        return [t.rate_rps for t in self.course.trials
                if t.request.purpose == "classification" and t.verdict() is verdict]  # fmt: skip

    def _end_to_classify(self, posterior: Posterior) -> float | None:
        """The ends of a bracket that likely holds the edge: around the guess first, then where the posterior has it, then,
        when no more than two such trials can be afforded, of whatever is left. None while narrowing comes first."""
        guess = self._untried_guess()
        if guess is not None:
            return guess
        lower, upper, held = posterior.window(exp(2 * HALF) - 1)
        if held < SURE:
            if self.course.left_s >= 2 * sum(self._end(lower)):
                return None
            lower, upper = posterior.quantile(0.04), posterior.quantile(0.96)
            passed, failed = self.course.of(Verdict.PASS), self.course.of(Verdict.FAIL)
            middle = posterior.quantile(0.5)
            below = any(lower * (1 - 2 * NEAR) <= a < middle for a in passed)
            above = any(middle < b <= upper * (1 + 2 * NEAR) for b in failed)
            if below and above:
                return None
        else:
            below = any(abs(log(a / lower)) < NEAR for a in self._classified(Verdict.PASS))
            above = any(abs(log(b / upper)) < NEAR for b in self._classified(Verdict.FAIL))
        if below == above:
            return lower if posterior.below(lower) > 1 - posterior.below(upper) else upper
        return upper if below else lower

    def _most_telling(self, posterior: Posterior) -> tuple[float, float, float]:
        """(rate, settle, measure) of the trial that is expected to tell most about the edge per second."""
        best, most = (posterior.quantile(0.5), *self._bisection(posterior.quantile(0.5), HALF)), -1.0
        error_1s = self.course.error_1s()
        for p in (0.08, 0.2, 0.35, 0.5, 0.65, 0.8, 0.92):
            rate = posterior.quantile(p)
            settle, measure = self._bisection(rate, posterior.reach(rate, 0.35))
            seconds = settle + measure
            blurred = blur(rate, seconds, 0.5 * self.course.limit_s)
            gain = posterior.gain(rate, max(error_1s / seconds**0.5, LEAST_ERROR), seconds, blurred)
            gain /= seconds + OVERHEAD_S
            if gain > most:
                best, most = (rate, settle, measure), gain
        return best

    def _untried_guess(self) -> float | None:
        """The ends of a bracket around what a saturated service completed: where it is a cliff, that is all it takes."""
        guess = self.course.guess
        if guess is None or guess[1] > HALF:
            return None
        upper = guess[0] * exp(HALF)
        if guess[1] < HALF and guess[0] * exp(HALF) > self.course.served_rps:  # no edge lies above what is completed
            upper = max(upper, self.course.served_rps * (1 + SEEN_ABOVE))
        lower = upper * exp(-2 * HALF)
        passed, failed = self.course.of(Verdict.PASS), self.course.of(Verdict.FAIL)
        ends = [t for t in self.course.trials if t.request.purpose == "classification"]
        if not ends and max(passed, default=0.0) < upper < min(failed):
            return lower
        if len(ends) == 1 and ends[0].verdict() is Verdict.PASS and abs(log(ends[0].rate_rps / lower)) < 0.01:
            return upper
        return None

    def _limited_here(self, rate: float) -> bool:
        """Not once, but again."""
        near = [r for r in self.course.of(Verdict.GENERATOR_LIMIT) if abs(log(r / rate)) < WIDTH]
        return len(near) >= 2

    def _bisection(self, rate: float, half_width: float) -> tuple[float, float]:
        """Long enough that a rate beyond the edge by `half_width` builds up more wait than the limit."""
        distance = float(np.clip(half_width, HALF, 0.35))
        least = LEAST_MEASURE_S * 0.35 / distance  # a short trial from an idle start flatters
        measure = float(np.clip(max(1.2 * self.course.limit_s / distance, least), LEAST_MEASURE_S, MOST_MEASURE_S))
        return self._settled(max(measure, min(LEAST_REQUESTS / rate, MOST_MEASURE_S), 6 * self._typical_s))

    def _end(self, rate: float) -> tuple[float, float]:
        measure = float(np.clip(1.2 * self.course.limit_s / HALF, *END_S))
        return self._settled(max(measure, min(END_REQUESTS / rate, END_S[1]), 10 * self._typical_s))

    def _settled(self, measure: float) -> tuple[float, float]:
        measure = min(measure, self.course.wishes.budget_s / 3)
        return SETTLE_SHARE * measure, measure

    # ------------------------------------------------------------------ one trial

    def _over(self) -> bool:
        course = self.course
        course.stopped = course.stopped or self._stop()
        if not course.stopped and course.left_s < LEAST_MEASURE_S / 2:
            course.ended = course.ended or "the budget is spent"
            return True
        return bool(course.stopped)

    def _one(self, rate: float, settle: float, measure: float, purpose: str) -> Done | None:
        """None where the search was stopped meanwhile: a trial that was interrupted says nothing."""
        course = self.course
        measure = min(measure, course.left_s - settle)
        if measure <= 0:
            return None
        number = len(course.trials) + 1
        seed = int(np.random.default_rng([course.wishes.seed, number]).integers(2**31))
        request = Request(number, rate, settle, measure, purpose, seed)
        rows = self._trial(request, Watch(request, course.limits))
        done = _done(rows, request, course.limits)
        course.trials.append(done)
        if done.response_p50_s is not None and purpose == "doubling" and done.verdict() is Verdict.PASS:
            self._typical_s = max(done.response_p50_s, 1e-3)
        self._said(done)
        course.stopped = course.stopped or self._stop()
        return None if course.stopped else done


def _done(rows: Rows, request: Request, limits: Limits) -> Done:
    found = judge(rows, request, limits)
    times = (rows.done_s - rows.intended_s)[rows.ok]
    refused = rows.status[rows.outcome == Outcome.rejected]
    codes, counts = np.unique(refused, return_counts=True)
    behind = found["all"].growth.grows or "out of hand" in rows.cut or found["all"].rejected > 0
    return Done(
        request=request,
        seconds=min(rows.elapsed_s, request.duration_s),
        requests=len(rows),
        cut=rows.cut,
        judgements=found,
        statuses={int(code): int(count) for code, count in zip(codes, counts, strict=True)},
        served=served(rows) if behind else None,
        cpu_share=rows.generator.cpu_share,
        response_p50_s=float(np.median(times)) if len(times) else None,
    )
