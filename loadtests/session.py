"""What all lanes of one worker share: origins, recorder, heads, the sweep over deadlines, the end of the run."""

from __future__ import annotations

from time import monotonic_ns as now
from typing import Any

from gevent import get_hub
from gevent.event import Event

from loadtests.opening import OWN_FAULTS
from loadtests.origin import Origin
from loadtests.receiving import TOO_MUCH_HELD
from loadtests.recorder import Recorder
from loadtests.tokens import TokenStream
from loadtests.transport import STALE, Connection, Limits, whole_ns
from loadtests.wire import HeadBuilder
from measurements.sample import NULL, Outcome
from targets.contract import Endpoint

SWEEP_S = 0.02
SETUP_STAGE = -1
OWN_WORDS = frozenset([*OWN_FAULTS.values(), TOO_MUCH_HELD])


def limits(endpoint: Endpoint) -> Limits:
    """The contract's deadlines of an endpoint."""
    parts_s = (endpoint.timeout_s, endpoint.first_byte_timeout_s or 0, endpoint.connect_timeout_s or 0)
    return Limits(*map(whole_ns, parts_s))


class Session:
    """`finished` turns a connection's result into a row; `in_flight` counts what has been sent and not ended."""

    def __init__(self, run: str, origins: list[Origin], recorder: Recorder) -> None:
        self.origins, self.recorder = origins, recorder
        self.heads = HeadBuilder(run)
        self.in_flight = 0
        self._looks_after = 0
        self.own_faults: dict[str, int] = {}
        self.stale = 0
        self.closing = ""
        self._sweep = get_hub().loop.timer(SWEEP_S, repeat=SWEEP_S)
        self._sweep.start(self._expire)

    def _expire(self) -> None:
        at = now()
        for origin in self.origins:
            late = [c for c in origin.open_connections if c.busy and c.deadline_ns <= at]  # type: ignore[attr-defined]
            for connection in late:
                connection.expire()  # type: ignore[attr-defined]

    def finished(
        self,
        connection: Connection,
        seq: int,
        step: int,
        stage: int,
        endpoint: int,
        user: int,
        intended_ns: int,
        verdict: tuple[Outcome, str],
        stream: TokenStream | None = None,
        attempt: int = 1,
    ) -> Outcome:
        """Writes the row of an exchange that has ended, however it ended."""
        outcome, error = verdict
        error_number = NULL
        evidence = self.recorder.evidence
        if error:
            if error in OWN_WORDS:
                self.own_faults[error] = self.own_faults.get(error, 0) + 1
            elif error is STALE:
                self.stale += 1
            error_number = evidence.error(error)
        tokens_in = tokens_out = NULL
        source, first_token_ns = 0, NULL
        if stream is not None:
            tokens_out, source, per_event = stream.counts()
            tokens_in, first_token_ns = stream.usage_in, stream.first_token_ns
            if stream.at_ns:
                self.recorder.stream(seq, step, stream.at_ns, per_event)
        c = connection
        self.recorder.row(
            seq, step, stage, endpoint, user, c.origin.replica, intended_ns, c.sent_ns, c.connect_ns, c.first_byte_ns,
            first_token_ns, c.done_ns, c.status, outcome, error_number, c.bytes_out, c.bytes_in, tokens_in, tokens_out,
            source, attempt,
        )  # fmt: skip
        self._looks_after -= 1
        if self._looks_after <= 0 and seq >= 0 and c.head:
            self._looks_after = self.recorder.timings.take(c.head, seq, step)
        response_ns = c.done_ns - intended_ns
        if response_ns > evidence.slow_ns or evidence.first[outcome] > 0:  # `wants`, without a call for each request
            document = self.example(seq, step, error, c.status, endpoint, intended_ns, c.sent_ns, c.done_ns)
            evidence.example(outcome, response_ns, document, b"".join(c.body))
        return outcome

    def example(
        self, seq: int, step: int, error: str, status: int, endpoint: int, intended_ns: int, sent_ns: int, done_ns: int
    ) -> dict[str, Any]:
        """What examples.jsonl says of an exchange beside its body."""
        start = self.recorder.start_ns
        return {
            "worker": self.recorder.worker, "seq": seq, "step": step, "error": error, "status": status,
            "traceparent": self.heads.trace(seq, step),
            "endpoint": self.recorder.endpoints[endpoint], "intended_ns": intended_ns - start,
            "sent_ns": sent_ns - start, "done_ns": done_ns - start, "response_ms": (done_ns - intended_ns) / 1e6,
        }  # fmt: skip

    def never_sent(self, seq: int, stage: int, endpoint: int, user: int, intended_ns: int, why: str) -> None:
        """An arrival that found no free user, or whose task made no request: one row all the same."""
        self.recorder.row(
            seq, 0, stage, endpoint, user, NULL, intended_ns, NULL, NULL, NULL, NULL, NULL, NULL, Outcome.dropped,
            self.recorder.evidence.error(why), 0, 0, NULL, NULL, 0, 0,
        )  # fmt: skip

    def abandon_all(self, why: str) -> None:
        """Whatever is still open at the end becomes a row of its own.

        On the loop, as every other end: from the main greenlet a switch to a user's would not come back.
        """
        self.closing = why
        done = Event()
        get_hub().loop.run_callback(self._abandon_open, why, done)
        done.wait()

    def _abandon_open(self, why: str, done: Event) -> None:
        try:
            for origin in self.origins:
                for connection in list(origin.open_connections):
                    if connection.busy:  # type: ignore[attr-defined]
                        connection.abandon(why)  # type: ignore[attr-defined]
        finally:
            done.set()

    def close(self) -> None:
        self._sweep.stop()
        for origin in self.origins:
            for connection in list(origin.open_connections):
                connection.close()  # type: ignore[attr-defined]
