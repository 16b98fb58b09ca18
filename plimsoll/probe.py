"""How much to aim at when nobody named a rate: arrivals that grow by half until the service falls behind; also a warm-up.

Open loop, so that a slow service is not asked more slowly: a closed loop of a few users would only measure how long
they wait. The run that follows aims at the step that was too much, so its last stages lie past the edge, not far; where
a backlog was left, at twice what the service works off of it, since a backlog is seen late. An LLM engine reads all new
prompts before it answers any, so it gets time to show its pace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from loadtests.arrivals import Process, Stage
from loadtests.runner import Hooks, Runner
from measurements import frame
from measurements.errors import Interrupted, Refused, TargetUnreachable
from measurements.rundir import RunDirectory
from measurements.sample import Outcome
from plimsoll.placement import Placement
from plimsoll.spec import Spec, load_plan

FIRST_RPS, GROWTH, STEPS, STEP_S = 2.0, 1.5, 22, 1.5
ABOVE = 2.0
BEHIND = 64  # requests in flight beyond the places that are stated: far more than a service in balance holds
ENOUGH = 20
WORK_OFF_S = 12.0
WORK_OFF_MANY_S = 60.0  # many places at once: their answers come together, after the time that one takes
FEWER = 4  # times fewer open requests than the most crowded endpoint has: no backlog
MOST_OF_IT = 0.8  # the last answers of a backlog are the longest ones, which tell of their length, not of the pace


@dataclass(frozen=True)
class Probe:
    """`why` says what stopped the probe at `reached_rps`; `drained_rps` is what was answered afterwards, None where
    nothing was open. All in arrivals."""

    rate_rps: float
    why: str
    seconds: float
    ok: int
    reached_rps: float = 0.0
    drained_rps: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def rate(spec: Spec, urls: list[str], placement: Placement, folder: Path, stop: Callable[[], str | None]) -> Probe:
    """TargetUnreachable when nothing was answered at all. Refused where each request costs money."""
    if spec.contract and spec.contract.upstream and spec.contract.upstream.paid:
        raise Refused("a probe for the rate would spend money at the paid upstream; name the rate yourself with --rate")
    run = RunDirectory.create(folder, "probe")
    steps = [Stage(f"{k:02d}", STEP_S, FIRST_RPS * GROWTH**k, FIRST_RPS * GROWTH**k) for k in range(STEPS)]
    asked = replace(
        spec, users=None, rate_rps=FIRST_RPS, shape="load", warmup_s=0.0, workers=1, process=Process("constant")
    )
    plan = load_plan(asked, run.identity, urls, placement.generator, FIRST_RPS)
    off_s = work_off_s(spec)
    plan = replace(plan, stages=steps, drain_s=off_s, drain_stopped_s=off_s, pool_cap=4 * behind(spec))
    seen = _Seen(behind(spec))
    runner = Runner(plan, run)
    try:
        runner.prepare()
        runner.run(
            Hooks(
                progress=seen.take, stop=lambda: stop() or seen.why or None, hurry=lambda: bool(stop()) or seen.enough
            )
        )
    finally:
        runner.close()
    if stop():
        raise Interrupted("interrupted while probing for a rate; nothing was measured, what was started is stopped")
    if not seen.answered:
        raise TargetUnreachable(
            f"the service answered nothing in {seen.at_s:.0f} s; look at its log in {run.path.parent.parent}, "
            "try: plimsoll check, or name a rate with --rate"
        )
    reached = steps[min(int(seen.at_s / STEP_S), STEPS - 1)].start_rps
    drained = _drained(run)
    aim = reached if drained is None else min(reached, max(FIRST_RPS, ABOVE * drained))
    why = seen.why or "the highest step was carried"
    return Probe(_two_digits(aim), why, seen.at_s, seen.ok, reached, drained)


def behind(spec: Spec) -> int:
    """So many requests in flight are a backlog. What the contract's queues serve at a time is none yet: an engine of 256
    places holds 256 streams in balance."""
    return BEHIND + _places(spec)


def work_off_s(spec: Spec) -> float:
    """How long a backlog is watched. Before the first of many places is free again nothing is known of their pace: an
    engine of 256 whose answers take 20 s would look like one that does next to nothing."""
    return WORK_OFF_S if _places(spec) <= BEHIND else WORK_OFF_MANY_S


def _places(spec: Spec) -> int:
    queues = spec.contract.limits.queue.values() if spec.contract else ()
    return max((queue.max_concurrent for queue in queues), default=0)


def _drained(run: RunDirectory) -> float | None:
    run.finish_shards()
    found = frame.read(run)
    return drained_rps(found.step, found.endpoint, found.intended_ns, found.done_ns, found.outcome)


def drained_rps(
    step: np.ndarray, endpoint: np.ndarray, intended_ns: np.ndarray, done_ns: np.ndarray, outcome: np.ndarray
) -> float | None:
    """Arrivals a second at which most of what was open after the last arrival was answered; None where nothing was open.

    A saturated service works off its backlog at its own pace, which is its capacity; one that is only slow gives
    in-flight / latency, which by Little's law is what was offered a little earlier. Told by the endpoints that had
    requests open, each arrival having its mean number of requests to them: the others had no backlog.
    """
    arrivals = np.count_nonzero(step == 0)
    if not arrivals:
        return None
    last_ns = intended_ns[step == 0].max()
    is_open = (intended_ns <= last_ns) & (done_ns > last_ns)
    is_open &= np.isin(endpoint, _backed_up(endpoint[is_open]))
    answered_ns = np.sort(done_ns[is_open & (outcome == Outcome.ok)])
    most = int(np.ceil(MOST_OF_IT * np.count_nonzero(is_open)))
    if not most:
        return None
    done = min(most, len(answered_ns))
    end_ns = answered_ns[most - 1] if done == most else done_ns[is_open].max()
    requests_per_arrival = np.count_nonzero(np.isin(endpoint, np.unique(endpoint[is_open]))) / arrivals
    return done / max(float(end_ns - last_ns) / 1e9, 1e-3) / requests_per_arrival


def _backed_up(endpoint: np.ndarray) -> np.ndarray:
    """Of the open requests' endpoints those with a backlog; a request or two beside it were only on their way."""
    names, counts = np.unique(endpoint, return_counts=True)
    return names[counts * FEWER > counts.max(initial=0)]


class _Seen:
    """What the probe's progress says so far."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self.at_s = 0.0
        self.ok = self.answered = self._refused = self._ended = 0
        self.why = ""
        self._backlog = 0
        self.enough = False  # to know the pace at which a backlog is worked off, or that there is none

    def take(self, _: int, news: dict[str, Any]) -> None:
        if self.why:
            self.enough = not self.answered or news["in_flight"] <= (1 - MOST_OF_IT) * self._backlog
            return
        self.at_s += news["elapsed_s"]
        outcomes = news["outcomes"]
        ok, ended = outcomes.get("ok", 0), sum(outcomes.values())
        failed_now, ended_now = (ended - ok) - (self._ended - self.ok), ended - self._ended
        self.ok, self._ended = ok, ended
        self.answered = ended - sum(
            outcomes.get(name, 0) for name in ("timeout", "connect_error", "dropped", "abandoned")
        )
        if news["in_flight"] >= self._behind:
            self.why = f"{news['in_flight']} requests were in flight"
        elif ended >= ENOUGH and failed_now > 0.5 * max(ended_now, 1):
            self.why = f"{failed_now} of the last {ended_now} requests failed or were refused"
        self._backlog = news["in_flight"]


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")
