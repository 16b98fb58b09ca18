"""Whether an answer is what the contract expects."""

import gzip
import json
import zlib
from typing import Any

import pytest

from loadtests.judge import Judge, decoded, header
from measurements.sample import Outcome
from targets.contract import Expect

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


def judged(
    expect: dict[str, Any], status: int = 200, body: bytes = b"", tokens: int = 0, head: bytes = HEAD
) -> tuple[Outcome, str]:
    return Judge(Expect(**expect))(status, head, [body], tokens)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "ok"), (204, "ok"), (299, "ok"), (302, "http_error"), (304, "http_error"), (404, "http_error"), (429, "rejected"),
     (500, "http_error"), (502, "http_error"), (503, "rejected")],
)  # fmt: skip
def test_without_an_expectation_any_2xx_is_ok_and_a_limits_no_is_told_apart(status: int, outcome: str) -> None:
    assert judged({}, status)[0].name == outcome


def test_a_deliberate_422_can_be_the_expected_answer_and_then_a_200_is_not() -> None:
    assert judged({"status": [422]}, 422) == (Outcome.ok, "")
    assert judged({"status": [422]}, 200) == (Outcome.unexpected_body, "status 200 was not expected")
    assert judged({"status": [200]}, 429)[0] is Outcome.rejected
    assert judged({"status": [429]}, 429) == (Outcome.ok, "")


def test_a_text_must_stand_in_the_body_also_across_chunks_and_in_korean() -> None:
    assert Judge(Expect(contains="템플릿"))(200, HEAD, ["...템플".encode(), "릿...".encode()], 0) == (Outcome.ok, "")
    assert judged({"contains": "템플릿"}, body=b"none")[0] is Outcome.unexpected_body


@pytest.mark.parametrize(
    ("path", "found"),
    [("$", True), ("$.a", True), ("$.a.b[1]", True), ("$.a.b[1].c-d", True), ("$.n", True), ("$.a.b[2]", False),
     ("$.x", False), ("$.a.b.c", False), ("$[0]", False)],
)  # fmt: skip
def test_a_json_path_must_lead_to_a_value(path: str, found: bool) -> None:
    body = json.dumps({"a": {"b": [1, {"c-d": 2}]}, "n": None}).encode()
    outcome, why = judged({"json_path": path}, body=body)
    assert (outcome is Outcome.ok) is found
    assert found or why == "the body has no value at the expected JSON path"


def test_a_body_that_is_no_json_has_no_value_at_any_path() -> None:
    for body in (b"", b"<html>", b'{"a": ', b"\xff"):
        assert judged({"json_path": "$.a"}, body=body)[0] is Outcome.unexpected_body


def test_a_path_does_not_lead_into_a_string() -> None:
    assert judged({"json_path": "$.a[0]"}, body=b'{"a": "text"}')[0] is Outcome.unexpected_body


def test_too_few_tokens_are_an_unexpected_body() -> None:
    assert judged({"min_tokens": 5}, tokens=5)[0] is Outcome.ok
    assert judged({"min_tokens": 5}, tokens=4) == (Outcome.unexpected_body, "4 tokens, fewer than 5 expected")


def test_the_body_is_only_kept_where_something_looks_inside() -> None:
    assert not Judge(Expect(status=[200])).needs_body and not Judge(Expect(min_tokens=1)).needs_body
    assert Judge(Expect(contains="x")).needs_body and Judge(Expect(json_path="$.a")).needs_body


def encoded(name: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nCONTENT-Encoding: " + name.encode() + b"\r\n\r\n"


RAW_DEFLATE = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize(
    ("name", "body"),
    [("gzip", gzip.compress(b'{"a":1}')), ("x-gzip", gzip.compress(b'{"a":1}')), ("deflate", zlib.compress(b'{"a":1}')),
     ("deflate", RAW_DEFLATE.compress(b'{"a":1}') + RAW_DEFLATE.flush()), ("identity", b'{"a":1}')],
    ids=["gzip", "x-gzip", "deflate", "raw deflate", "identity"],
)  # fmt: skip
def test_a_packed_body_is_unpacked_before_it_is_judged(name: str, body: bytes) -> None:
    assert judged({"json_path": "$.a"}, body=body, head=encoded(name)) == (Outcome.ok, "")


def test_a_gzip_bomb_is_stopped_at_64_mib_and_called_by_its_name() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([packer.compress(b"\0" * 2**20) for _ in range(80)] + [packer.flush()])
    assert len(bomb) < 200_000
    outcome, why = judged({"contains": "x"}, body=bomb, head=encoded("gzip"))
    assert outcome is Outcome.unexpected_body and why == "the decoded body is over 67108864 bytes"


@pytest.mark.parametrize("name", ["br", "zstd", "nonsense\x1b[31m"])
def test_an_encoding_that_is_not_read_is_named(name: str) -> None:
    assert "is not read here" in judged({"contains": "x"}, body=b"abc", head=encoded(name))[1]


def test_a_body_that_is_not_what_its_encoding_says_is_unexpected() -> None:
    with pytest.raises(ValueError, match="not what its content-encoding says"):
        decoded(b"plain text", encoded("gzip"))


def test_headers_are_found_whatever_their_case_and_only_as_headers() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-A: content-encoding: gzip\r\nETAG:  5 \r\n\r\n"
    assert header(head, b"etag") == b"5"
    assert header(head, b"content-encoding") == b""
    assert header(b"", b"etag") == b""
    assert header(b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\nbody\r\nETag: 5\r\n", b"etag") == b""
