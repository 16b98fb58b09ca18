"""Answers whose heads were read before: what they say is what the parser would have said."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.known_heads import LONGEST_PAUSE, MOST, KnownHeads

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def looked(known: KnownHeads, piece: bytes) -> int:
    return known.look(piece, piece.find(b"\r\n\r\n") + 4)


def test_an_answer_under_the_same_head_and_of_its_length_is_known_whatever_its_body() -> None:
    known = KnownHeads()
    known.learn(HEAD + b"hello", 200, 5)
    assert looked(known, HEAD + b"hello") == looked(known, HEAD + b"other") == 200


@pytest.mark.parametrize(
    "piece",
    [
        HEAD + b"hell", HEAD + b"hello!", HEAD + b"helloHTTP/1.1 200 OK\r\n\r\n", HEAD, HEAD[:-1], b"", b"\r\n\r\n",
        HEAD.replace(b"200", b"500") + b"hello", HEAD.replace(b"5", b"05") + b"hello", HEAD.lower() + b"hello",
    ],
)  # fmt: skip
def test_whatever_differs_by_a_byte_in_its_head_or_in_its_length_goes_to_the_parser(piece: bytes) -> None:
    known = KnownHeads()
    known.learn(HEAD + b"hello", 200, 5)
    assert looked(known, piece) == 0


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3_000 + b"\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_a_head_that_does_not_state_the_length_that_came_is_never_learned(head: bytes) -> None:
    known = KnownHeads()
    known.learn(head + b"hello", 200, 5)
    assert looked(known, head + b"hello") == 0


def test_where_heads_never_come_again_it_hardly_learns_any_more_and_one_that_does_brings_it_back() -> None:
    fresh, taught = KnownHeads(), 0
    for number in range(3 * LONGEST_PAUSE):
        before = fresh._sits_out
        fresh.learn(HEAD.replace(b"OK", b"OK %d" % number) + b"hello", 200, 5)
        taught += before == 0
    assert taught < 16
    fresh._sits_out = 0
    fresh.learn(HEAD + b"hello", 200, 5)
    assert looked(fresh, HEAD + b"again") == 200
    fresh._sits_out = 0  # the pause that it sits out now is that of before; from the next lesson on it learns again
    fresh.learn(HEAD + b"hello", 200, 5)
    assert fresh._sits_out == 1


def test_it_holds_a_bounded_number_of_heads() -> None:
    known = KnownHeads()
    for number in range(10 * MOST):
        known._sits_out = 0
        known.learn(HEAD.replace(b"OK", b"OK %d" % number) + b"hello", 200, 5)
    assert len(known._known) <= MOST


@given(st.binary(max_size=300))
def test_no_bytes_are_known_to_one_that_has_learned_nothing(piece: bytes) -> None:
    assert looked(KnownHeads(), piece) == 0


def test_the_parsers_own_reading_of_a_known_answer_is_the_same() -> None:
    import httptools

    class Read:
        body = b""

        def on_body(self, part: bytes) -> None:
            self.body += part

    known, piece = KnownHeads(), HEAD + b"abcde"
    known.learn(piece, 200, 5)
    read = Read()
    parser = httptools.HttpResponseParser(read)
    parser.feed_data(piece)
    assert (parser.get_status_code(), read.body) == (looked(known, piece), re.split(b"\r\n\r\n", piece)[1])
