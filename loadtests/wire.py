"""Request heads as bytes: what does not change is joined once, what changes is one format operation."""

from __future__ import annotations

from importlib import metadata

from loadtests.origin import Origin
from measurements.errors import UsageError

MASK = (1 << 64) - 1
LOW_DIGITS = [b"%03x" % number for number in range(4_096)]
SPANS = [b"-%016x-01\r\n" % (step + 1) for step in range(64)]
LENGTHS = [b"Content-Length: %d\r\n\r\n" % size for size in range(2_048)]
OURS = {"host", "content-length", "user-agent", "traceparent", "connection", "transfer-encoding"}


def user_agent(run: str) -> str:
    return f"plimsoll/{metadata.version('plimsoll')} run={run}"


def trace_prefix(run: str) -> bytes:
    """The first 16 hex digits of this run's trace ids (W3C Trace Context); the other 16 are the arrival's number."""
    from hashlib import sha256

    return sha256(run.encode()).hexdigest()[:16].encode()


class HeadBuilder:
    """Heads of one run. `prepare` joins the constant part of a request, `head` adds trace, arrival and length."""

    def __init__(self, run: str) -> None:
        self._agent = user_agent(run).encode()
        self._trace = trace_prefix(run)
        self._high, self._high_digits = 0, b"%013x" % 0

    def prepare(self, method: str, path: str, origin: Origin, header: dict[str, str]) -> bytes:
        """Everything up to the arrival's part of the trace id."""
        lines = [
            f"{method} {origin.prefix}{path} HTTP/1.1".encode("ascii", "strict"),
            b"Host: " + (_encoded(_given(header, "host") or origin.host_header)),
            b"User-Agent: " + (_encoded(_given(header, "user-agent")) or self._agent),
        ]
        for name, value in header.items():
            if name.lower() not in OURS:
                lines.append(_encoded(f"{name}: {value}"))
        if any(b"\r" in line or b"\n" in line for line in lines):
            raise UsageError(
                f"a header or the path of {method} {path} holds a line break; take it out of the contract or locustfile"
            )
        return b"\r\n".join(lines) + b"\r\ntraceparent: 00-" + self._trace

    def head(self, prepared: bytes, seq: int, step: int, body: bytes | None, method_has_body: bool = True) -> bytes:
        """The whole request. The span id is the step's place in the arrival, never zero (Trace Context forbids it)."""
        span = SPANS[step] if step < len(SPANS) else b"-%016x-01\r\n" % (step + 1)
        if body is None:
            length = b"Content-Length: 0\r\n\r\n" if method_has_body else b"\r\n"
            return b"".join((prepared, self.arrival(seq), span, length))
        size = len(body)
        length = LENGTHS[size] if size < len(LENGTHS) else b"Content-Length: %d\r\n\r\n" % size
        return b"".join((prepared, self.arrival(seq), span, length, body))

    def arrival(self, seq: int) -> bytes:
        """Its number as 16 hex digits, as `b"%016x" % seq` in a third of the time: the first 13 are seldom others than before."""
        high = seq >> 12
        if high != self._high:
            self._high, self._high_digits = high, b"%013x" % (high & MASK >> 12)
        return self._high_digits + LOW_DIGITS[seq & 0xFFF]

    def trace(self, seq: int, step: int) -> str:
        """The traceparent of a request, as `head` writes it."""
        return f"00-{self._trace.decode()}{seq & MASK:016x}-{step + 1:016x}-01"

    def identity(self, seq: int, step: int) -> dict[str, str]:
        """What a client that is not ours has to add to its headers."""
        return {"User-Agent": self._agent.decode(), "traceparent": self.trace(seq, step)}

    def around(self, prepared: bytes, body: bytes | None, method_has_body: bool = True) -> tuple[bytes, bytes]:
        """What stands before and behind the arrival's 16 hex digits in a first step's request that is always the same."""
        whole = self.head(prepared, 0, 0, body, method_has_body)
        return whole[: len(prepared)], whole[len(prepared) + 16 :]


def _given(header: dict[str, str], name: str) -> str:
    return next((value for key, value in header.items() if key.lower() == name), "")


def _encoded(text: str) -> bytes:
    """Latin-1 as HTTP says; what that has no letters for goes out as UTF-8, as browsers and servers read it."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


HAS_BODY = {"POST": True, "PUT": True, "PATCH": True}
