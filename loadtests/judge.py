"""Whether an answer is what the contract expects: status, a text in it, a path in its JSON, a number of tokens."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Any

import orjson

from loadtests.bounds import MAX_BODY_BYTES
from measurements.sample import Outcome
from targets.contract import Expect

STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]")
ALL_WELL = (Outcome.ok, "")
REJECTED = (429, 503)
MAY_BE_A_LIMIT = (429, 502, 503, 504)
REASON_KEYS = ("detail", "error", "message", "reason")
MOST_REASON_BYTES, MOST_REASON_CHARS = 65_536, 160
TITLE = re.compile(rb"<title>([^<]{1,200})</title>", re.IGNORECASE)


def decoded(body: bytes, head: bytes) -> bytes:
    """The body without its Content-Encoding. ValueError for a bomb, damage, or an encoding we do not read."""
    encoding = header(head, b"content-encoding").lower()
    if not encoding or encoding == b"identity":
        return body
    if encoding not in (b"gzip", b"deflate", b"x-gzip"):
        raise ValueError(f"content-encoding {encoding.decode('latin-1')[:40]} is not read here")
    windows = [47, -15] if encoding == b"deflate" else [47]
    for window in windows:
        unpacker = zlib.decompressobj(window)
        try:
            text = unpacker.decompress(body, MAX_BODY_BYTES)
        except zlib.error:
            continue
        if unpacker.unconsumed_tail:
            raise ValueError(f"the decoded body is over {MAX_BODY_BYTES} bytes")
        return text
    raise ValueError("the body is not what its content-encoding says")


def header(head: bytes, name: bytes) -> bytes:
    """The first value of a header in a raw head (the body may begin behind it), or b""."""
    head = head[: head.find(b"\r\n\r\n") + 2]
    at = head.lower().find(b"\r\n" + name.lower() + b":")
    if at < 0:
        return b""
    start = at + len(name) + 3
    return head[start : head.find(b"\r\n", start)].strip()


class Judge:
    """One endpoint's expectation, ready to be asked. `needs_body` tells the transport to keep it."""

    def __init__(self, expect: Expect) -> None:
        self._status = frozenset(expect.status) if expect.status else None
        self._contains = expect.contains.encode() if expect.contains else None
        self._path = _steps(expect.json_path) if expect.json_path else None
        self._min_tokens = expect.min_tokens or 0
        self.needs_body = self._contains is not None or self._path is not None

    def __call__(self, status: int, head: bytes, body: list[bytes], tokens_out: int) -> tuple[Outcome, str]:
        if self._status is None:
            if not 200 <= status < 300:
                return refused(status, head, body)
        elif status not in self._status:
            if status < 400:
                return Outcome.unexpected_body, f"status {status} was not expected"
            return refused(status, head, body)
        if self.needs_body:
            error = self._look_inside(head, b"".join(body))
            if error:
                return Outcome.unexpected_body, error
        if tokens_out < self._min_tokens:
            return Outcome.unexpected_body, f"{max(tokens_out, 0)} tokens, fewer than {self._min_tokens} expected"
        return ALL_WELL

    def _look_inside(self, head: bytes, body: bytes) -> str:
        try:
            body = decoded(body, head)
        except ValueError as error:
            return str(error)
        if self._contains is not None and self._contains not in body:
            return f"the body does not contain {self._contains.decode()!r}"
        if self._path is not None:
            try:
                node: Any = orjson.loads(body)
                for step in self._path:
                    if isinstance(node, str):
                        raise TypeError
                    node = node[step]
            except (ValueError, KeyError, IndexError, TypeError):
                return "the body has no value at the expected JSON path"
        return ""


def refused(status: int, head: bytes = b"", body: Sequence[bytes] = ()) -> tuple[Outcome, str]:
    """A limit's no is told apart from an error of the service, and where a limit may speak, its words are kept."""
    reason = _reason(head, b"".join(body)) if status in MAY_BE_A_LIMIT else ""
    text = f"status {status}: {reason}" if reason else f"status {status}"
    return (Outcome.rejected if status in REJECTED else Outcome.http_error), text


def _reason(head: bytes, body: bytes) -> str:
    """What an error's JSON says under the usual keys, or a page's title with the server that wrote the page."""
    try:
        body = decoded(body, head) if len(body) <= MOST_REASON_BYTES else b""
        if body[:1] == b"{":
            said = orjson.loads(body)
            return _one_line(next((_text(said[key]) for key in REASON_KEYS if said.get(key)), ""))
    except ValueError:
        return ""
    title = TITLE.search(body)
    page = " (page of nginx)" if b"<center>nginx" in body else ""
    return _one_line(title[1].decode("utf-8", "replace")) + page if title else ""


def _text(node: Any) -> str:
    if isinstance(node, dict):
        return str(next((node[key] for key in REASON_KEYS if isinstance(node.get(key), str)), ""))
    return node if isinstance(node, str) else ""


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:MOST_REASON_CHARS])


def _steps(path: str) -> list[str | int]:
    return [name or int(index) for name, index in STEP.findall(path)]
