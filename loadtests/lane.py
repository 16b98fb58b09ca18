"""The contract's lane: each arrival is one endpoint drawn by weight, sent without a greenlet of its own.

Connections are taken last-in first-out, so that few stay warm and the others go quiet; with identities that own a
loopback address each identity keeps to its own.
"""

from __future__ import annotations

from math import gcd
from time import monotonic_ns as now
from typing import Any

from gevent import get_hub

from loadtests.clock import StageClock
from loadtests.identities import addresses
from loadtests.judge import Judge, header
from loadtests.session import Session, limits
from loadtests.tokenizer import Count, counter
from loadtests.tokens import TokenStream
from loadtests.transport import Connection, Limits
from loadtests.wire import HAS_BODY
from measurements.sample import Outcome
from targets.contract import Contract, Endpoint
from targets.payload import Payloads, fraction

OK = Outcome.ok
LONGEST_PAUSE_S = 86_400.0  # a server may ask for any number of digits
RETRIED = (Outcome.connect_error, Outcome.rejected)
POOL_EXHAUSTED = "no free user: the pool is at its cap"


class Route:
    """One endpoint as the lane sends it."""

    def __init__(self, endpoint: Endpoint, session: Session, payloads: Payloads, count_tokens: Count | None) -> None:
        self.endpoint, self._session, self._payloads = endpoint, session, payloads
        self.count_tokens = count_tokens
        self.index = session.recorder.endpoint(endpoint.name)
        self.judge = Judge(endpoint.expect)
        self.limits = limits(endpoint)
        self.retries = endpoint.retries
        self.no_body = endpoint.method == "HEAD"
        self.streamed = endpoint.stream == "sse"
        self._constant = payloads.is_constant(endpoint)
        self._cache: dict[tuple[int, tuple[tuple[str, str], ...], str], bytes] = {}
        self._around: dict[int, tuple[bytes, bytes]] = {}

    def request(self, seq: int, replica: int, key: int) -> bytes:
        """`key` chooses the content; in a duet all versions get the same."""
        if replica in self._around:
            before, behind = self._around[replica]
            return before + self._session.heads.arrival(seq) + behind
        request = self._payloads.request(self.endpoint, key)
        head_key = (replica, tuple(request.header.items()), request.path)
        prepared_head = self._cache.get(head_key)
        if prepared_head is None:
            origin = self._session.origins[replica]
            prepared_head = self._session.heads.prepare(request.method, request.path, origin, request.header)
            if len(self._cache) < 4_096:
                self._cache[head_key] = prepared_head
        if self._constant:
            self._around[replica] = self._session.heads.around(prepared_head, request.body, request.method in HAS_BODY)
        return self._session.heads.head(prepared_head, seq, 0, request.body, request.method in HAS_BODY)


class Slot:
    """A connection with the arrival that it carries."""

    __slots__ = (

        "attempt",
        "connection",
        "deadline_ns",
        "first_sent_ns",
        "home",
        "intended_ns",
        "lane",
        "route",
        "seq",
        "stage",
        "stream",
        "user",
    )  # fmt: skip

    def __init__(self, lane: Lane, user: int, connection: Connection, home: list[Slot]) -> None:
        self.lane, self.user, self.connection, self.home = lane, user, connection, home
        self.stream: TokenStream | None = None
        connection.finish = self.ended

    def send(self, route: Route, seq: int, stage: int, intended_ns: int) -> None:
        self.route, self.seq, self.stage, self.intended_ns = route, seq, stage, intended_ns
        connection = self.connection
        if route.streamed:
            self.stream = TokenStream(route.count_tokens)
            connection.sink = self.stream.hear
        elif self.stream is not None:
            connection.sink = self.stream = None
        connection.keep_body = route.judge.needs_body
        self.lane.session.in_flight += 1
        self.attempt = 1
        request = route.request(seq, connection.origin.replica, self.lane.key(seq))
        connection.start(request, route.limits, route.no_body)

    def ended(self) -> None:
        connection, stream, lane = self.connection, self.stream, self.lane
        verdict = (connection.outcome, connection.error)
        if verdict[0] is OK:
            if stream is not None:
                verdict = stream.verdict()
                tokens = stream.counts()[0]
            else:
                tokens = 0
            if verdict[0] is OK or connection.status >= 400:
                verdict = self.route.judge(connection.status, connection.head, connection.body, tokens)
        if self.attempt > 1:
            connection.sent_ns = self.first_sent_ns  # the row spans all attempts
        if self.attempt <= self.route.retries and verdict[0] in RETRIED and self._again(verdict):
            return
        self.conclude(verdict)
        lane.next(self)

    def conclude(self, verdict: tuple[Outcome, str]) -> None:
        """Writes the arrival's row."""
        lane, connection, stream = self.lane, self.connection, self.stream
        lane.session.in_flight -= 1
        lane.session.finished(
            connection, self.seq, 0, self.stage, self.route.index, self.user, self.intended_ns, verdict, stream,
            self.attempt,
        )  # fmt: skip
        if connection.counted_bytes:
            connection.release()

    def _again(self, verdict: tuple[Outcome, str]) -> bool:
        """Sends once more after a pause; False when the pause would pass the deadline."""
        asked = header(self.connection.head, b"retry-after")
        pause_s = min(float(asked), LONGEST_PAUSE_S) if asked.isdigit() else 0.1 * 2 ** (self.attempt - 1)
        self.deadline_ns = self.connection.total_deadline_ns
        if now() + int(pause_s * 1e9) >= self.deadline_ns or self.lane.stopped:
            return False
        self.first_sent_ns = self.connection.sent_ns
        self.attempt += 1
        self.lane.pausing[self] = verdict
        timer = get_hub().loop.timer(pause_s)
        timer.start(self._resend, timer)
        return True

    def _resend(self, timer: Any) -> None:
        timer.close()
        if self.lane.pausing.pop(self, None) is None:
            return  # the run ended meanwhile, and the row is written
        if self.stream is not None:
            self.stream = TokenStream(self.route.count_tokens)
            self.connection.sink = self.stream.hear
        request = self.route.request(self.seq, self.connection.origin.replica, self.lane.key(self.seq))
        self.connection.start(request, Limits(self.deadline_ns - now()), self.route.no_body)


class Lane:
    """Open loop: `give` is the pump's. Closed loop: `start_closed`, then each slot asks `next` for more."""

    def __init__(
        self, session: Session, contract: Contract, payloads: Payloads, clock: StageClock, cap: int, *, duet: bool = False
    ) -> None:  # fmt: skip
        self.session, self._payloads, self._clock, self._cap = session, payloads, clock, cap
        self._duet = duet
        count = len(session.origins)
        self._strides = [stride for stride in range(1, count) if gcd(stride, count) == 1] or [1]
        used = [e for e in contract.endpoint if e.enabled and e.weight > 0]
        self._routes = {e.name: Route(e, session, payloads, counter(e, contract)) for e in used}
        self._only = next(iter(self._routes.values())) if len(self._routes) == 1 else None
        self._sources = addresses(contract)
        self._free: dict[tuple[int, int], list[Slot]] = {}
        self._think = contract.users.think_time_s
        self.users = 0
        self.pausing: dict[Slot, tuple[Outcome, str]] = {}
        self.closed = False
        self.stopped = False

    def end(self) -> None:
        """No further request; arrivals that wait for another attempt end as their last one did."""
        self.stopped = True
        while self.pausing:
            slot, verdict = self.pausing.popitem()
            slot.attempt -= 1
            slot.conclude(verdict)

    def give(self, seq: int, intended_ns: int, stage: int) -> None:
        route = self._only or self._routes[self._payloads.endpoint(self.key(seq)).name]
        replica = self._replica(seq, stage)
        home = self._home(seq, replica)
        if home:
            slot = home.pop()
        elif self.users < self._cap:
            slot = self._new(seq, replica, home)
        else:
            self.session.never_sent(seq, stage, route.index, -1, intended_ns, POOL_EXHAUSTED)
            return
        slot.send(route, seq, stage, intended_ns)

    def start_closed(self, users: int) -> None:
        self.closed = True
        for number in range(users):
            replica = self._replica(number, 0)
            self._continue(self._new(number, replica, self._home(number, replica)), now())

    def next(self, slot: Slot) -> None:
        """The slot is free again."""
        if not self.closed:
            slot.home.append(slot)
        elif not self.stopped:
            pause_s = self._pause(slot)
            intended_ns = slot.connection.done_ns + int(pause_s * 1e9)
            failed_at_once = slot.connection.outcome is Outcome.connect_error
            if pause_s or failed_at_once:  # a closed loop against a dead target must not spin
                timer = get_hub().loop.timer(pause_s or 0.05)
                timer.start(self._after_pause, timer, slot, intended_ns)
            else:
                self._continue(slot, intended_ns)

    def _after_pause(self, timer: Any, slot: Slot, intended_ns: int) -> None:
        timer.close()
        self._continue(slot, intended_ns)

    def _continue(self, slot: Slot, intended_ns: int) -> None:
        stage = self._clock.stage(intended_ns)
        if stage is None or self.stopped:
            self.stopped = True
            return
        seq = self._clock.take_seq()
        route = self._only or self._routes[self._payloads.endpoint(seq).name]
        slot.send(route, seq, stage, max(intended_ns, self._clock.start_ns))

    def _pause(self, slot: Slot) -> float:
        if not self._think:
            return 0.0
        if isinstance(self._think, tuple):
            low, high = self._think
            return low + (high - low) * fraction(self._payloads.seed, slot.seq, 7)
        return self._think

    def key(self, seq: int) -> int:
        """Which request arrival `seq` is: its own number; in a duet neighbours, one for each version, share one."""
        return seq // len(self.session.origins) if self._duet else seq

    def _replica(self, seq: int, stage: int) -> int:
        """Replicas in turn; in a duet the turn moves on by one with every stage, so that each is asked first as often, and
        among more than two each cycle goes round with another stride, so that nobody always comes after the same one."""
        count = len(self.session.origins)
        if not self._duet:
            return seq % count
        return (seq + stage) * self._strides[seq // count % len(self._strides)] % count

    def _home(self, seq: int, replica: int) -> list[Slot]:
        source = self._payloads.identity(self.key(seq)) % len(self._sources)
        home = self._free.get((replica, source))
        if home is None:
            home = self._free[replica, source] = []
        return home

    def _new(self, seq: int, replica: int, home: list[Slot]) -> Slot:
        source = self._sources[self._payloads.identity(self.key(seq)) % len(self._sources)]
        self.users += 1
        return Slot(self, self.users - 1, Connection(self.session.origins[replica], source), home)
