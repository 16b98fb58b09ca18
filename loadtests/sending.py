"""The two ways of sending under one face: the contract's lane, and Locust users with their tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from locust import events as locust_events
from locust.env import Environment

from loadtests.adapter import RequestEventRows
from loadtests.clock import StageClock
from loadtests.foreign import under_our_rules
from loadtests.lane import Lane
from loadtests.locust_stats import StatsFeed
from loadtests.locustfile import user_classes
from loadtests.pacing import Pace, install
from loadtests.place import RunPlace
from loadtests.plan import LoadPlan
from loadtests.session import Session
from measurements.errors import UsageError
from targets.contract import Contract
from targets.payload import Payloads


class Sending(Protocol):
    """What a worker drives."""

    on_stop: Callable[[], None]
    exceptions: list[str]

    @property
    def users(self) -> int: ...
    @property
    def journeys(self) -> int: ...
    @property
    def client(self) -> str: ...
    def give(self, seq: int, intended_ns: int, stage: int) -> None: ...
    def start_closed(self, users: int) -> None: ...
    def end(self) -> None: ...
    def close(self) -> None: ...


Make = Callable[[Session, StageClock, int], Sending]


def prepare(plan: LoadPlan, contract: Contract | None) -> Make:
    """Reads files and imports the locustfile now; what comes back starts at once. `cap` users are this worker's share."""
    cap = max(1, plan.pool_cap // plan.workers)
    payloads = Payloads(contract, plan.seed, plan.nonce) if contract else None
    if plan.locustfile:
        classes = user_classes(Path(plan.locustfile))
        return lambda session, clock, setup: UserSending(plan, contract, payloads, classes, session, clock, cap, setup)
    if contract is None or payloads is None:
        raise UsageError("nothing to send: give a contract, or a locustfile with -f")
    return lambda session, clock, setup: LaneSending(plan, contract, payloads, session, clock, cap)


class LaneSending:
    """Contract runs."""

    client = "plimsoll"
    journeys = 0

    def __init__(
        self, plan: LoadPlan, contract: Contract, payloads: Payloads, session: Session, clock: StageClock, cap: int
    ) -> None:
        self.on_stop: Callable[[], None] = lambda: None
        self.exceptions: list[str] = []
        self._lane = Lane(session, contract, payloads, clock, cap, duet=plan.duet)
        self.give = self._lane.give

    @property
    def users(self) -> int:
        return self._lane.users

    def start_closed(self, users: int) -> None:
        self._lane.start_closed(users)

    def end(self) -> None:
        self.on_stop()
        self._lane.end()

    def close(self) -> None:
        """A lane keeps nothing."""


class UserSending:
    """Locustfiles: users are Locust's, spawned on demand up to the cap; each waits for its journey."""

    def __init__(
        self, plan: LoadPlan, contract: Contract | None, payloads: Payloads | None, classes: list[Any],
        session: Session, clock: StageClock, cap: int, setup_stage: int,
    ) -> None:  # fmt: skip
        self.on_stop: Callable[[], None] = lambda: None
        self.exceptions: list[str] = []
        listeners = list(locust_events.request._handlers)  # the locustfile's own, before the runner adds Locust's
        self._environment = environment = Environment(
            user_classes=classes, events=locust_events, host=plan.base_urls[0], stop_timeout=0
        )
        runner = environment.create_local_runner()
        locust_events.request._handlers = list(listeners)  # not Locust's own counting: our rows feed its statistics
        for user_class in classes:  # as Locust's runner does when it starts: an HttpUser asks its class for the host
            user_class.host = environment.host
        clients = contract.users.identities if contract else 1
        self._pace = pace = Pace(environment, session, clock, plan.seed, cap, plan.workers, clients)
        environment.plimsoll_place = RunPlace(session, pace, contract, payloads, plan.timeout_s, setup_stage, listeners)
        self._adapter = RequestEventRows(session, pace, setup_stage)
        self._let_go = under_our_rules(session, self._adapter.place)
        locust_events.request.add_listener(self._adapter)
        locust_events.user_error.add_listener(self._user_error)
        session.recorder.listeners.append(StatsFeed(runner.stats, session.recorder.endpoints, {}))
        self._restore = install(pace)
        self.give = pace.give
        locust_events.test_start.fire(environment=environment)

    @property
    def users(self) -> int:
        return self._pace.users

    @property
    def journeys(self) -> int:
        return self._pace.journeys

    @property
    def client(self) -> str:
        return "locust" if self._adapter.seen else "plimsoll"

    def start_closed(self, users: int) -> None:
        self._pace.start_closed(users)

    def end(self) -> None:
        self._pace.stopped = True
        self.on_stop()

    def close(self) -> None:
        self._environment.runner.user_greenlets.kill(timeout=1)
        locust_events.test_stop.fire(environment=self._environment)
        self._restore()
        self._let_go()

    def _user_error(self, user_instance: Any, exception: BaseException, tb: Any, **_: Any) -> None:
        sentence = f"{type(exception).__name__}: {exception}"[:300]
        if sentence not in self.exceptions and len(self.exceptions) < 20:
            self.exceptions.append(sentence)
