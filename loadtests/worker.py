"""One load process: Locust's environment and runner with our arrivals, client and recording under them.

Started by the runner as `python -P -m loadtests.worker FD`: orders come and news go as JSON lines over socket FD. When
that socket closes, the parent is gone, and the worker finishes what it has and ends.
"""

from __future__ import annotations

# gevent patches first, by way of Locust; this module is imported in load processes only
import locust  # noqa: F401  isort: skip
import gc
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns as now
from typing import Any

import gevent
import numpy as np
from gevent.event import Event

from loadtests import allowed, sending, stream_poll
from loadtests.arrivals import schedule
from loadtests.clock import StageClock
from loadtests.echo import Echo
from loadtests.evidence import Evidence
from loadtests.live import LiveView
from loadtests.locust_stats import Gathered
from loadtests.orders import Orders
from loadtests.origin import Origin
from loadtests.plan import LoadPlan
from loadtests.priority import own_core
from loadtests.pump import Pump
from loadtests.recorder import Recorder, sidecar
from loadtests.session import Session
from loadtests.warm_up import warm_up
from measurements.errors import PlimsollError
from measurements.host import boot_id
from measurements.redaction import Redactor, of_environment
from measurements.rundir import RunDirectory
from targets.contract_file import parse, secret_values

SETUP = "setup"
TELL_NS = 1_000_000_000
LATE_S = 0.5
BREATH_S = 0.0005  # not 0: only a timer lets the loop look at its descriptors


class Worker:
    def __init__(self, orders: Orders, number: int, plan: LoadPlan, run: RunDirectory) -> None:
        self._orders, self._number, self._plan, self._run = orders, number, plan, run
        self._stopping = ""
        self._load: sending.Sending | None = None

    def prepare(self) -> None:
        """Everything that takes time or can fail, before the clock starts."""
        plan = self._plan
        self._contract = parse(plan.contract, Path(plan.contract_folder) / "contract") if plan.contract else None
        verify = self._contract.target.verify_tls if self._contract else True
        pairs = zip(plan.base_urls, plan.addresses, strict=True)
        self._origins = [Origin.of(k, url, address, verify) for k, (url, address) in enumerate(pairs)]
        self._make = sending.prepare(plan, self._contract)
        warm_up()
        stream_poll.shared()
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)

    def work(self, start_ns: int) -> dict[str, Any]:
        """From the first arrival to the last row. Returns the final account."""
        plan, number = self._plan, self._number
        stages = [stage.name for stage in plan.stages]
        redact = Redactor([*(secret_values(self._contract) if self._contract else []), *of_environment()])
        evidence = Evidence(sidecar(self._run, "errors", number), sidecar(self._run, "examples", number), redact)
        recorder = Recorder(self._run, number, start_ns, [*stages, SETUP], evidence)
        view = LiveView([*stages, SETUP])
        recorder.listeners.append(view)
        for_the_ui = Gathered(recorder.endpoints, self._methods()) if plan.ui_host else None
        if for_the_ui is not None:
            recorder.listeners.append(for_the_ui)
        session = Session(plan.run, self._origins, recorder)
        clock = StageClock(plan.stages, start_ns, number, plan.workers)
        self._load = load_ = self._make(session, clock, len(stages))
        fault = ""
        pump = None
        echo = Echo()
        gevent.spawn(self._report, view, session, recorder, echo, for_the_ui)
        try:
            if plan.loop == "open":
                pump = Pump(self._blocks(), number, plan.workers, start_ns, load_.give)
                load_.on_stop = pump.stop
                pump.start()
                pump.done.wait()
                # the last stage goes on to its end after the last arrival
                self._sleep_until(clock.end_ns)
            else:
                self._sleep_until(start_ns)
                load_.start_closed(plan.users // plan.workers + (number < plan.users % plan.workers))
                self._sleep_until(clock.end_ns)
                load_.end()
            self._drain(session, load_)
        except PlimsollError as error:
            fault = str(error)
        finally:
            load_.end()
            session.abandon_all(self._stopping or "open at the end of the drain")
            self._done = True
            echo.close()
            try:
                recorder.flush()  # a locustfile's test_stop may read Locust's statistics: they are whole then
                load_.close()
                recorder.close()
            except PlimsollError as error:
                fault = fault or str(error)
            session.close()
        return {
            "rows": recorder.rows,
            "given": pump.given if pump else clock.taken,
            "recorded": recorder.arrivals,
            "own_faults": session.own_faults,
            "stale": session.stale,
            "users": load_.users,
            "client": load_.client,
            "exceptions": [redact(sentence) for sentence in load_.exceptions],
            "fault": fault,
        }

    def stop(self, why: str) -> None:
        """No further arrivals; what is open has until the drain's end, or ends at once on a second call."""
        if self._stopping:
            self._stop_now = True
        self._stopping = self._stopping or why
        if self._load is not None:
            self._load.end()

    _stop_now = False
    _done = False

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return schedule(self._plan.stages, self._plan.process, self._plan.seed)

    def _sleep_until(self, at_ns: int) -> None:
        while not self._stopping and (left_s := (at_ns - now()) / 1e9) > 0:
            gevent.sleep(min(left_s, 0.1))

    def _drain(self, session: Session, load_: sending.Sending) -> None:
        """Waits for what is open: the plan's drain, the shorter one once somebody asked to stop. The drain is the longest
        timeout, so what was sent last, and late, needs a moment more to come to its own."""
        until_ns = now() + int((self._plan.drain_s + LATE_S) * 1e9)
        asked_ns = None
        while (session.in_flight or load_.journeys) and now() < until_ns and not self._stop_now:
            if self._stopping and asked_ns is None:
                asked_ns = now()
                until_ns = min(until_ns, asked_ns + int(self._plan.drain_stopped_s * 1e9))
            gevent.sleep(0.02)

    def _methods(self) -> dict[str, str]:
        return {endpoint.name: endpoint.method for endpoint in self._contract.endpoint} if self._contract else {}

    def _report(
        self, view: LiveView, session: Session, recorder: Recorder, echo: Echo, for_the_ui: Gathered | None
    ) -> None:
        full = Event()
        recorder.when_full = full.set
        tell_ns = now() + TELL_NS
        while not self._done:
            full.wait(max(tell_ns - now(), 0) / 1e9)
            full.clear()
            if self._done:
                return
            told_now = now() >= tell_ns
            try:
                for _ in recorder.keep(until_now=told_now):
                    gevent.sleep(BREATH_S)
            except PlimsollError as error:
                self._orders.tell(event="fault", sentence=str(error))
                self.stop(str(error))
                return
            if self._done:
                return
            if not told_now:
                continue
            tell_ns = now() + TELL_NS
            users = self._load.users if self._load else 0
            told = view.snapshot(session.in_flight, users)
            if for_the_ui is not None:
                told |= {"added": for_the_ui.take(), "exceptions": self._load.exceptions if self._load else []}
            self._orders.tell(event="progress", worker=self._number, echo_us=echo.take(), **told)


def main(fd: int) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    orders = Orders(fd)
    first = orders.next()
    if first is None:
        return 1
    plan, number = LoadPlan.from_json(first["plan"]), first["worker"]
    scheduling = own_core(plan.cpus[number % len(plan.cpus)]) if plan.cpus else "shared"
    run = RunDirectory(Path(first["run_dir"]))
    run.hold()
    worker = Worker(orders, number, plan, run)
    gevent.signal_handler(signal.SIGTERM, worker.stop, "terminated")
    allowed.only(plan.addresses)
    try:
        worker.prepare()
    except PlimsollError as error:
        orders.tell(event="refused", sentence=str(error), exit_code=int(error.exit_code))
        return int(error.exit_code)
    orders.tell(event="ready", worker=number, pid=os.getpid(), boot_id=boot_id(), scheduling=scheduling)
    order = orders.next()
    if order is None or order["order"] != "start":
        return 0
    gevent.spawn(_obey, orders, worker)
    try:
        account = worker.work(order["start_ns"])
    except PlimsollError as error:
        orders.tell(event="fault", sentence=str(error))
        return int(error.exit_code)
    except Exception as error:
        traceback.print_exc()
        orders.tell(event="fault", sentence=f"the load process broke: {type(error).__name__}: {error}")
        return 3
    orders.tell(event="end", worker=number, **account)
    return 0


def _obey(orders: Orders, worker: Worker) -> None:
    while (order := orders.next()) is not None:
        worker.stop(order.get("why", "stopped"))
    worker.stop("the command that started the load is gone")
    worker.stop("")


if __name__ == "__main__":
    code = main(int(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)  # user greenlets and Locust's own must not keep the process
