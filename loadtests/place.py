# cython: annotation_typing=True
"""Where a locustfile's requests belong: a run of ours (rows), or plain Locust (its statistics, made exact)."""

from __future__ import annotations

import secrets
from time import monotonic_ns as now
from typing import Any

from loadtests.client import Named
from loadtests.exact_stats import without_rounding
from loadtests.identities import Identities, Identity
from loadtests.judge import Judge
from loadtests.origin import Origin
from loadtests.pacing import Journey, Pace
from loadtests.recorder import MAX_NAMES
from loadtests.session import Session, limits
from loadtests.tokenizer import counter
from loadtests.tokens import TokenStream
from loadtests.transport import Connection, Limits, whole_ns
from loadtests.wire import HeadBuilder
from measurements.errors import UsageError
from measurements.sample import NULL, Outcome
from targets.contract import Contract
from targets.contract_file import load
from targets.payload import Payloads
from targets.urls import resolve

Step = tuple[int, int, int]  # seq, step, intended_ns
TURN = 1 << 40  # no run has so many arrivals: turns of one draw from places of their own
GOLDEN = 0.618


class RunPlace:
    """A run of ours: the journey gives the arrival's number and intended time, the session writes the row."""

    def __init__(
        self, session: Session, pace: Pace, contract: Contract | None, payloads: Payloads | None, timeout_s: float,
        setup_stage: int, listeners: list[Any],
    ) -> None:  # fmt: skip
        self.heads, self._session, self._pace = session.heads, session, pace
        self._payloads, self._timeout_s, self._setup_stage = payloads, timeout_s, setup_stage
        self._listeners, self._first_endpoint = listeners, pace.first_endpoint
        endpoints = contract.endpoint if contract else []
        self._counters = {e.name: counter(e, contract) for e in endpoints} if contract else {}
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self.known: dict[str, Named] = {}
        self._identities = Identities(contract, payloads) if contract else None

    def enter(self, user: Any) -> tuple[int, Identity]:
        """The number of a new user among this load process's, and the client that it is among those of all of them."""
        number = self._pace.users
        if self._identities is None:
            self._identities, self._payloads = _own_contract(user)
        return number, self._identities.of(number * self._pace.workers + self._session.recorder.worker)

    def origin(self, user: Any) -> Origin:
        return self._session.origins[user.number % len(self._session.origins)]

    def named(self, name: str) -> Named:
        found = self.known.get(name)
        if found is None:
            endpoint, number = self._endpoints.get(name), self._session.recorder.endpoint(name)
            judge = Judge(endpoint.expect) if endpoint else None
            limit = limits(endpoint) if endpoint else Limits(whole_ns(self._timeout_s))
            found = Named(name, number, judge, limit, self._counters.get(name))
            if len(self.known) < MAX_NAMES:
                self.known[name] = found
        return found

    def began(self, user: Any, name: str) -> Step:
        self._session.in_flight += 1
        journey: Journey | None = user.journey
        if journey is None or journey.over:
            user.setup_steps += 1
            return -1 - user.number, user.setup_steps - 1, now()
        step = journey.step
        journey.step = step + 1
        if step == 0 and user.current_task not in self._first_endpoint:
            self._first_endpoint[user.current_task] = name
        return journey.seq, step, journey.next_intended_ns

    def ended(
        self, user: Any, connection: Connection, method: str, named: Named, place: Step,
        verdict: tuple[Outcome, str], stream: TokenStream | None,
    ) -> None:  # fmt: skip
        session = self._session
        session.in_flight -= 1
        seq, step, intended_ns = place
        journey: Journey | None = user.journey
        stage = self._setup_stage
        if seq >= 0 and journey is not None:
            stage = journey.stage
            journey.next_intended_ns = max(journey.next_intended_ns, connection.done_ns)
        session.finished(connection, seq, step, stage, named.endpoint, user.number, intended_ns, verdict, stream)
        for listener in self._listeners:
            _fire(listener, connection, method, named.name, verdict)

    def data(self, user: Any, field: str, turn: int = 0) -> Any:
        if self._payloads is None:
            raise _no_data(user, field)
        journey: Journey | None = user.journey
        seq = journey.seq if journey else user.number
        return self._payloads.value(field, self._payloads.content_key(seq) + turn * TURN, user.identity)


class LocustPlace:
    """Plain Locust: every exchange fires the request event, with response times kept to 0.5 %."""

    def __init__(self, environment: Any, host: str) -> None:
        without_rounding()
        self._environment = environment
        self._origin = Origin.of(0, host, resolve(host))
        self.heads = HeadBuilder(secrets.token_hex(4))
        self.known: dict[str, Named] = {}
        self._count = self._drawn = 0
        self._users = 0
        self._payloads: Payloads | None = None
        self._identities: Identities | None = None
        _sweep_deadlines(self._origin)

    def enter(self, user: Any) -> tuple[int, Identity]:
        """Locust's own load processes do not know how many they are: each begins at a client of its own."""
        number, self._users = self._users, self._users + 1
        if self._identities is None:
            self._identities, self._payloads = _own_contract(user)
        index = int(getattr(self._environment.runner, "worker_index", 0) or 0)
        return number, self._identities.of(number + index * round(self._identities.count * GOLDEN))

    def origin(self, user: Any) -> Origin:
        return self._origin

    def named(self, name: str) -> Named:
        return Named(name, 0, None, Limits(30_000_000_000))

    def began(self, user: Any, name: str) -> Step:
        self._count += 1
        return self._count, 0, now()

    def ended(
        self, user: Any, connection: Connection, method: str, named: Named, place: Step,
        verdict: tuple[Outcome, str], stream: TokenStream | None,
    ) -> None:  # fmt: skip
        _fire(self._environment.events.request.fire, connection, method, named.name, verdict)

    def data(self, user: Any, field: str, turn: int = 0) -> Any:
        if self._payloads is None:
            raise _no_data(user, field)
        self._drawn += 1
        return self._payloads.value(field, self._drawn, user.identity)


def place_of(environment: Any, user_class: type[Any]) -> Any:
    """The place that the load process set up, or plain Locust's, made once per environment."""
    place = getattr(environment, "plimsoll_place", None)
    if place is None:
        host = environment.host or user_class.host
        if not host:
            raise UsageError("no host: run with --host http://127.0.0.1:8000, or set host in the user class")
        place = environment.plimsoll_place = LocustPlace(environment, host)
    return place


def _own_contract(user: Any) -> tuple[Identities, Payloads | None]:
    """Of the contract that the user's class names, where the run has none."""
    if user.contract is None:
        return Identities(None, None), None
    contract = load(user.contract)
    payloads = Payloads(contract, secrets.randbelow(2**31), secrets.token_hex(3))
    return Identities(contract, payloads), payloads


def _no_data(user: Any, field: str) -> UsageError:
    return UsageError(
        f"self.data({field!r}) needs a contract with [data]: run with plimsoll run CONTRACT, "
        f"or set contract = Path(…) in {type(user).__name__}"
    )


def _fire(call: Any, connection: Connection, method: str, name: str, verdict: tuple[Outcome, str]) -> None:
    outcome, error = verdict
    call(
        request_type=method,
        name=name,
        response_time=(connection.done_ns - connection.sent_ns) / 1e6,
        response_length=connection.bytes_in,
        exception=None if outcome is Outcome.ok else RuntimeError(error),
        context={},
        response=None,
        start_time=None,
        url=name,
    )


def _sweep_deadlines(origin: Origin) -> None:
    from gevent import get_hub

    def expire() -> None:
        at = now()
        for connection in [c for c in origin.open_connections if c.busy and c.deadline_ns <= at]:  # type: ignore[attr-defined]
            connection.expire()  # type: ignore[attr-defined]

    origin.sweep = get_hub().loop.timer(0.02, repeat=0.02)  # type: ignore[attr-defined]
    origin.sweep.start(expire)  # type: ignore[attr-defined]


__all__ = ["NULL", "LocustPlace", "RunPlace", "place_of"]
