"""Where a job's tokens go: to the client one by one, or in one answer at the end."""

from collections.abc import Callable

from targets.reference.llm.api import Frames, Timing
from targets.reference.llm.driver import clock_ns
from targets.reference.llm.metrics import Metrics
from targets.reference.llm.protocol import Exchange, Headers
from targets.reference.llm.text import Answer

TIMING_HEADER = b"x-plimsoll-timing"


class StreamSink:
    """Writes each token as a server-sent event when the engine gives it; the last one with the stream's end."""

    __slots__ = (
        "_after", "_answer", "_before", "_chunked", "_closing", "_exchange", "_fixed_bytes", "_index", "_last",
        "_metrics", "_pieces", "_timing", "_write",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, frames: Frames, answer: Answer, received_ns: int, metrics: Metrics) -> None:
        self._exchange, self._metrics, self._answer = exchange, metrics, answer
        self._before, self._after, self._closing = frames.before, frames.after, frames.closing
        self._pieces, self._last, self._index = answer.pieces, len(answer.pieces) - 1, 0
        self._fixed_bytes = len(frames.before) + len(frames.after)
        self._chunked, self._write = exchange.chunked, exchange.write
        self._timing = Timing(received_ns)

    def token(self) -> None:
        index = self._index
        if index == 0:
            self._timing.first_token_ns = clock_ns()
        piece = self._pieces[index]
        if index == self._last:
            self._finish(piece)
            return
        self._index = index + 1
        if self._chunked:
            size = self._fixed_bytes + len(piece)
            self._write(b"%x\r\n%b%b%b\r\n" % (size, self._before, piece, self._after))
        else:
            self._write(self._before + piece + self._after)

    def _finish(self, piece: bytes) -> None:
        timing = self._timing
        timing.done_ns = clock_ns()
        _observe(self._metrics, self._answer, timing)
        self._exchange.end(self._before + piece + self._after + self._closing(timing))


class WholeSink:
    """Waits for the last token, then sends the whole answer."""

    __slots__ = ("_answer", "_body", "_exchange", "_headers", "_left", "_metrics", "_timing")

    def __init__(
        self,
        exchange: Exchange,
        body: Callable[[Timing], bytes],
        answer: Answer,
        received_ns: int,
        *,
        headers: Headers,
        metrics: Metrics,
    ) -> None:
        self._exchange, self._body, self._answer = exchange, body, answer
        self._headers, self._metrics = headers, metrics
        self._left = len(answer.pieces)
        self._timing = Timing(received_ns)

    def token(self) -> None:
        timing = self._timing
        if not timing.first_token_ns:
            timing.first_token_ns = clock_ns()
        self._left -= 1
        if self._left:
            return
        timing.done_ns = clock_ns()
        _observe(self._metrics, self._answer, timing)
        headers = [*self._headers, (TIMING_HEADER, timing.json().encode())]
        self._exchange.respond(200, headers, self._body(timing))


class EmbeddingSink:
    """One engine step, then the vectors."""

    def __init__(self, exchange: Exchange, headers: Headers, body: bytes) -> None:
        self._exchange, self._headers, self._body = exchange, headers, body

    def token(self) -> None:
        self._exchange.respond(200, self._headers, self._body)


def _observe(metrics: Metrics, answer: Answer, timing: Timing) -> None:
    ttft_ns, e2e_ns = timing.first_token_ns - timing.received_ns, timing.done_ns - timing.received_ns
    metrics.observe("length" if answer.cut else "stop", ttft_ns / 1e9, e2e_ns / 1e9)
