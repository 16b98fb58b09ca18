"""A small closed-loop client for token streams: enough to record an engine and to lay an emulator beside it.

Loads go through the load generator; this one exists because an engine's accuracy is measured below it.
"""

import asyncio
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools
import numpy as np

from targets.reference.llm.driver import clock_ns
from targets.reference.llm.recording import content_of


@dataclass(frozen=True)
class Level:
    """What so many streams at once got: times in ms, throughput in content events per second."""

    streams: int
    ttft_ms: float  # mean
    ttft_p95_ms: float
    itl_ms: float  # mean
    itl_p95_ms: float
    tokens_per_s: float
    requests: int


class _Reader:
    """Notes when each event with content had been read."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.token_ns: list[int] = []
        self.read_ns = 0
        self.complete = False
        self._rest = b""

    def on_body(self, part: bytes) -> None:
        *events, self._rest = (self._rest + part).replace(b"\r\n", b"\n").split(b"\n\n")
        self.token_ns += [self.read_ns for event in events if content_of(event.decode("utf-8", "replace"))]

    def on_message_complete(self) -> None:
        self.complete = True


def closed_loop(url: str, streams: int, requests_each: int, prompts: list[str], tokens: int, model: str) -> Level:
    """Run `streams` clients that each send `requests_each` chat requests, one after the other.

    Every prompt gets a number in front, so that no prefix cache knows it. Answers have from 0.6 to 1.4 `tokens`, so
    that clients do not march in step. ConnectionError when an answer fails.
    """
    return asyncio.run(_closed_loop(url, streams, requests_each, prompts, tokens, model))


async def _closed_loop(
    url: str, streams: int, requests_each: int, prompts: list[str], tokens: int, model: str
) -> Level:
    ttft_ms: list[float] = []
    gaps_ms: list[float] = []
    began_ns = clock_ns()

    async def client(number: int) -> int:
        written = 0
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for turn in range(requests_each):
            prompt = f"{number * requests_each + turn} {prompts[(number + turn) % len(prompts)]}"
            max_tokens = round(tokens * (0.6 + 0.8 * ((number * 7 + turn * 3) % 11) / 10))
            sent_ns, token_ns = await _exchange(reader, writer, _request(prompt, max_tokens, model))
            ttft_ms.append((token_ns[0] - sent_ns) / 1e6)
            gaps_ms.extend(np.diff(token_ns) / 1e6)
            written += len(token_ns)
        writer.close()
        return written

    written = sum(await asyncio.gather(*(client(number) for number in range(streams))))
    took_s = (clock_ns() - began_ns) / 1e9
    return Level(
        streams=streams,
        ttft_ms=float(np.mean(ttft_ms)),
        ttft_p95_ms=float(np.quantile(ttft_ms, 0.95)),
        itl_ms=float(np.mean(gaps_ms)),
        itl_p95_ms=float(np.quantile(gaps_ms, 0.95)),
        tokens_per_s=written / took_s,
        requests=len(ttft_ms),
    )


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, list[int]]:
    """Send a request; when it was sent, and when each token of its answer was read. ConnectionError without tokens."""
    got = _Reader()
    sent_ns = clock_ns()
    writer.write(request)
    while not got.complete:
        part = await reader.read(65536)
        got.read_ns = clock_ns()
        if not part:
            raise ConnectionError("the engine closed the connection in the middle of an answer")
        got.parser.feed_data(part)
    if not got.token_ns:
        raise ConnectionError(f"the engine answered {got.parser.get_status_code()} without a token")
    return sent_ns, got.token_ns


def _request(prompt: str, max_tokens: int, model: str) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}
    body |= {"stream": True, "temperature": 0}  # no more: transformers refuses what it does not know
    data = json.dumps(body).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
    )
