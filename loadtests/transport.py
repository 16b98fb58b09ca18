"""HTTP/1.1 on gevent's loop: one keep-alive connection with a read watcher that stays armed.

`start` writes a request and returns; when the answer is whole, or cannot be, `finish` is called from a loop callback
with the result in the connection's own fields. A greenlet waits with `finish = greenlet.switch`, the contract's lane
chains the next request from it: one transport for both. The clock is read once per readable event, before parsing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic_ns as now
from typing import Any, NamedTuple

import gevent
import httptools
from gevent import get_hub

from loadtests import stream_poll
from loadtests.opening import OWN_FAULTS, connect, connect_failure, reason
from loadtests.origin import Origin
from loadtests.posting import post
from loadtests.receiving import Receiving
from loadtests.tls import TlsStream
from measurements.sample import NULL, Outcome

OK = Outcome.ok
INTERNET = (socket.AF_INET, socket.AF_INET6)
RACE_AFTER_NS = 1_000_000_000  # servers keep idle connections for seconds: an earlier close is what the service did
STALE = "keep-alive race: the server closed the idle connection while the request was on its way"


class Limits(NamedTuple):
    """How long a request may take, in ns from its start: in all, until the first byte of the answer, until the
    connection stands (0: no such limit)."""

    total_ns: int
    first_byte_ns: int = 0
    connect_ns: int = 0


LONGEST_S = 1e9  # thirty years: whoever says more means never


def whole_ns(seconds: float) -> int:
    return int(min(seconds, LONGEST_S) * 1e9)


def nothing() -> None:
    """The `finish` of a connection that nobody waits for."""


class Connection(Receiving):
    """Carries one exchange at a time. Result fields: sent_ns, connect_ns, first_byte_ns, done_ns, status, outcome,
    error, bytes_out, bytes_in, head, body; NULL (-1) where there is none."""

    __slots__ = (
        "_answer_deadline_ns",
        "_fresh",
        "_gevent_socket",
        "_opening",
        "_request",
        "_unsent",
        "_watcher",
        "_write_watcher",
        "bytes_out",
        "connect_ns",
        "done_ns",
        "error",
        "finish",
        "origin",
        "outcome",
        "sent_ns",
        "source",
        "used_ns",
    )  # fmt: skip

    def __init__(self, origin: Origin, source: str | None = None) -> None:
        self.origin, self.source = origin, source
        self.stream: socket.socket | TlsStream | None = None
        self.finish: Callable[[], object] = nothing
        self.sink: Callable[[bytes, int], None] | None = None
        self.keep_body = True
        self.busy = self.polled = False
        self.used_ns = self.counted_bytes = 0
        self._watcher: Any = None
        self._write_watcher: Any = None
        self._opening: Any = None
        self._unsent: memoryview | None = None
        self._fresh = self._keep_alive = False

    # ------------------------------------------------------------------ sending

    def start(self, request: bytes, limits: Limits, no_body: bool = False) -> None:
        """Sends `request` (head and body). `no_body`: the answer to a HEAD ends with its head. Every field of a result
        is set anew."""
        if self.counted_bytes:
            self.release()
        self.sent_ns = at = now()
        total_ns, first_byte_ns, connect_ns = limits
        self.deadline_ns = self.total_deadline_ns = at + total_ns
        if first_byte_ns:
            self.deadline_ns = at + min(total_ns, first_byte_ns)
        self.busy = True
        self.connect_ns = self.first_byte_ns = self.done_ns = self.status = NULL
        self.outcome, self.error = OK, ""
        self.bytes_out = self.bytes_in = self.body_bytes = 0
        self.head = b""
        self.body: list[bytes] = []
        self._head_done = self._complete = False
        self._no_body = no_body
        if self.stream is not None and at - self.used_ns > self.origin.idle_limit_ns:
            self.close()
        if self.stream is None:
            self._answer_deadline_ns = self.deadline_ns
            if connect_ns:
                self.deadline_ns = min(self.deadline_ns, at + connect_ns)
            self.origin.open_connections.add(self)
            self._opening = gevent.spawn(self._open_and_send, request)
        else:
            self._fresh = at - self.used_ns < RACE_AFTER_NS
            self._request = request
            post(self)

    def _open_and_send(self, request: bytes) -> None:
        """On a greenlet of its own; one that is no longer `_opening` (its deadline passed) changes nothing."""
        me = gevent.getcurrent()
        try:
            sock, stream = connect(self.origin, self.source, (self.deadline_ns - now()) / 1e9)
        except OSError as error:
            if self._opening is me:
                self._opening = None
                if self.busy:
                    self._fail(*connect_failure(error, self.origin))
            return
        if self._opening is not me:
            sock.close()
            return
        self._opening = None
        self._install(sock, stream)
        self.connect_ns = now()
        self.deadline_ns = self._answer_deadline_ns
        self._send(request)

    def _install(self, sock: Any, stream: socket.socket | TlsStream) -> None:
        origin = self.origin
        self._gevent_socket = sock
        self.stream = stream
        self._fresh = True
        self.used_ns = now()
        self._parser = httptools.HttpResponseParser(self)
        self._watcher = get_hub().loop.io(stream.fileno(), 1)
        if isinstance(stream, TlsStream):
            self._watcher.start(self._on_readable_tls)
        else:
            self._recv_into, self._recvmsg_into = stream.recv_into, stream.recvmsg_into
            self._watcher.start(self._on_readable)
        origin.open_connections.add(self)

    def _join_the_poll(self) -> None:
        """While this answer streams in."""
        poll = stream_poll.shared()
        stream = self.stream
        if poll is None or stream is None or isinstance(stream, TlsStream) or stream.family not in INTERNET:
            return
        self._watcher.stop()
        poll.join(self, stream)
        self.polled = True

    def _leave_the_poll(self) -> None:
        poll = stream_poll.shared()
        assert poll is not None and self.stream is not None
        poll.leave(self.stream.fileno())
        self.polled = False

    def send_posted(self) -> None:
        """At the end of the loop's turn."""
        if self.busy and self.stream is not None:
            self.sent_ns = now()
            self._send(self._request)

    def _send(self, request: bytes) -> None:
        assert self.stream is not None
        self.bytes_out = len(request)
        try:
            sent = self.stream.send(request)
        except BlockingIOError:
            sent = len(request) if isinstance(self.stream, TlsStream) else 0
        except OSError as error:
            self._broken_soon(error)
            return
        if sent < len(request) or (isinstance(self.stream, TlsStream) and self.stream._unsent):
            self._unsent = memoryview(request)[sent:]
            self._write_watcher = get_hub().loop.io(self.stream.fileno(), 2)
            self._write_watcher.start(self._on_writable)

    def _on_writable(self) -> None:
        assert self.stream is not None and self._unsent is not None
        try:
            sent = self.stream.send(bytes(self._unsent[:262_144]))
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error)
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._stop_writing()

    def _stop_writing(self) -> None:
        self._unsent = None
        if self._write_watcher is not None:
            self._write_watcher.stop()
            self._write_watcher.close()
            self._write_watcher = None

    # ------------------------------------------------------------------ ending

    def _succeed(self) -> None:
        self.done_ns = self.used_ns = self.read_ns
        if not self._keep_alive or self._unsent is not None:
            self.close()
        elif self._no_body:
            self._parser = httptools.HttpResponseParser(self)  # this one still waits for the body that will not come
        if self.polled:
            self._leave_the_poll()
            self._watcher.start(self._on_readable)
        self.busy = self._fresh = False
        self.finish()

    def _end_of_stream(self) -> None:
        if not self.busy:
            self.origin.learn_idle_limit(self.read_ns - self.used_ns)
            self.close()
        elif self._head_done and _is_close_delimited(self.head):
            self.done_ns = self.read_ns
            self.close()
            self._end()
        elif self.first_byte_ns == NULL:
            self._fail(Outcome.connect_error, "closed before an answer" if self._fresh else STALE)
        else:
            self._fail(Outcome.protocol_error, "closed in the middle of the answer")

    def _broken(self, error: OSError) -> None:
        if not self.busy:
            self.close()
        elif error.errno in OWN_FAULTS:
            self._fail(Outcome.connect_error, OWN_FAULTS[error.errno])
        elif self.first_byte_ns == NULL:
            self._fail(Outcome.connect_error, reason(error) if self._fresh else STALE)
        else:
            self._fail(Outcome.protocol_error, f"{reason(error)} in the middle of the answer")

    def _broken_soon(self, error: OSError) -> None:
        """`finish` is only ever called from the loop, never inside `start`."""
        get_hub().loop.run_callback(self._broken, error)

    def expire(self) -> None:
        """The deadline has passed."""
        waiting_for = (
            "the answer's end" if self._head_done else "an answer" if self._opening is None else "a connection"
        )
        self._fail(Outcome.timeout, f"timeout while waiting for {waiting_for}")

    def abandon(self, why: str) -> None:
        self._fail(Outcome.abandoned, why)

    def _fail(self, outcome: Outcome, error: str) -> None:
        if self._opening is not None:
            self._opening.kill(block=False)
            self._opening = None
        self.outcome, self.error, self.done_ns = outcome, error, now()
        self.close()
        self._end()

    def _end(self) -> None:
        if self.busy:
            self.busy = self._fresh = False
            self.finish()

    def close(self) -> None:
        self._stop_writing()
        self.origin.open_connections.discard(self)
        if self.stream is None:
            return
        if self.polled:
            self._leave_the_poll()
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        self.stream = None
        self._gevent_socket.close()


def _is_close_delimited(head: bytes) -> bool:
    top = head[: head.find(b"\r\n\r\n") + 2].lower()
    return b"\r\ncontent-length:" not in top and b"\r\ntransfer-encoding:" not in top
