"""`--shape failover` and `--shape rollout`: what is done to a service while the load goes on, and what it cost.

Both need replicas that we started ourselves, behind an nginx of ours; what is done is written down with its time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from loadtests.arrivals import Stage
from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory
from plimsoll.spec import Spec
from targets.balancer import Balancer
from targets.contract import Rollout
from targets.control import Deployment

if TYPE_CHECKING:
    from measurements.summary import Window

DRAIN_S = 35.0  # what is under way on a replica has so long before it is stopped


class Incident:
    """Begins with the first arrival, in a thread of its own; `steps` is what it did so far."""

    def __init__(
        self, spec: Spec, deployment: Deployment, balancer: Balancer, stages: list[Stage], say: Callable[[str], None]
    ) -> None:
        assert spec.contract is not None and spec.contract.target.control is not None
        self._deployment, self._balancer, self._say = deployment, balancer, say
        self._at_s, at_s = {}, 0.0
        for stage in stages:
            self._at_s[stage.name] = at_s
            at_s += stage.duration_s
        plan = spec.contract.target.control.rollout
        self._work = self._failover if spec.shape == "failover" else lambda: self._rollout(plan)
        self.steps: list[dict[str, Any]] = []
        self.fault = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._start_s = 0.0

    def start(self, start_ns: int) -> None:
        self._start_s = start_ns / 1e9
        self._thread.start()

    def close(self) -> None:
        """No further step; the one under way is waited for."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(120)

    def _run(self) -> None:
        try:
            self._work()
        except _LoadOver:
            pass
        except PlimsollError as error:
            self.fault = str(error)
        self._over.wait()  # the replicas started here die with this thread (PR_SET_PDEATHSIG, prctl(2))

    def _wait(self, stage: str) -> None:
        if self._over.wait(max(0.0, self._start_s + self._at_s[stage] - time.monotonic())):
            raise _LoadOver

    def _note(self, what: str, **more: Any) -> None:
        self.steps.append({"what": what, "at_s": round(time.monotonic() - self._start_s, 3), **more})
        self._say(f"{what} {more.get('replica', '')}".strip())
        if self._over.is_set():
            raise _LoadOver

    # ------------------------------------------------------------------ what is done

    def _failover(self) -> None:
        """The last replica is killed; for a while the balancer has to do without; then another takes its place."""
        self._wait("one-down")
        victim = self._deployment.base_urls[-1]
        self.steps.append({"what": "killed", "at_s": round(time.monotonic() - self._start_s, 3), "replica": victim})
        self._deployment.remove(victim, at_once=True)
        self._say(f"killed {victim}")
        self._wait("restored")
        url = self._deployment.add()
        self._balancer.use(self._deployment.base_urls)
        self._note("started", replica=url)

    def _rollout(self, plan: Rollout) -> None:
        self._wait("rolling")
        self._note("begun", strategy=plan.strategy)
        if plan.strategy == "blue-green":
            self._blue_green()
        else:
            self._rolling(plan)
        self._note("finished")

    def _blue_green(self) -> None:
        blue = list(self._deployment.base_urls)
        green = []
        for _ in blue:
            green.append(self._deployment.add())
            self._note("started", replica=green[-1])
        self._balancer.use(green)
        self._note("switched")
        self._retire(blue)

    def _rolling(self, plan: Rollout) -> None:
        """As Kubernetes' Deployment: never fewer than replicas - max_unavailable ready, never more than replicas +
        max_surge in all. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment"""
        old = list(self._deployment.base_urls)
        wanted, serving = len(old), list(old)
        least = max(1, wanted - plan.max_unavailable)
        fresh = 0
        while old or fresh < wanted:
            leaving: list[str] = []
            while old and len(serving) - 1 >= (least if fresh < wanted else wanted):
                leaving.append(old.pop(0))
                serving.remove(leaving[-1])
            if leaving:
                self._balancer.use(serving)
                self._retire(leaving)
            if fresh < wanted and len(serving) < wanted + plan.max_surge:
                url = self._deployment.add()
                fresh += 1
                serving.append(url)
                self._balancer.use(serving)
                self._note("started", replica=url)

    def _retire(self, urls: list[str]) -> None:
        """Out of the balancer already: what is under way ends, then the process is asked to."""
        drained = self._balancer.drained(DRAIN_S)
        for url in urls:
            self._deployment.remove(url)
            self._note("stopped", replica=url, drained=drained)


class _LoadOver(Exception):
    """The load has ended: what was not done yet is left."""


def found(
    shape: str, run: RunDirectory, incident: Incident, windows: list[Window]
) -> tuple[dict[str, Any], dict[str, Any] | None, str]:
    """(summary section, finding beside the SLOs or None, why the run cannot say it or nothing)."""
    from measurements import incidents  # with what it imports it would delay the first request

    end_s = max((window.end_s for window in windows), default=0.0)
    rows = incidents.rows(run)
    measure = incidents.failover if shape == "failover" else incidents.rollout
    section = measure(rows, incident.steps, end_s)
    section["sentences"] = incidents.sentences(shape, section)
    if not section["complete"] or incident.fault:
        longest = incident.fault or f"the {shape} was not over when the load ended; give it more --duration"
        return section, None, longest
    if shape == "failover":
        return section, None, ""
    lost = section["lost"]
    state = "missed" if lost else "met"
    finding = {"endpoint": "all", "metric": "rollout_lost", "limit": 0, "value": lost, "state": state, "sure": True}
    return section, finding, ""
