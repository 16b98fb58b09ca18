"""Services whose truth is known, in virtual time: what a trial would have seen, without a clock or a socket."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from loadtests.arrivals import Process, Stage, schedule
from loadtests.search.trial import NEVER, Generator, Look, Request, Rows
from measurements.sample import Outcome

Draw = Callable[[np.random.Generator, int], np.ndarray]


def constant(seconds: float) -> Draw:
    return lambda random, n: np.full(n, seconds)


def exponential(mean_s: float) -> Draw:
    return lambda random, n: random.exponential(mean_s, n)


def lognormal(mean_s: float, cv: float) -> Draw:
    sigma = np.sqrt(np.log(1 + cv**2))
    return lambda random, n: random.lognormal(np.log(mean_s) - sigma**2 / 2, sigma, n)


@dataclass
class Queue:
    """`servers` with one line, first come first served. Each trial begins idle. `bucket`: (rate_rps, burst) of a token
    bucket in front that answers 429 at once. `fails`: share of answers that are errors. `generator_rps`: beyond it our
    own load process is at its limit."""

    service: Draw
    servers: int = 1
    seed: int = 1
    bucket: tuple[float, float] | None = None
    fails: float = 0.0
    generator_rps: float = float("inf")

    def __call__(self, request: Request, look: Look) -> Rows:
        random = np.random.default_rng([request.seed, self.seed])
        at_s = arrivals(request)
        n = len(at_s)
        outcome = np.where(random.random(n) < self.fails, int(Outcome.http_error), int(Outcome.ok))
        status = np.where(outcome == Outcome.ok, 200, 500)
        refused = self._refused(at_s)
        outcome[refused], status[refused] = int(Outcome.rejected), 429
        done_s = at_s + 0.001
        done_s[~refused] = through(at_s[~refused], self.service(random, int((~refused).sum())), self.servers)
        sent_s = at_s.copy()
        generator = Generator(0.3)
        if request.rate_rps > self.generator_rps:  # sent ever later, by a process that uses its whole core
            sent_s = np.maximum(at_s, np.arange(n) / self.generator_rps)
            done_s, generator = sent_s + (done_s - at_s), Generator(0.97)
        nothing = np.full(n, np.nan)
        rows = Rows(at_s, sent_s, done_s, outcome, status, np.zeros(n, dtype=int), nothing, nothing, ["ask"],
                    request.duration_s, generator)  # fmt: skip
        return watched(rows, request, look)

    def _refused(self, at_s: np.ndarray) -> np.ndarray:
        if self.bucket is None:
            return np.zeros(len(at_s), dtype=bool)
        rate, burst = self.bucket
        tokens, last, refused = burst, 0.0, np.zeros(len(at_s), dtype=bool)
        for k, at in enumerate(at_s):
            tokens, last = min(burst, tokens + (at - last) * rate), at
            refused[k] = tokens < 1
            tokens -= not refused[k]
        return refused


def arrivals(request: Request) -> np.ndarray:
    stages = [
        Stage(name, seconds, request.rate_rps, request.rate_rps)
        for name, seconds in (("settle", request.settle_s), ("measure", request.measure_s))
        if seconds > 0
    ]
    return np.concatenate([times for times, _ in schedule(stages, Process("poisson"), request.seed)] or [np.empty(0)])


def through(at_s: np.ndarray, work_s: np.ndarray, servers: int) -> np.ndarray:
    """When each is done (Kiefer and Wolfowitz 1955)."""
    free = [0.0] * servers
    done = np.empty(len(at_s))
    for k, (at, work) in enumerate(zip(at_s.tolist(), work_s.tolist(), strict=True)):
        end = max(at, free[0]) + work
        heapq.heapreplace(free, end)
        done[k] = end
    return done


def watched(rows: Rows, request: Request, look: Look) -> Rows:
    """As a live trial is: looked at once a second, cut where the look says so, drained for half a minute."""
    for second in range(1, int(request.duration_s) + 1):
        reason = look(rows.known_at(float(second)))
        if reason:
            kept = rows.where(rows.intended_s <= second)
            given_up = kept.done_s > second + 30.0
            return replace(
                kept,
                done_s=np.where(given_up, NEVER, kept.done_s),
                outcome=np.where(given_up, int(Outcome.abandoned), kept.outcome),
                elapsed_s=float(second),
                cut=reason,
            )
    return rows
