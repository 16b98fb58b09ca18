"""HTTP/1.1 on a bare asyncio protocol with llhttp: one write per event, nothing per token but a byte string."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

from targets.reference.llm.driver import clock_ns

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 32 * 1024 * 1024
_REASONS = {
    200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found", 405: b"Method Not Allowed",
    413: b"Content Too Large", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large",
    500: b"Internal Server Error", 502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout",
}  # fmt: skip
Headers = list[tuple[bytes, bytes]]


class Request:
    """A request read to its end. Header names are lower case; `received_ns` is when its last byte was read."""

    __slots__ = ("body", "headers", "http_1_0", "keep_alive", "method", "path", "received_ns")

    def __init__(self) -> None:
        self.method = b""
        self.path = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.received_ns = 0
        self.keep_alive = True
        self.http_1_0 = False


class Exchange:
    """The answer to one request. `on_disconnect` is called when the client leaves before its end."""

    __slots__ = ("_chunked", "_connection", "_keep_alive", "on_disconnect", "write")

    def __init__(self, connection: "Connection", request: Request) -> None:
        self._connection = connection
        self._keep_alive = request.keep_alive
        self._chunked = not request.http_1_0
        self.write = connection.transport.write  # for frames already made by `frame`
        self.on_disconnect: Callable[[], object] | None = None

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        self.write(self._head(status, headers) + b"content-length: %d\r\n\r\n" % len(body) + body)
        self._done()

    def begin(self, status: int, headers: Headers, first: bytes = b"") -> None:
        """Send the head of a streamed answer, and its first bytes in the same write."""
        coding = b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n"
        self.write(self._head(status, headers) + coding + (self.frame(first) if first else b""))

    def frame(self, data: bytes) -> bytes:
        """Data as it goes on the wire in a streamed answer."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    @property
    def chunked(self) -> bool:
        return self._chunked

    def end(self, last: bytes = b"") -> None:
        """Send the last bytes of a streamed answer and its end in one write."""
        data = self.frame(last) if last else b""
        self.write(data + b"0\r\n\r\n" if self._chunked else data)
        self._done()

    def break_off(self) -> None:
        """Close the connection in the middle of the answer."""
        self.on_disconnect = None
        self._connection.transport.close()

    def _head(self, status: int, headers: Headers) -> bytes:
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        close = b"" if self._keep_alive else b"connection: close\r\n"
        return b"HTTP/1.1 %d %b\r\n%b%b" % (status, _REASONS.get(status, b"Status"), lines, close)

    def _done(self) -> None:
        self.on_disconnect = None
        self._connection.finished(close=not self._keep_alive)


Handler = Callable[[Request, Exchange], None]


class Connection(asyncio.Protocol):
    """One client connection: requests in order, answers in order."""

    def __init__(self, handler: Handler, open_connections: "set[Connection]") -> None:
        self._handler, self._open = handler, open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Request] = deque()
        self._current: Exchange | None = None
        self._reading = Request()
        self._body: list[bytes] = []
        self._head_bytes = self._body_bytes = self._read_ns = 0
        self._failed = self._answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self._queue.clear()
        if self._current and self._current.on_disconnect:
            self._current.on_disconnect()
        self._current = None

    def data_received(self, data: bytes) -> None:
        self._read_ns = clock_ns()
        if self._failed:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(400, b"upgrades are not supported\n")
        except httptools.HttpParserError as error:
            if not self._failed:
                self._fail(400, f"not a valid HTTP/1.1 request: {error}\n".encode())

    # llhttp's callbacks
    def on_message_begin(self) -> None:
        self._reading = Request()
        self._body = []
        self._head_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._reading.path += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes | None) -> None:
        self._reading.headers[name.lower()] = value or b""
        self._count_head(len(name) + len(value or b""))

    def on_headers_complete(self) -> None:
        if self._reading.headers.get(b"expect", b"").lower() == b"100-continue" and not self._current:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > MAX_BODY_BYTES:
            self._fail(413, b"the body is larger than 32 MiB\n")
            return
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._failed:
            return
        request = self._reading
        request.method = self._parser.get_method()
        request.http_1_0 = self._parser.get_http_version() == "1.0"
        request.keep_alive = self._parser.should_keep_alive() and not request.http_1_0
        request.body = b"".join(self._body)
        request.received_ns = self._read_ns
        self._queue.append(request)  # pipelined requests wait for the answers before them
        self._answer_next()

    def finished(self, close: bool) -> None:
        """The current answer is complete."""
        self._current = None
        if close:
            self._queue.clear()
            self.transport.close()
        self._answer_next()

    def _answer_next(self) -> None:
        if self._answering:  # an answer given at once: the loop below goes on
            return
        self._answering = True
        while self._queue and not self._current:
            request = self._queue.popleft()
            self._current = Exchange(self, request)
            self._handler(request, self._current)
        self._answering = False

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._fail(431, b"the request head is larger than 64 KiB\n")

    def _fail(self, status: int, reason: bytes) -> None:
        if self._failed:
            return
        self._failed = True
        if not self._current:  # else the bytes would land in the middle of another answer
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
                % (status, _REASONS[status], len(reason), reason)
            )
        self.transport.close()
