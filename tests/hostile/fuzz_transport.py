"""Property-based fuzz of what reads an answer: python fuzz_transport.py EXAMPLES. Prints how many were tried."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import locust  # noqa: F401  isort: skip  gevent patches first
import socket
from collections import Counter
from typing import Any

import gevent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtests.echo import loopback_pair
from loadtests.judge import Judge
from loadtests.origin import Origin
from loadtests.response import Headers, Response
from loadtests.tokens import TokenStream
from loadtests.transport import Connection, Limits
from measurements.sample import Outcome
from targets.contract import Expect

SEEN: Counter[str] = Counter()
POLLED: Counter[str] = Counter()
JUDGE = Judge(Expect(contains="x", json_path="$.a[0].b", min_tokens=1))

token = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 103 X\r\n",
        b"HTTP/1.0 200\r\n",
        b"HTTP/1.1 429 X\r\n",
        b"HTTP/9.9 999 \r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: zstd\r\n",
        b"Connection: close\r\n",
        b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
        b"5\r\nhello\r\n",
        b"ffffffffffffffff\r\n",
        b"0\r\n\r\n",
        b"Set-Cookie: a=b\r\n",
        b"Location: http://[::1\r\n",
        b"Retry-After: 999999999999\r\n",
        b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n',
        b"data: [DONE]\n\n",
        b'data: {"usage":{"completion_tokens":-1}}\n\n',
        b'event: error\ndata: {"error":[]}\n\n',
        b"data: " + b"[" * 2_000 + b"\n\n",
        b'{"a":[{"b":1}]}',
        b"\x1f\x8b\x08\x00",
        b"X: " + b"y" * 70_000 + b"\r\n",
        "Ünïcode: ☃\r\n".encode(),
        b"\x00\x01\xff",
        b": \r\n",
        b"Server-Timing: a;dur=x\r\n",
    ]
)
answers = st.lists(st.one_of(token, st.binary(max_size=40)), max_size=14).map(b"".join)


def whole(headers: bytes, body: bytes) -> bytes:
    """An answer of the right form around anything."""
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)


def chunked(pieces: list[bytes]) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


header = st.sampled_from(
    [
        b"",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: zstd\r\n",
        b"Server-Timing: \x9b;dur=x\r\n",
        b"Set-Cookie: \xff=\xfe; a\r\n",
    ]
)
mostly = st.one_of(
    answers,
    answers.map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest),
    st.builds(whole, header, answers),
    st.lists(st.one_of(token, st.binary(max_size=40)), max_size=10).map(chunked),
)


class Watched(Connection):
    __slots__ = ()

    def on_polled(self, wall_to_monotonic_ns: int) -> None:
        POLLED["looks"] += 1
        super().on_polled(wall_to_monotonic_ns)


def exchange(data: bytes, cuts: list[int], stream: bool, no_body: bool) -> None:
    """One request over a pair of sockets; the other end says `data` in pieces and closes. Streams over TCP are polled."""
    ours, theirs = pair(tcp=stream)
    ours.setblocking(False)
    origin = Origin(0, "http://127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1", "")
    connection = Watched(origin)
    ends: list[int] = []
    connection.finish = lambda: ends.append(1)
    tokens = TokenStream() if stream else None
    connection.sink = tokens.hear if tokens else None
    connection._install(ours, ours._sock)  # type: ignore[attr-defined]
    connection.start(b"GET / HTTP/1.1\r\n\r\n", Limits(2_000_000_000, 0, 0), no_body)
    at = 0
    for cut in [*sorted(c % (len(data) + 1) for c in cuts), len(data)]:
        if cut > at:
            try:
                theirs.sendall(data[at:cut])
            except OSError:
                break
            gevent.sleep(0.00005)  # not 0: only a timer lets the loop look at its descriptors
            at = cut
    theirs.close()
    for _ in range(200):
        if ends:
            break
        gevent.sleep(0.001)
    assert ends == [1], f"{len(ends)} results for {data!r}"
    assert not connection.busy and connection.done_ns > 0
    assert isinstance(connection.outcome, Outcome)
    looked(connection, tokens)
    connection.close()
    SEEN[connection.outcome.name] += 1


def pair(tcp: bool) -> tuple[socket.socket, socket.socket]:
    if not tcp:
        return socket.socketpair()
    ours, theirs = loopback_pair()
    return socket.socket(fileno=ours.detach()), socket.socket(fileno=theirs.detach())


def looked(connection: Connection, tokens: TokenStream | None) -> None:
    """Everything that a row, a judge and a locustfile ask of an answer."""
    verdict: Any = (connection.outcome, connection.error)
    if tokens is not None:
        verdict = tokens.verdict()
        assert tokens.counts()[0] >= 0
    outcome, _ = JUDGE(connection.status, connection.head, connection.body, 1)
    assert isinstance(outcome, Outcome)
    response = Response("/", connection, verdict, tokens)
    assert isinstance(Headers.parse(connection.head), dict)
    assert isinstance(response.text, str)


def main(examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(data=mostly, cuts=st.lists(st.integers(0, 1 << 20), max_size=4), stream=st.booleans(), no_body=st.booleans())
    def tried(data: bytes, cuts: list[int], stream: bool, no_body: bool) -> None:
        exchange(data, cuts, stream, no_body)

    tried()
    print(f"{examples} answers: {dict(SEEN)}, {dict(POLLED)}")
    assert POLLED["looks"] > 0


if __name__ == "__main__":
    broken: list[str] = []
    gevent.get_hub().print_exception = lambda *error: broken.append(repr(error[1:3]))  # an error in a loop callback
    main(int(sys.argv[1]))
    assert broken == [], broken[:3]
