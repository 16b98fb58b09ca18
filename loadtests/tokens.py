"""When a stream's tokens came: OpenAI deltas, Anthropic deltas, and plain `data:` text.

TTFT is the first event with content. A role-only, empty or reasoning delta is none; reasoning is timed apart. Tokens in
one event are counted by the server's usage where it gives one, else by a tokenizer where there is one (both spread over
the events by their length), else an event is one token; each marked so.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any, TypeGuard

from orjson import loads

from loadtests.sse import EventReader
from measurements.sample import NULL, Outcome

USAGE, EVENTS, TOKENIZER = 1, 2, 3  # indices in sample.TOKENS_SOURCES
MAX_TOKENS_PER_CHARACTER = 4  # a token has at least one byte, a character at most four; no usage over that is believed
READ_AT_ONCE_BYTES = 4_096  # of held chunks: some twenty events, a fraction of a millisecond
PLAIN_KEYS = ("content", "text", "token", "delta", "answer", "response", "message")


class TokenStream:
    """Of one streamed answer: `hear` only notes what came when; `read` understands it, some events at a time.
    Fields after that: at_ns, sizes, usage_in, usage_out, finished, error."""

    def __init__(self, count_tokens: Callable[[str], int] | None = None) -> None:
        self.reader = EventReader()
        self._chunks: list[bytes] = []
        self._came_ns: list[int] = []
        self._held_bytes = 0
        self._count_tokens = count_tokens
        self._texts: list[str] = []
        self._counts: tuple[int, int, list[int]] | None = None
        self.at_ns = array("q")
        self.sizes = array("i")
        self.first_reasoning_ns = NULL
        self.usage_in = self.usage_out = NULL
        self.finished = False
        self.has_protocol = False
        self.error = ""
        self.error_outcome = Outcome.protocol_error

    def hear(self, chunk: bytes, at_ns: int) -> None:
        self._chunks.append(chunk)
        self._came_ns.append(at_ns)
        self._held_bytes += len(chunk)
        if self._held_bytes > READ_AT_ONCE_BYTES:
            self.read()

    def read(self) -> None:
        """Takes in what was held until now."""
        chunks, came_ns = self._chunks, self._came_ns
        if not chunks:
            return
        self._chunks, self._came_ns, self._held_bytes = [], [], 0
        if self.error:
            return
        try:
            whole = self.reader.one_each(chunks)
            if whole is not None:
                self._take(zip(repeat(b""), whole, came_ns))
            else:
                self._take(
                    (kind, data, at_ns)
                    for chunk, at_ns in zip(chunks, came_ns, strict=True)
                    for kind, data in self.reader.feed(chunk)
                )
        except ValueError as error:
            self._malformed(str(error))
        except (AttributeError, TypeError, LookupError):
            self._malformed("JSON of an unexpected shape")

    def _malformed(self, why: str) -> None:
        self.error = self.error or f"malformed event stream: {why}"
        self.reader = EventReader()

    def _take(self, events: Iterable[tuple[bytes, bytes, int]]) -> None:
        """(event type, data, when it came): OpenAI's shape here, since each event costs, others in methods."""
        for kind, data, at_ns in events:
            if data[:1] != b"{":
                self._plain(data, at_ns)
                continue
            event = loads(data)
            choices = event.get("choices")
            if choices is None:
                self._other(kind, event, at_ns)
                if self.error:
                    return  # what comes behind an error counts no more
                continue
            self.has_protocol = True
            if choices:
                choice = choices[0]
                delta = choice.get("delta") or choice
                text = delta.get("content") or delta.get("text")
                if text:
                    self.sizes.append(len(text))
                    self.at_ns.append(at_ns)
                    if self._count_tokens is not None:
                        self._texts.append(str(text))
                elif self.first_reasoning_ns == NULL and (delta.get("reasoning_content") or delta.get("reasoning")):
                    self.first_reasoning_ns = at_ns
                if choice.get("finish_reason"):
                    self.finished = True
            usage = event.get("usage")
            if usage:
                self._usage(usage)

    def _plain(self, data: bytes, at_ns: int) -> None:
        if data == b"[DONE]":
            self.finished = True
        elif data:
            self._content(data.decode("utf-8", "replace") if self._count_tokens else data, at_ns)

    def _other(self, kind: bytes, event: dict[str, Any], at_ns: int) -> None:
        if event.get("error"):
            self._failed(event["error"])
        elif "type" in event:
            self._anthropic(event, at_ns)
        else:
            text = next((event[key] for key in PLAIN_KEYS if isinstance(event.get(key), str)), "")
            if text:
                self._content(text, at_ns)
            if kind in (b"done", b"end") or event.get("done") is True:
                self.finished = True
            if event.get("usage"):
                self._usage(event["usage"])

    def _anthropic(self, event: dict[str, Any], at_ns: int) -> None:
        kind = event["type"]
        if kind == "content_block_delta":
            self.has_protocol = True
            delta = event.get("delta") or {}
            if delta.get("text"):
                self._content(delta["text"], at_ns)
            elif self.first_reasoning_ns == NULL and delta.get("thinking"):
                self.first_reasoning_ns = at_ns
        elif kind == "message_start":
            self.has_protocol = True
            self._usage((event.get("message") or {}).get("usage") or {}, final=False)
        elif kind == "message_delta":
            self._usage(event.get("usage") or {})
        elif kind == "message_stop":
            self.finished = True
        elif isinstance(event.get("text") or event.get("content"), str):
            self._content(event.get("text") or event["content"], at_ns)

    def _content(self, text: str | bytes, at_ns: int) -> None:
        self.sizes.append(len(text))
        self.at_ns.append(at_ns)
        if self._count_tokens is not None:
            self._texts.append(str(text))

    def _usage(self, usage: dict[str, Any], final: bool = True) -> None:
        """Tokens of hidden or streamed reasoning are no part of the answer that is timed."""
        given_in = usage.get("prompt_tokens", usage.get("input_tokens"))
        given_out = usage.get("completion_tokens", usage.get("output_tokens"))
        if _is_count(given_in):
            self.usage_in = given_in
        if final and _is_count(given_out):
            details = usage.get("completion_tokens_details") or {}
            reasoning = details.get("reasoning_tokens")
            self.usage_out = max(0, given_out - (reasoning if _is_count(reasoning) else 0))

    def _failed(self, error: Any) -> None:
        self.error = f"error event: {error.get('message', error) if isinstance(error, dict) else error}"[:300]
        self.error_outcome = Outcome.http_error

    # ------------------------------------------------------------------ after the end

    @property
    def first_token_ns(self) -> int:
        self.read()
        return self.at_ns[0] if self.at_ns else NULL

    def verdict(self) -> tuple[Outcome, str]:
        """ok, or why the stream is not a whole answer."""
        self.read()
        if self.error:
            return self.error_outcome, self.error
        if self.has_protocol and not self.finished:
            return Outcome.protocol_error, "the stream was cut before its end marker"
        if self.reader.pending:
            return Outcome.protocol_error, "the stream was cut inside an event"
        return Outcome.ok, ""

    def counts(self) -> tuple[int, int, list[int]]:
        """(tokens_out, source, tokens per content event)."""
        self.read()
        if self._counts is None:
            self._counts = self._counted()
        return self._counts

    def _counted(self) -> tuple[int, int, list[int]]:
        events = len(self.at_ns)
        if events == 0:
            return 0, EVENTS, []
        if self.usage_out != NULL and self.usage_out <= MAX_TOKENS_PER_CHARACTER * sum(self.sizes):
            number, source = self.usage_out, USAGE
        elif self._count_tokens is not None:
            number = self._count_tokens("".join(self._texts))
            source = TOKENIZER
        else:
            return events, EVENTS, [1] * events
        return number, source, [1] * events if number <= events else _spread(number, self.sizes)


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _spread(total: int, sizes: array[int]) -> list[int]:
    """`total` tokens over events in proportion to their length, at least one each, adding up exactly."""
    spare, weight, given, upto, found = total - len(sizes), sum(sizes), 0, 0, []
    for size in sizes:
        upto += size
        share = spare * upto // weight - given
        given += share
        found.append(1 + share)
    return found
