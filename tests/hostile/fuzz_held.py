"""A stream cut anywhere: the way around the parser comes to what the parser alone comes to: python fuzz_held.py EXAMPLES."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import locust  # noqa: F401  isort: skip  gevent patches first
import socket
from typing import Any

import gevent
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtests import receiving
from loadtests.origin import Origin
from loadtests.tokens import TokenStream
from loadtests.transport import Connection, Limits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%s\r\n\r\n"
CHUNKED = HEAD % b"Transfer-Encoding: chunked"
TAKEN = {"around": 0, "parser": 0}


def framed(data: bytes, upper: bool) -> bytes:
    return (b"%X" if upper else b"%x") % len(data) + b"\r\n" + data + b"\r\n"


event = st.text(alphabet="ab안\n\r", max_size=12).map(
    lambda text: b'data: {"choices": [{"delta": {"content": %s}}]}\n\n' % orjson.dumps(text)
)
odd = st.sampled_from(
    [b": ping\n\n", b"data: [DONE]\n\n", b"data: x\r\n\r\n", b"data: half", b"\n\n", b"event: a\ndata: b\n\n"]
)
chunk = st.builds(framed, st.one_of(*[event] * 20, odd), st.booleans())
broken = st.sampled_from(
    [b"5\r\nabc\n\n\r\n", b"0\r\n\r\n4\r\nab\n\n\r\n", b"3;x=y\r\nabc\r\n", b"zz\r\nab\n\n\r\n", b"+4\r\nab\n\n\r\n"]
)
mostly = st.sampled_from([True, True, True, False])
pieces = st.lists(st.one_of(*[chunk] * 40, broken), min_size=5, max_size=60)


def told(data: bytes, cuts: list[int], hold: bool) -> tuple[Any, ...]:
    """Everything but times of one answer that comes in these pieces."""
    hold_behind = Connection._hold_behind
    if not hold:
        Connection._hold_behind = lambda *words: None  # type: ignore[method-assign, assignment]
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection, ends = Connection(Origin(0, "http://127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1", "")), []
    connection.finish = lambda: ends.append(1)
    tokens = TokenStream()
    connection.sink = tokens
    connection.keep_body = True
    connection._install(ours, ours._sock)  # type: ignore[attr-defined]
    connection.start(b"GET / HTTP/1.1\r\n\r\n", Limits(2_000_000_000, 0, 0))
    at = 0
    for cut in [*sorted({c % (len(data) + 1) for c in cuts}), len(data)]:
        try:
            theirs.sendall(data[at:cut])
        except OSError:
            break
        gevent.sleep(0.00005)  # not 0: only a timer lets the loop look at its descriptors
        at = cut
    theirs.close()
    for _ in range(500):
        if ends:
            break
        gevent.sleep(0.001)
    Connection._hold_behind = hold_behind  # type: ignore[method-assign]
    assert ends == [1]
    assert len(tokens.at_ns) == len(tokens.sizes) and list(tokens.at_ns) == sorted(tokens.at_ns)
    connection.close()
    return (
        connection.outcome, connection.error, connection.status, b"".join(connection.body), connection.body_bytes,
        tokens.verdict(), list(tokens.sizes), tokens.counts(),
    )  # fmt: skip


def main(examples: int) -> None:
    whole_chunks = receiving.whole_chunks

    def counted(given: list[bytes], came_ns: list[int]) -> Any:
        found = whole_chunks(given, came_ns)
        TAKEN["around" if found else "parser"] += len(given)
        return found

    receiving.whole_chunks = counted

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(pieces, st.lists(st.integers(0, 1 << 20), max_size=3), st.booleans(), st.booleans(), mostly)
    def tried(parts: list[bytes], cuts: list[int], ends: bool, head_apart: bool, chunked: bool) -> None:
        data, borders = CHUNKED if chunked else HEAD % b"X: y", []
        if head_apart:
            borders.append(len(data))
        for part in [*parts, *([b"0\r\n\r\n"] if ends else [])]:
            data += part
            borders.append(len(data))
        cuts = [*cuts, *borders]
        assert told(data, cuts, hold=True) == told(data, cuts, hold=False)

    tried()
    assert TAKEN["around"] and TAKEN["parser"], TAKEN  # how many depends on how pieces were read
    print(f"{TAKEN['around']} pieces around the parser, {TAKEN['parser']} through it")


if __name__ == "__main__":
    main(int(sys.argv[1]))
