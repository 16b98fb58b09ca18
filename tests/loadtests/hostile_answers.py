"""Every wrong way of answering that we know, byte by byte, and the outcome that it deserves."""

import gzip
import zlib
from typing import Any

from servers import Script, answer, chunk, endless, head, openai, raw, silent, sse

from loadtests.bounds import MAX_BODY_BYTES

CHUNKED = head(Transfer_Encoding="chunked")
PACKED = gzip.compress("템플릿".encode())
PACKER = zlib.compressobj(9, wbits=31)
BOMB = b"".join([PACKER.compress(b"\0" * 2**20) for _ in range(80)] + [PACKER.flush()])

# name: (script, outcome, part of its error, more of the endpoint)
CASES: dict[str, tuple[Script, str, str, dict[str, Any]]] = {
    "ok": (answer(), "ok", "", {}),
    "chunked": (
        raw(CHUNKED + chunk(b"hello") + chunk(b" world") + b"0\r\nTrailer: 1\r\n\r\n", then="keep"),
        "ok",
        "",
        {"expect": {"contains": "hello world"}},
    ),
    "cut-into-single-bytes": (
        raw(*(bytes([b]) for b in head(Content_Length=2) + b"ok"), pause_s=0.0005, then="keep"),
        "ok",
        "",
        {"expect": {"contains": "ok"}},
    ),
    "ended-by-close": (raw(b"HTTP/1.1 200 OK\r\n\r\nall of it"), "ok", "", {"expect": {"contains": "all of it"}}),
    "http-1.0": (raw(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), "ok", "", {}),
    "early-hints": (raw(head(103, Link="</a>"), head(Content_Length=2) + b"ok", then="keep"), "ok", "", {}),
    "expect-continue": (
        raw(head(100) + head(Content_Length=2) + b"ok", then="keep"),
        "ok",
        "",
        {"method": "POST", "body": "question", "header": {"Expect": "100-continue"}, "expect": {"contains": "ok"}},
    ),
    "expectation-failed": (
        raw(head(417, Content_Length=0), then="keep"),
        "http_error",
        "status 417",
        {"method": "POST", "body": "question", "header": {"Expect": "100-continue"}},
    ),
    "head": (raw(head(Content_Length=5_000), then="keep"), "ok", "", {"method": "HEAD"}),
    "no-content": (raw(head(204), then="keep"), "ok", "", {}),
    "not-modified": (raw(head(304, Content_Length=99), then="keep"), "ok", "", {"expect": {"status": [304]}}),
    "gzip": (answer(body=PACKED, Content_Encoding="gzip"), "ok", "", {"expect": {"contains": "템플릿"}}),
    "connection-close": (raw(head(Content_Length=2, Connection="close") + b"ok"), "ok", "", {}),
    "error-500": (answer(500), "http_error", "status 500", {}),
    "redirect-elsewhere": (answer(302, b"", Location="ELSEWHERE"), "http_error", "status 302", {}),
    "limit-429": (answer(429), "rejected", "status 429", {}),
    "limit-503": (answer(503), "rejected", "status 503", {}),
    "wrong-text": (answer(), "unexpected_body", "does not contain 'template'", {"expect": {"contains": "template"}}),
    "wrong-json": (
        answer(body=b"<html>"),
        "unexpected_body",
        "no value at the expected JSON path",
        {"expect": {"json_path": "$.a"}},
    ),
    "gzip-bomb": (
        answer(body=BOMB, Content_Encoding="gzip"),
        "unexpected_body",
        "the decoded body is over",
        {"expect": {"contains": "x"}, "weight": 0.4},
    ),
    "silent": (silent(3.0), "timeout", "waiting for an answer", {"timeout_s": 0.3}),
    "drips": (
        endless(head(Content_Length=1_000), b".", 100, pause_s=0.03),
        "timeout",
        "timeout while waiting for",
        {"timeout_s": 0.3},
    ),
    "closes-at-once": (raw(), "connect_error", "", {}),
    "resets-at-once": (raw(then="reset"), "connect_error", "", {}),
    "cut-body": (
        raw(head(Content_Length=100) + b"ten bytes.", pause_s=0.0),
        "protocol_error",
        "closed in the middle",
        {},
    ),
    "reset-in-body": (
        raw(head(Content_Length=100) + b"ten bytes.", then="reset"),
        "protocol_error",
        "in the middle of the answer",
        {},
    ),
    "cut-chunk": (raw(CHUNKED + b"64\r\nonly this"), "protocol_error", "closed in the middle", {}),
    "half-a-head": (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "protocol_error", "closed in the middle", {}),
    "not-http": (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "protocol_error", "not HTTP/1.1", {}),
    "bad-chunk-size": (raw(CHUNKED + b"zz\r\n"), "protocol_error", "not HTTP/1.1", {}),
    "two-lengths": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
        "protocol_error",
        "not HTTP/1.1",
        {},
    ),
    "switches-protocols": (raw(head(101, Upgrade="websocket", Connection="Upgrade")), "protocol_error", "", {}),
    "endless-head": (
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 4_000 + b"\r\n", 2**20),
        "protocol_error",
        "response head over",
        {},
    ),
    "endless-hints": (endless(b"", head(103) * 2_000, 2**22), "protocol_error", "", {"weight": 0.5}),
    "hints-then-packed": (
        raw(head(103) + head(100) + head(Content_Length=len(PACKED), Content_Encoding="gzip") + PACKED, then="keep"),
        "ok",
        "",
        {"expect": {"contains": "템플릿"}},
    ),
    "hints-then-cut": (
        raw(head(103) + head(Content_Length=100) + b"ten bytes."),
        "protocol_error",
        "closed in the middle",
        {},
    ),
    "two-answers": (raw((head(Content_Length=2) + b"ok") + head(500, Content_Length=0), then="keep"), "ok", "", {}),
    "answer-then-noise": (raw(head(Content_Length=2) + b"ok\x00\x01noise", then="keep"), "ok", "", {}),
    "endless-body": (
        endless(head(Content_Length=10**12), b"x" * 2**18, 2 * MAX_BODY_BYTES),
        "protocol_error",
        "body over",
        {"weight": 0.2},
    ),
    "stream": (
        sse([openai(""), openai("판"), openai("례"), openai("", "stop"), "[DONE]"], 0.08, 0.03),
        "ok",
        "",
        {"stream": "sse", "expect": {"min_tokens": 2}},
    ),
    "stream-cut": (sse([openai("half")]), "protocol_error", "cut before its end marker", {"stream": "sse"}),
    "stream-torn": (
        sse([openai("half")], end=b"ff\r\ndata: "),
        "protocol_error",
        "closed in the middle",
        {"stream": "sse"},
    ),
    "stream-error": (
        sse([openai("a"), {"error": {"message": "overloaded"}}]),
        "http_error",
        "overloaded",
        {"stream": "sse"},
    ),
    "stream-hostile": (
        sse([{"choices": 5}, {"usage": {"completion_tokens": 10**30}}]),
        "protocol_error",
        "malformed",
        {"stream": "sse"},
    ),
    "stream-refused": (answer(429, b'{"detail": "slow down"}'), "rejected", "status 429", {"stream": "sse"}),
    "stream-too-short": (
        sse([openai("a"), openai("", "stop")]),
        "unexpected_body",
        "1 tokens, fewer than 9",
        {"stream": "sse", "expect": {"min_tokens": 9}},
    ),
    "stream-endless-event": (
        endless(CHUNKED, chunk(b"x" * 65_536), 8 * 2**20),
        "protocol_error",
        "",
        {"stream": "sse", "weight": 0.5},
    ),
}
