"""A proxy before a real provider that writes down every exchange with the time of each token, and what it cost."""

import asyncio
import contextlib
import ipaddress
import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio._backends._asyncio  # noqa: F401  (httpx loads it within its first request, whose timing is recorded)
import httpx

from targets.reference.embedding import count_tokens
from targets.reference.llm import recording, redaction
from targets.reference.llm.anthropic_api import Anthropic
from targets.reference.llm.api import JSON, ApiError
from targets.reference.llm.driver import clock_ns
from targets.reference.llm.openai_api import OpenAI
from targets.reference.llm.protocol import Exchange, Headers, Request
from targets.reference.llm.recording import Recorded

_NOT_FORWARDED = {
    b"host", b"content-length", b"connection", b"transfer-encoding", b"accept-encoding", b"keep-alive", b"expect",
    b"te", b"upgrade", b"proxy-authorization", b"proxy-connection",
}  # fmt: skip
_NOT_RETURNED = {"content-length", "connection", "transfer-encoding", "content-encoding", "keep-alive", "set-cookie"}


@dataclass(frozen=True)
class Price:
    """What tokens cost, and what may be spent; None: no limit, for upstreams that cost nothing."""

    per_1k_in_usd: float = 0.0
    per_1k_out_usd: float = 0.0
    max_usd: float | None = None

    def of(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.per_1k_in_usd + tokens_out * self.per_1k_out_usd) / 1000


def is_private(url: str) -> bool:
    """Whether every address of the URL's host is loopback or private; a host that cannot be resolved is not."""
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname, None)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(entry[4][0]).split("%")[0]).is_private for entry in found)


class Recorder:
    """Forwards everything but /health to the upstream and appends each finished exchange to the file."""

    def __init__(self, loop: asyncio.AbstractEventLoop, upstream: str, out: Path, price: Price) -> None:
        self._loop, self._upstream, self._price = loop, upstream.rstrip("/"), price
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(600, connect=10),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            trust_env=not is_private(upstream),
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._began_ns = clock_ns()
        self._spent_usd = self._promised_usd = 0.0
        self.recorded = self.left_out = 0
        self._file = out.open("w", encoding="utf-8")
        self._write(recording.head_line(upstream, self._began_ns, price.per_1k_in_usd, price.per_1k_out_usd))

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Forward a request; its answer goes back as it comes."""
        if request.path == b"/health":
            report = {"status": "ok", "recorded": self.recorded, "left_out": self.left_out, "usd": self._spent_usd}
            exchange.respond(200, JSON, json.dumps(report).encode())
            return
        task = self._loop.create_task(self._forward(request, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        exchange.on_disconnect = task.cancel

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()
        self._file.close()
        cost = f", {self._spent_usd:.4f} USD" if self._price.per_1k_in_usd or self._price.per_1k_out_usd else ""
        print(f"llm: {self.recorded} exchanges recorded, {self.left_out} left out (cut short){cost}.", file=sys.stderr)

    async def _forward(self, request: Request, exchange: Exchange) -> None:
        path = request.path.split(b"?", 1)[0].decode("utf-8", "replace")
        dialect = Anthropic("") if path.endswith("/messages") else OpenAI("")
        body = _json(request.body)
        promised_usd = self._price.of(recording.count_request(body), _max_tokens(body))
        begun = False
        self._promised_usd += promised_usd
        try:
            limit = self._price.max_usd
            if limit is not None and self._spent_usd + self._promised_usd > limit:
                raise ApiError(429, "rate_limit", f"The recording's budget of {limit} USD does not cover this request.")
            async with self._client.stream(
                request.method.decode(),
                _join(self._upstream, request.path.decode("utf-8", "replace")),
                content=request.body,
                headers=_forwarded(request.headers),
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                streamed = headers.get("content-type", "").startswith("text/event-stream")
                if streamed:
                    begun = True
                    exchange.begin(response.status_code, _returned(headers))
                    events = await _pass_on(response, request.received_ns, exchange)
                else:
                    whole = await response.aread()
                    events = [(clock_ns() - request.received_ns, whole.decode("utf-8", "replace"))]
                    exchange.respond(response.status_code, _returned(headers), whole)
            done_ns = clock_ns() - request.received_ns
            if streamed:
                exchange.end()
            self._note(
                request, path, body, status=response.status_code, headers=headers, events=events, done_ns=done_ns
            )
        except ApiError as error:
            exchange.respond(error.status, [*JSON, (b"retry-after", b"3600")], dialect.error(error))
        except httpx.HTTPError as error:
            self.left_out += 1
            message = f"The upstream did not answer: {type(error).__name__} {error}".strip()
            if begun:
                exchange.break_off()
            else:
                exchange.respond(502, JSON, dialect.error(ApiError(502, "upstream", message)))
        except asyncio.CancelledError:  # the client left, or the recorder stops
            self.left_out += 1
            raise
        finally:
            self._promised_usd -= promised_usd

    def _note(
        self,
        request: Request,
        path: str,
        body: Any,
        *,
        status: int,
        headers: dict[str, str],
        events: list[tuple[int, str]],
        done_ns: int,
    ) -> None:
        recorded = Recorded(
            hash=recording.request_hash(request.method.decode(), path, body),
            method=request.method.decode(),
            path=path,
            request=redaction.json_value(body),
            status=status,
            headers=redaction.headers(headers),
            received_ns=request.received_ns - self._began_ns,
            done_ns=done_ns,
            events=[(at_ns, redaction.text(event)) for at_ns, event in events],
            trace=recording.trace_of(request.headers),
        )
        usage = recording.usage_of((event for _, event in events), recorded.streamed)
        if usage:
            recorded.prompt_tokens, recorded.completion_tokens = usage
            recorded.tokens_source = "provider"
        elif recorded.streamed:
            recorded.prompt_tokens = recording.count_request(body)
            recorded.completion_tokens = sum(count_tokens(recording.content_of(event)) for _, event in events)
            recorded.tokens_source = "counted"
        cost_usd = self._price.of(recorded.prompt_tokens, recorded.completion_tokens)
        recorded.cost_usd = cost_usd if self._price.per_1k_in_usd or self._price.per_1k_out_usd else None
        self._spent_usd += cost_usd
        self.recorded += 1
        self._write(recording.line(recorded))

    def _write(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()


async def _pass_on(response: httpx.Response, received_ns: int, exchange: Exchange) -> list[tuple[int, str]]:
    """Hand the stream on as it comes; its events, each with the time at which its end was read."""
    events: list[tuple[int, str]] = []
    rest = b""
    async for part in response.aiter_raw():
        at_ns = clock_ns() - received_ns
        exchange.write(exchange.frame(part))
        *whole, rest = (rest + part).replace(b"\r\n", b"\n").split(b"\n\n")
        events += [(at_ns, event.decode("utf-8", "replace") + "\n\n") for event in whole]
    if rest:
        events.append((clock_ns() - received_ns, rest.decode("utf-8", "replace")))
    return events


def _forwarded(headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers.items() if name not in _NOT_FORWARDED]
    return [*kept, (b"accept-encoding", b"identity")]


def _returned(headers: dict[str, str]) -> Headers:
    return [
        (name.encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in headers.items()
        if name not in _NOT_RETURNED
    ]


def _join(upstream: str, path: str) -> str:
    """https://host/v1 and /v1/messages meet in https://host/v1/messages."""
    prefix = urlsplit(upstream).path
    return upstream + (path.removeprefix(prefix) if prefix and path.startswith(prefix + "/") else path)


def _json(body: bytes) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(body)
    return body.decode("utf-8", "replace")


def _max_tokens(body: Any) -> int:
    """The most that an answer may have; 4,096 where a request names no limit."""
    if not isinstance(body, dict) or "messages" not in body:
        return 0
    asked = body.get("max_completion_tokens") or body.get("max_tokens")
    return asked if isinstance(asked, int) else 4096
