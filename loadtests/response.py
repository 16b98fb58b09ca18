"""What a request in a locustfile returns: the parts of requests' Response that people use, parsed when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import Any, Protocol

import orjson

from loadtests.judge import decoded
from loadtests.tokens import TokenStream
from measurements.sample import Outcome


class ResponseError(Exception):
    """Raised by `raise_for_status`; inside a with-block it marks the response as failed."""


class Answer(Protocol):
    """What a response takes from the connection that carried it."""

    status: int
    head: bytes
    body: list[bytes]
    sent_ns: int
    done_ns: int


def unasked(outcome: Outcome, error: str) -> None:
    """The report of a response outside catch_response: its row is written already."""


class Headers(dict[str, str]):
    """Case-insensitive look-up; values of a repeated header are joined with a comma."""

    @classmethod
    def parse(cls, head: bytes) -> Headers:
        found = cls()
        for line in head.split(b"\r\n\r\n", 1)[0].split(b"\r\n")[1:]:
            name, _, value = line.decode("latin-1").partition(":")
            key, value = name.strip().lower(), value.strip()
            dict.__setitem__(found, key, f"{found[key]}, {value}" if key in found else value)
        return found

    def __getitem__(self, key: str) -> str:
        return dict.__getitem__(self, key.lower())

    def get(self, key: str, default: Any = None) -> Any:
        return dict.get(self, key.lower(), default)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and dict.__contains__(self, key.lower())


class Response:
    """`status_code` is 0 and `error` says why when there was no answer. In `with … catch_response=True`, `success` and
    `failure` decide what is recorded."""

    __slots__ = (
        "_body", "_content", "_elapsed_ns", "_head", "_manual", "error", "outcome", "report", "status_code", "tokens", "url",
    )  # fmt: skip

    def __init__(
        self, url: str, answer: Answer, verdict: tuple[Outcome, str], tokens: TokenStream | None = None
    ) -> None:
        self.url, self.tokens = url, tokens
        self.outcome, self.error = verdict
        self.status_code = max(answer.status, 0)
        self._elapsed_ns = answer.done_ns - answer.sent_ns
        self._head, self._body = answer.head, answer.body
        self._content: bytes | None = None
        self._manual: tuple[Outcome, str] | None = None
        self.report: Callable[[Outcome, str], None] = unasked

    @property
    def elapsed_s(self) -> float:
        return self._elapsed_ns / 1e9

    @property
    def elapsed(self) -> timedelta:
        return timedelta(microseconds=self._elapsed_ns / 1000)

    @property
    def reason(self) -> str:
        """The words behind the status."""
        return self._head.partition(b"\r\n")[0].decode("latin-1").partition(" ")[2].partition(" ")[2]

    @property
    def cookies(self) -> dict[str, str]:
        """What this answer set."""
        lines = (line for line in self._head.split(b"\r\n") if line[:11].lower() == b"set-cookie:")
        pairs = (line[11:].decode("latin-1").partition(";")[0].strip().partition("=") for line in lines)
        return {name: value for name, _, value in pairs if name}

    @property
    def headers(self) -> Headers:
        return Headers.parse(self._head)

    @property
    def content(self) -> bytes:
        """The body, decoded from its content-encoding; b"" where that cannot be done."""
        if self._content is None:
            try:
                self._content = decoded(b"".join(self._body), self._head)
            except ValueError as error:
                self._content, self.error = b"", self.error or str(error)
        return self._content

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        return orjson.loads(self.content)

    def iter_lines(self) -> Iterator[bytes]:
        yield from self.content.splitlines()

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.ok

    def __bool__(self) -> bool:
        return self.ok

    def raise_for_status(self) -> None:
        if not self.ok:
            raise ResponseError(self.error or f"status {self.status_code}")

    # ------------------------------------------------------------------ catch_response

    def success(self) -> None:
        self._manual = (Outcome.ok, "")

    def failure(self, why: str | Exception) -> None:
        self._manual = (Outcome.unexpected_body if self.outcome is Outcome.ok else self.outcome, str(why))

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        swallow = False
        if error is not None and self._manual is None:
            swallow = isinstance(error, ResponseError | AssertionError)
            why = str(error) or type(error).__name__
            self.failure(why if swallow else f"the with-block raised {type(error).__name__}: {error}")
        self.report(*(self._manual or (self.outcome, self.error)))
        return swallow
