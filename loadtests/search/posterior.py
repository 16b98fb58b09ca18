"""Where the edge lies, given what the trials showed: probabilistic bisection whose trials also say how sure they are.

Near the edge e the figure y that comes closest to its limit (p95, share of errors) grows as a power of the rate x:

    ln(y / limit) = β (ln x − ln e) + error of the trial

A cliff has a large β (M/M/1 has ρ/(1 − ρ): 10 at 91 % busy), a slope a small one. ln e and β have a posterior on a grid.
The error of ln y is read from the trials' own batches, so that lucky short trials cannot pass for sure ones; its tails are
Student's, so that one strange trial cannot either. A figure further than a factor of two from its limit says
only on which side it is: the power law holds near the edge. After Waeber, Frazier and Henderson, Bisection search with
noisy responses, SIAM J. Control Optim. 51(3), 2013, and, for the accuracy of a trial as a part of the posterior,
Rodríguez and Ludkovski, Generalized probabilistic bisection for stochastic root finding, ACM TOMACS 30(1), 2020.

A trial is blind to what needs longer than it lasts: at a rate above the edge by δ the wait grows by δ a second, so that
it reaches a wait w only after w/δ, and n arrivals show a growth only beyond about 3/√n of them. `blur` is the lesser of
the two; by 0.8 of it the rate that a trial speaks of lies below the rate that was sent, and by 0.5 of it it is uncertain.
It stops being true where a trial's outcome depends on the trials before it: a service that degrades for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gamma, log, pi, sqrt

import numpy as np
from scipy.special import ndtri, stdtr

LAPSE = 0.02
FREEDOM = 5
STUDENT = gamma((FREEDOM + 1) / 2) / (sqrt(pi * FREEDOM) * gamma(FREEDOM / 2))  # its density at 0
FAR = log(2)
STEEP = 10.0
STEEPNESS = np.geomspace(1.0, 150.0, 14)
POINTS = 900
GUESS_WEIGHT = 0.9


@dataclass(frozen=True)
class Seen:
    """A trial at `rate_rps` of `seconds`: ln(figure / limit), its standard error, and whether only the side counts
    (`log_ratio` is then the bound that it lies beyond, away from the edge)."""

    rate_rps: float
    log_ratio: float
    error: float
    seconds: float
    side: int = 0  # −1: at most log_ratio; 1: at least log_ratio; 0: log_ratio itself
    blur: float = 0.0


def seen(rate_rps: float, failed: bool, log_ratio: float | None, error: float, seconds: float, blurred: float) -> Seen:
    """What a verdict and its figure come to. Where the figure is None or contradicts the verdict (in-flight grew, the
    trial was cut), only the side counts."""
    if log_ratio is None or failed != (log_ratio > 0):
        return Seen(rate_rps, 0.0, error, seconds, 1 if failed else -1, blurred)
    if abs(log_ratio) > FAR:
        return Seen(rate_rps, FAR if failed else -FAR, error, seconds, 1 if failed else -1, blurred)
    return Seen(rate_rps, log_ratio, error, seconds, 0, blurred)


def blur(rate_rps: float, seconds: float, wait_s: float) -> float:
    """How far above the edge a rate can lie, relative to it, while a trial of that length shows no wait above `wait_s`."""
    return min(wait_s / seconds, 3 / sqrt(max(rate_rps * seconds, 1.0)), 0.5)


class Posterior:
    """Over ln(edge) and β, on a grid from `low_rps` to `high_rps`. `guess` (a rate, its relative standard deviation)
    draws most of the prior to it."""

    def __init__(
        self, low_rps: float, high_rps: float, trials: Sequence[Seen], guess: tuple[float, float] | None = None
    ) -> None:
        self.u = np.linspace(log(low_rps), log(high_rps), POINTS)
        prior = np.full(POINTS, 1 / POINTS)
        if guess:
            near = np.exp(-0.5 * ((self.u - log(guess[0])) / guess[1]) ** 2)  # its height falls out below
            if near.sum() > 0:
                prior = (1 - GUESS_WEIGHT) * prior + GUESS_WEIGHT * near / near.sum()
        logs = np.repeat(np.log(prior)[:, None], len(STEEPNESS), axis=1)
        for trial in trials:
            logs += np.log(self._likelihood(trial))
        weights = np.exp(logs - logs.max())
        self.joint = weights / weights.sum()
        self.mass = self.joint.sum(axis=1)
        self.cumulative = np.cumsum(self.mass)
        self._trials = trials

    def _likelihood(self, trial: Seen) -> np.ndarray:
        above = log(trial.rate_rps) - 0.8 * trial.blur - self.u
        error = np.sqrt(trial.error**2 + (0.5 * STEEPNESS * trial.blur) ** 2)[None, :]
        off = (trial.log_ratio - STEEPNESS[None, :] * above[:, None]) / error
        if trial.side:
            return LAPSE + (1 - 2 * LAPSE) * stdtr(FREEDOM, -trial.side * off)
        return LAPSE / (2 * FAR) + (1 - LAPSE) * STUDENT * (1 + off**2 / FREEDOM) ** (-(FREEDOM + 1) / 2) / error

    def quantile(self, p: float) -> float:
        """Rate below which the edge lies with probability p."""
        return float(np.exp(np.interp(p, self.cumulative, self.u)))

    def below(self, rate_rps: float) -> float:
        """Probability that the edge is below the rate."""
        return float(np.interp(log(rate_rps), self.u, self.cumulative, left=0.0, right=1.0))

    def between(self, lower_rps: float, upper_rps: float) -> float:
        return max(0.0, self.below(upper_rps) - self.below(lower_rps))

    def reach(self, rate_rps: float, share: float) -> float:
        """How far around the rate, as a logarithm, `share` of the posterior lies."""
        order = np.argsort(np.abs(self.u - log(rate_rps)))
        enough = int(np.searchsorted(np.cumsum(self.mass[order]), share))
        return float(np.abs(self.u - log(rate_rps))[order[min(enough, POINTS - 1)]])

    def window(self, width: float) -> tuple[float, float, float]:
        """(lower, upper, probability) of the bracket of that relative width which most likely holds the edge."""
        step = float(self.u[1] - self.u[0])
        long = max(1, min(round(log(1 + width) / step), POINTS - 1))
        held = self.cumulative[long:] - self.cumulative[:-long]
        at = int(np.argmax(held))
        return float(np.exp(self.u[at])), float(np.exp(self.u[at + long])), float(held[at])

    def gain(self, rate_rps: float, error: float, seconds: float, blurred: float) -> float:
        """Expected loss of entropy on ln e, in nats, by whether a trial at the rate passes or fails."""
        fails = self._likelihood(Seen(rate_rps, 0.0, error, seconds, 1, blurred))
        joint_fail = self.joint * fails
        chance = float(joint_fail.sum())
        after = [(chance, joint_fail), (1 - chance, self.joint - joint_fail)]
        expected = sum(p * _entropy(joint.sum(axis=1) / p) for p, joint in after if p > 1e-6)
        return _entropy(self.mass) - expected

    @property
    def steep(self) -> float:
        """Probability that β is at least 10: a cliff."""
        return float(self.joint.sum(axis=0)[STEEPNESS >= STEEP].sum())

    def seconds_for(self, width: float) -> float:
        """Further seconds of trials near the edge until its 90 % interval has the relative `width`. A trial of T seconds
        whose ln y has the error ε carries (β/ε)² of information on ln e, and ε falls as 1/√T."""
        middle = self.quantile(0.5)
        near = [t for t in self._trials if abs(log(t.rate_rps / middle)) < 0.3 and t.side == 0] or list(self._trials)
        if not near:
            return 0.0
        error_1s = float(np.median([t.error * sqrt(t.seconds) for t in near]))
        mean = float((self.mass * self.u).sum())
        now = max(float((self.mass * (self.u - mean) ** 2).sum()), 1e-12)
        wanted = (log(1 + width) / (2 * ndtri(0.95))) ** 2
        squares = float((self.joint.sum(axis=0) / STEEPNESS**2).sum())
        return max(0.0, (1 / wanted - 1 / now) * error_1s**2 * squares)


def _entropy(mass: np.ndarray) -> float:
    positive = mass[mass > 0]
    return float(-(positive * np.log(positive)).sum())
