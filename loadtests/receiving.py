"""The half of a connection that reads: pieces as they come, their framing, the parts of the body, and bounds on all of it.

The clock is read once per readable event, before parsing; of many streams the kernel read it (`stream_poll`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from time import monotonic_ns as now
from typing import Any

import httptools

from loadtests.bounds import LARGE_BODY_BYTES, MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_HELD_BYTES
from loadtests.known_heads import END, KnownHeads
from loadtests.opening import OWN_FAULTS
from loadtests.stream_poll import STAMP_ROOM, timespec
from loadtests.tls import TlsStream
from measurements.sample import NULL, Outcome

TOO_MUCH_HELD = f"ENOBUFS: answers over {MAX_HELD_BYTES >> 20} MiB held at once; lower the rate, or add --workers"
READ_BYTES, READS_AT_ONCE = 65_536, 8
# one for all connections: what was read is taken in before the next read, so that none needs 64 KiB of its own
BUFFER = bytearray(READ_BYTES)
VIEW, BUFFERS = memoryview(BUFFER), [BUFFER]
KNOWN = KnownHeads()


class Receiving:
    """What `transport.Connection` reads with; its fields are the connection's."""

    __slots__ = (
        "_complete",
        "_head_done",
        "_keep_alive",
        "_no_body",
        "_parser",
        "_recv_into",
        "_recvmsg_into",
        "body",
        "body_bytes",
        "busy",
        "bytes_in",
        "counted_bytes",
        "deadline_ns",
        "first_byte_ns",
        "head",
        "keep_body",
        "polled",
        "read_ns",
        "sink",
        "status",
        "stream",
        "total_deadline_ns",
    )  # fmt: skip
    held_bytes = 0  # of all large bodies of this process

    stream: socket.socket | TlsStream | None
    sink: Callable[[bytes, int], None] | None
    busy: bool
    keep_body: bool
    polled: bool
    head: bytes
    body: list[bytes]
    status: int
    bytes_in: int
    body_bytes: int
    counted_bytes: int
    first_byte_ns: int
    read_ns: int
    deadline_ns: int
    total_deadline_ns: int
    _recv_into: Callable[[bytearray], int]
    _recvmsg_into: Callable[[list[bytearray], int], tuple[int, list[tuple[int, int, bytes]], int, Any]]
    _parser: Any
    _no_body: bool
    _head_done: bool
    _complete: bool
    _keep_alive: bool

    def _succeed(self) -> None: ...
    def _end_of_stream(self) -> None: ...
    def _broken(self, error: OSError) -> None: ...
    def _fail(self, outcome: Outcome, error: str) -> None: ...
    def _join_the_poll(self) -> None: ...
    def close(self) -> None: ...

    def _on_readable(self) -> None:
        try:
            count = self._recv_into(BUFFER)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error)
            return
        self.read_ns = now()
        self._took(VIEW[:count])

    def _on_readable_tls(self) -> None:
        """Until it blocks: what was decrypted already makes no descriptor readable."""
        assert isinstance(self.stream, TlsStream)
        while self.stream is not None:
            try:
                data = self.stream.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._broken(error)
                return
            self.read_ns = now()
            if not self._took(data):
                return

    def on_polled(self, wall_to_monotonic_ns: int) -> None:
        """A stream among many: what came is timed by the kernel, since it may have come a while ago."""
        for _ in range(READS_AT_ONCE):
            try:
                count, notes, _, _ = self._recvmsg_into(BUFFERS, STAMP_ROOM)
            except BlockingIOError:
                return
            except OSError as error:
                self._broken(error)
                return
            at = now()
            if notes:
                seconds, ns = timespec(notes[0][2])
                came_ns = seconds * 1_000_000_000 + ns + wall_to_monotonic_ns
                if came_ns < at:
                    at = came_ns if came_ns > self.read_ns else self.read_ns
            self.read_ns = at
            if not self._took(VIEW[:count]) or count < READ_BYTES:
                return

    def _took(self, data: bytes | memoryview) -> bool:
        """Whether there may be more to read. `data` may be overwritten afterwards."""
        if not data:
            self._end_of_stream()
            return False
        if not self.busy:
            self.close()  # nobody asked: whatever it says is not an answer to the next request
            return False
        if self.first_byte_ns == NULL:
            self.first_byte_ns = self.read_ns
            self.deadline_ns = self.total_deadline_ns
            if self.sink is None and not self._no_body and self._is_known(bytes(data)):
                self._succeed()
                return False
        self.bytes_in += len(data)
        if not self._head_done:
            self.head += data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, MemoryError) as error:
            self._keep_alive = False
            if isinstance(error, MemoryError) or isinstance(error.__context__, MemoryError):
                self._fail(Outcome.protocol_error, OWN_FAULTS[errno.ENOMEM])
                return False
            if not self._complete:
                why = "it switches protocols" if isinstance(error, httptools.HttpParserUpgrade) else error
                self._fail(Outcome.protocol_error, f"not HTTP/1.1: {why}")
                return False
        if self._complete:
            if self._keep_alive and self.bytes_in == len(data) and not self._no_body:
                KNOWN.learn(self.head, self.status, self.body_bytes)
            self._succeed()
            return False
        if not self._head_done and len(self.head) > MAX_HEAD_BYTES:
            self._fail(Outcome.protocol_error, f"response head over {MAX_HEAD_BYTES} bytes")
            return False
        if self.body_bytes > LARGE_BODY_BYTES and (why := self._too_much()):
            self._fail(Outcome.protocol_error, why)
            return False
        if self.sink is not None and not self.polled and self._head_done:
            self._join_the_poll()
        return True

    def _is_known(self, piece: bytes) -> bool:
        """Whether this is a whole answer under a head that was read before; then its fields are set."""
        end = piece.find(END) + 4
        status = KNOWN.look(piece, end)
        if not status:
            return False
        self.status, self.head, self.bytes_in = status, piece, len(piece)
        self.body.append(piece[end:])
        self.body_bytes = len(piece) - end
        self._keep_alive = True
        return True

    def _too_much(self) -> str:
        """Why a large body is read no further, or ""."""
        if self.body_bytes > MAX_BODY_BYTES:
            return f"body over {MAX_BODY_BYTES} bytes"
        if self.keep_body:
            Receiving.held_bytes += self.body_bytes - self.counted_bytes
            self.counted_bytes = self.body_bytes
        return TOO_MUCH_HELD if Receiving.held_bytes > MAX_HELD_BYTES else ""

    def release(self) -> None:
        """Forgets a large body that nobody needs any more."""
        Receiving.held_bytes -= self.counted_bytes
        self.counted_bytes = 0
        self.body = []

    def on_headers_complete(self) -> None:
        if self._complete:
            raise ValueError("a second answer to one request")
        status = self._parser.get_status_code()
        if status >= 200:
            self.status, self._head_done = status, True
            if self._no_body:
                self._complete = True
                self._keep_alive = b"\nconnection: close" not in self.head.lower()

    def on_body(self, chunk: bytes) -> None:
        self.body_bytes += len(chunk)
        if self.sink is not None:
            self.sink(chunk, self.read_ns)
        if self.keep_body or not self.body:  # the first chunk is evidence, should this turn out an example
            self.body.append(chunk)

    def on_message_complete(self) -> None:
        if self._head_done:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()  # llhttp forgets it after this callback
        else:
            self.head = self.head.partition(b"\r\n\r\n")[2]  # a 1xx: the answer is still to come, or behind it
