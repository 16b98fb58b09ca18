"""A service's real discipline, request by request, in virtual time: slots, queue, timeout, retries, replicas.

First come, first served: when a request comes, all that is ahead of it is known, so its start and its end follow at
once and no event list is needed; only retries wait in a heap. One million requests took 1.4 to 2.1 s of plain Python
on one core (a slow test holds it under 5 s), so there is neither SimPy nor a compiled kernel here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from math import inf
from typing import Literal

import numpy as np

OK, REJECTED, TIMEOUT = 0, 1, 2
Routing = Literal["random", "round_robin", "least_outstanding"]


@dataclass(frozen=True)
class Discipline:
    """Of one replica: `slots` run at once, `queue` wait (None: any number), the rest is refused at once.

    `timeout_s` counts from the arrival at the service, for the whole response or (`timeout_of`) only until a slot is
    found. When it passes, a waiting request leaves the queue if `cancels_waiting` (else its work is done for nobody)
    and a running one frees its slot if `cancels_running`. A client repeats a refused (and, if `retries_timeouts`, a timed
    out) request up to `retries` times: `retry_after_s` later, then each time `retry_growth` times as long. It gives up
    `patience_s` after its first attempt, which the service does not notice.
    """

    slots: int
    queue: int | None = None
    timeout_s: float = inf
    timeout_of: Literal["response", "wait"] = "response"
    cancels_waiting: bool = True
    cancels_running: bool = False
    retries: int = 0
    retry_after_s: float = 1.0
    replicas: int = 1
    routing: Routing = "random"
    retry_growth: float = 1.0
    retries_timeouts: bool = True
    patience_s: float = inf


@dataclass(frozen=True)
class Simulated:
    """`response_s` (n,): from the first attempt to the last answer; `outcome` (n,): OK, REJECTED or TIMEOUT.

    `busy_s`: slot-seconds worked, of which `wasted_s` for clients that had left; `attempts` with retries.
    """

    response_s: np.ndarray
    outcome: np.ndarray
    attempts: int
    busy_s: float
    wasted_s: float
    duration_s: float

    @property
    def loss(self) -> float:
        return float((self.outcome != OK).mean()) if len(self.outcome) else 0.0

    @property
    def throughput_rps(self) -> float:
        return float((self.outcome == OK).sum()) / self.duration_s if self.duration_s else 0.0

    def share(self, outcome: int) -> float:
        return float((self.outcome == outcome).mean())

    def quantile_s(self, p: float) -> float:
        """Over answers and timeouts, as measured percentiles are; refusals are left out. NaN without any."""
        timed = self.response_s[self.outcome != REJECTED]
        return float(np.quantile(timed, p, method="inverted_cdf")) if len(timed) else float("nan")


def poisson(rate_rps: float, requests: int, seed: int) -> np.ndarray:
    """Arrival times in seconds (requests,), exponential gaps."""
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate_rps, requests))


def resampled(service_s: np.ndarray, requests: int, seed: int) -> np.ndarray:
    """Service times drawn with replacement from measured ones."""
    return np.random.default_rng(seed).choice(np.asarray(service_s, dtype=float), requests)


def simulate(  # noqa: PLR0915 - one hot loop: a call per request would double its time
    arrivals_s: np.ndarray, service_s: np.ndarray, discipline: Discipline, seed: int = 1
) -> Simulated:
    """`arrivals_s` rising and `service_s` (n,) each, in seconds; the same seed gives the same routing."""
    n, replicas = len(arrivals_s), discipline.replicas
    queue = inf if discipline.queue is None else discipline.queue
    timeout_s, retries, again_s = discipline.timeout_s, discipline.retries, discipline.retry_after_s
    growth, patience_s, of_timeouts = discipline.retry_growth, discipline.patience_s, discipline.retries_timeouts
    cancels_waiting, cancels_running = discipline.cancels_waiting, discipline.cancels_running
    bounded, to_the_end = queue != inf, discipline.timeout_of == "wait"
    least = discipline.routing == "least_outstanding" and replicas > 1
    draw = np.random.default_rng(seed)
    first = (
        draw.integers(0, replicas, n).tolist() if discipline.routing == "random" else [k % replicas for k in range(n)]
    )
    free = [[0.0] * discipline.slots for _ in range(replicas)]
    waiting: list[deque[float]] = [deque() for _ in range(replicas)]
    here: list[tuple[float, int]] = []  # (leaves at, replica), only for least outstanding
    counts = [0] * replicas
    arrivals, service = arrivals_s.tolist(), service_s.tolist()
    response, outcome = [0.0] * n, [OK] * n
    repeats: list[tuple[float, int, int]] = []
    attempts, busy, wasted = 0, 0.0, 0.0
    k = 0
    while k < n or repeats:
        if repeats and (k >= n or repeats[0][0] < arrivals[k]):
            now, who, attempt = heappop(repeats)
            replica = int(draw.integers(replicas)) if replicas > 1 else 0
        else:
            now, who, attempt, replica = arrivals[k], k, 0, first[k]
            k += 1
        attempts += 1
        if least:
            while here and here[0][0] <= now:
                counts[heappop(here)[1]] -= 1
            replica = counts.index(min(counts))
        slots, line = free[replica], waiting[replica]
        soonest = slots[0]
        if soonest <= now:
            begin = now
        else:
            if bounded:
                while line and line[0] <= now:
                    line.popleft()
            if len(line) >= queue:
                again = now + again_s * growth**attempt
                if attempt < retries and again < arrivals[who] + patience_s:
                    heappush(repeats, (again, who, attempt + 1))
                else:
                    response[who], outcome[who] = now - arrivals[who], REJECTED
                continue
            begin = soonest
        work, limit = service[who], now + timeout_s
        end = begin + work
        if begin >= limit and cancels_waiting:
            leaves = limit
            if bounded:
                line.append(limit)
        else:
            if to_the_end and begin < limit:
                limit = inf
            leaves = end if end < limit else limit
            stops = limit if end > limit and begin < limit and cancels_running else end
            heapreplace(slots, stops)
            busy += stops - begin
            if end > limit:
                wasted += stops - begin
            if bounded and begin > now:
                line.append(begin)
        if least:
            heappush(here, (leaves, replica))
            counts[replica] += 1
        if leaves < end:
            again = limit + again_s * growth**attempt
            if of_timeouts and attempt < retries and again < arrivals[who] + patience_s:
                heappush(repeats, (again, who, attempt + 1))
                continue
            outcome[who] = TIMEOUT
        response[who] = leaves - arrivals[who]
    span = arrivals[-1] - arrivals[0] if n else 0.0
    response_s, outcomes = np.array(response), np.array(outcome, dtype=np.int8)
    outcomes[response_s > patience_s] = TIMEOUT
    return Simulated(np.minimum(response_s, patience_s), outcomes, attempts, busy, wasted, span)
