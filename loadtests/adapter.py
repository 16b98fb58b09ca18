"""Rows from clients that are not ours: a plain HttpUser or FastHttpUser reports through Locust's request event.

Such a client knows neither when its connection stood nor when the first byte came: those columns stay null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import monotonic_ns as now
from typing import Any

from gevent import getcurrent

from loadtests.foreign import RedirectElsewhere
from loadtests.pacing import Pace
from loadtests.session import OWN_WORDS, Session
from loadtests.transport import OWN_FAULTS
from measurements.sample import NULL, Outcome

ERRNO = re.compile(r"\[Errno (\d+)\]")


class RequestEventRows:
    """A listener of `events.request`."""

    def __init__(self, session: Session, pace: Pace, setup_stage: int) -> None:
        self._session, self._recorder = session, session.recorder
        self._pace, self._setup_stage = pace, setup_stage
        self.seen = 0

    def place(self, user: Any) -> tuple[int, int]:
        """(arrival, step) of the user's next request; numbers below 0 where it works for no arrival."""
        journey = getattr(user, "journey", None)
        if journey is None or journey.over:
            return -1 - max(getattr(user, "number", NULL), 0), self.seen + 1
        return journey.seq, journey.step

    def __call__(
        self, request_type: str, name: str, response_time: float, response_length: int,
        exception: BaseException | None = None, response: Any = None, **_: Any,
    ) -> None:  # fmt: skip
        done_ns = now()
        sent_ns = done_ns - int((response_time or 0) * 1e6)
        user: Any = getattr(getcurrent(), "user", None)
        journey = getattr(user, "journey", None)
        number = getattr(user, "number", NULL)
        seq, step = self.place(user)
        self.seen += 1
        if journey is None or journey.over:
            stage, intended_ns = self._setup_stage, sent_ns
        else:
            stage, intended_ns = journey.stage, journey.next_intended_ns
            if step == 0:
                self._pace.first_endpoint.setdefault(user.current_task, name)
            journey.step += 1
            journey.next_intended_ns = max(intended_ns, done_ns)
            intended_ns = min(intended_ns, sent_ns)
        status = int(getattr(response, "status_code", 0) or 0) or NULL
        exception = getattr(response, "refused", None) or exception
        outcome = _outcome(status, exception)
        evidence = self._recorder.evidence
        error = _text(status, exception) if outcome is not Outcome.ok else ""
        if error in OWN_WORDS:
            faults = self._session.own_faults
            faults[error] = faults.get(error, 0) + 1
        error_id = evidence.error(error) if error else NULL
        self._recorder.row(
            seq, step, stage, self._recorder.endpoint(name), number, 0, intended_ns, sent_ns, NULL, NULL, NULL, done_ns,
            status, outcome, error_id, NULL, response_length or 0, NULL, NULL, 0, 1,
        )  # fmt: skip
        if evidence.wants(outcome, done_ns - intended_ns):
            times = (intended_ns, sent_ns, done_ns)
            document = self._session.example(seq, step, error, status, self._recorder.endpoint(name), *times)
            evidence.example(outcome, done_ns - intended_ns, document, _body(response))


def _outcome(status: int, error: BaseException | None) -> Outcome:
    if error is None:
        return Outcome.ok
    if isinstance(error, RedirectElsewhere):
        return Outcome.http_error
    if status in (429, 503):
        return Outcome.rejected
    if status >= 400:
        return Outcome.http_error
    text = f"{type(error).__name__} {error}".lower()
    if "timeout" in text or "timed out" in text:
        return Outcome.timeout
    if status >= 100:
        return Outcome.unexpected_body
    return Outcome.connect_error


def _body(response: Any) -> bytes:
    """What the client has read anyway: looking at an example must not wait for a stream."""
    for name in ("_content", "_cached_content"):
        body = getattr(response, name, None)
        if isinstance(body, bytes):
            return body
    return b""


def _text(status: int, error: BaseException | None) -> str:
    if isinstance(error, RedirectElsewhere):
        return str(error)
    if own := next((OWN_FAULTS[number] for number in _numbers(error) if number in OWN_FAULTS), ""):
        return own
    return f"status {status}" if status >= 400 else f"{type(error).__name__}: {error}"[:500]


def _numbers(error: BaseException | None) -> Iterator[int]:
    """The errno of an error and of what it was raised from; requests and urllib3 leave it in their text only."""
    seen = 0
    while error is not None and seen < 8:
        if isinstance(number := getattr(error, "errno", None), int):
            yield number
        if found := ERRNO.search(str(error)):
            yield int(found[1])
        error, seen = error.__cause__ or error.__context__, seen + 1
