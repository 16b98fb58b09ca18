"""What both providers' dialects have in common: a call, its usage and timing, the frames of its stream, an error."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from targets.reference.llm.protocol import Headers, Request
from targets.reference.llm.quota import QuotaState
from targets.reference.llm.text import Answer, Ask

MARK: Headers = [(b"x-emulator", b"plimsoll"), (b"server", b"plimsoll-emulator")]
JSON: Headers = [*MARK, (b"content-type", b"application/json")]
EVENTS: Headers = [*MARK, (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


class ApiError(Exception):
    """A request is refused with this status; `kind` is the reason in no provider's words."""

    def __init__(
        self, status: int, kind: str, message: str, param: str | None = None, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.param = status, kind, message, param
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Call:
    """A request understood: what is asked, and how the answer is wanted."""

    ask: Ask
    prompt_tokens: int
    stream: bool
    with_usage: bool  # the stream ends with usage


@dataclass(slots=True)
class Timing:
    """The server's own stamps, CLOCK_MONOTONIC nanoseconds: request read, first token and last token written."""

    received_ns: int
    first_token_ns: int = 0
    done_ns: int = 0

    def json(self) -> str:
        return f'{{"received_ns":{self.received_ns},"first_token_ns":{self.first_token_ns},"done_ns":{self.done_ns}}}'


@dataclass(frozen=True)
class Frames:
    """A stream's events: `opening`, then before + piece + after for every token, then `closing(timing)`."""

    opening: bytes
    before: bytes
    after: bytes
    closing: Callable[[Timing], bytes]


class Dialect(Protocol):
    """One provider's way of speaking."""

    name: str

    def parse(self, body: dict[str, Any]) -> Call: ...
    def frames(self, call: Call, answer: Answer, number: int, created_s: int) -> Frames: ...
    def whole(self, call: Call, answer: Answer, number: int, created_s: int, timing: Timing) -> bytes: ...
    def error(self, error: ApiError) -> bytes: ...
    def quota_headers(self, states: dict[str, QuotaState], now_unix_s: float) -> Headers: ...


def read_json(request: Request) -> dict[str, Any]:
    """The body as an object; ApiError 400 if it is none."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise ApiError(400, "invalid_request", "The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise ApiError(400, "invalid_request", "The request body must be a JSON object.")
    return body


def integer(body: dict[str, Any], key: str, low: int) -> int | None:
    """A whole number ≥ low or None; ApiError 400 for anything else."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ApiError(400, "invalid_request", f"'{key}' must be a whole number of at least {low}.", key)
    return value


def flag(body: dict[str, Any], key: str) -> bool:
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        raise ApiError(400, "invalid_request", f"'{key}' must be true or false.", key)
    return bool(value)


def text_of(content: object, where: str) -> str:
    """The text of a message: a string, null, or a list of text parts; ApiError 400 for anything else."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        parts = [text for text in texts if isinstance(text, str)]
        if len(parts) == len(content):
            return "\n".join(parts)
    raise ApiError(400, "invalid_request", f"'{where}' must be a string or a list of text parts.", where)


def conversation(body: dict[str, Any]) -> list[tuple[str, str]]:
    """`messages` as (role, text); ApiError 400 if there are none or they are malformed."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "invalid_request", "'messages' must be a list with at least one message.", "messages")
    found = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ApiError(400, "invalid_request", f"'messages.{index}' must be an object with a role.", "messages")
        found.append((message["role"], text_of(message.get("content"), f"messages.{index}.content")))
    return found
