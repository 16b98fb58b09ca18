"""The upstream LLM over HTTP: embeddings, Anthropic messages, OpenAI chat (plain and streamed)."""

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from targets.reference.embedding import embed

KEY_VARIABLE = "PLIMSOLL_UPSTREAM_API_KEY"  # a real provider's key; the emulator asks for none
REFUSALS = (429, 503, 529)
MOST_WORDS = 200
LOCAL = "local"
LOCAL_EMBEDDINGS = (
    "local: computed by the service itself; the collection that comes along is made of the emulator's vectors, so a real "
    "provider's do not fit it"
)


class UpstreamError(Exception):
    """The upstream did not give an answer. `status` is what our own client should be told: 502, 503 or 504."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Completion:
    text: str
    model: str
    tokens_in: int
    tokens_out: int


class Upstream:
    """One pool of keep-alive connections to one provider."""

    def __init__(self, base_url: str, connections: int = 200, timeout_s: float = 30.0) -> None:
        key = os.environ.get(KEY_VARIABLE) or "reference-service"
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=httpx.Timeout(timeout_s, pool=timeout_s),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            headers={"Authorization": f"Bearer {key}", "x-api-key": key, "anthropic-version": "2023-06-01"},
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def _request(self, method: str, path: str, body: Any = None, timeout_s: float | None = None) -> Any:
        extra: dict[str, Any] = {} if timeout_s is None else {"timeout": timeout_s}
        try:
            response = await self._client.request(method, path, json=body, **extra)
        except httpx.TimeoutException as error:
            raise UpstreamError(504, f"upstream {path} timed out ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise UpstreamError(502, f"upstream {path} failed ({type(error).__name__})") from error
        await _check(response, path)
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise UpstreamError(502, f"upstream {path} did not answer with JSON") from error

    async def models(self, timeout_s: float = 2.0) -> int:
        """How many models the provider lists: a check that costs no tokens."""
        return len((await self._request("GET", "/v1/models", timeout_s=timeout_s))["data"])

    async def embed(self, text: str, model: str) -> list[float]:
        """The vector of a text; model "local": our own, computed here."""
        if model == LOCAL:
            return [float(value) for value in embed([text])[0]]
        body = await self._request("POST", "/v1/embeddings", {"model": model, "input": text})
        return list(body["data"][0]["embedding"])

    async def message(self, model: str, system: str, user: str, max_tokens: int) -> Completion:
        """Anthropic's POST /v1/messages."""
        request = {
            "model": model,
            "max_tokens": max_tokens,
            "system": system,
            "messages": [{"role": "user", "content": user}],
        }
        body = await self._request("POST", "/v1/messages", request)
        text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
        return Completion(text, body["model"], body["usage"]["input_tokens"], body["usage"]["output_tokens"])

    async def chat(self, model: str, messages: Sequence[dict[str, str]], max_tokens: int) -> Completion:
        """OpenAI's POST /v1/chat/completions."""
        request = {"model": model, "max_tokens": max_tokens, "messages": list(messages)}
        body = await self._request("POST", "/v1/chat/completions", request)
        usage = body["usage"]
        text = body["choices"][0]["message"]["content"]
        return Completion(text, body["model"], usage["prompt_tokens"], usage["completion_tokens"])

    async def chat_stream(
        self, model: str, messages: Sequence[dict[str, str]], max_tokens: int
    ) -> AsyncIterator[str | Completion]:
        """The pieces of text of a streamed chat completion as they come, then the whole as a Completion."""
        request = {
            "model": model,
            "max_tokens": max_tokens,
            "messages": list(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        pieces: list[str] = []
        usage: dict[str, int] = {}
        try:
            async with self._client.stream("POST", "/v1/chat/completions", json=request) as response:
                await _check(response, "/v1/chat/completions")
                async for line in response.aiter_lines():
                    data = line[5:].strip() if line.startswith("data:") else ""
                    if data == "[DONE]":
                        break
                    event = orjson.loads(data) if data else {}
                    usage = event.get("usage") or usage
                    choices = event.get("choices") or []
                    if choices and (piece := choices[0]["delta"].get("content")):
                        pieces.append(piece)
                        yield piece
        except httpx.TimeoutException as error:
            raise UpstreamError(504, f"upstream stream timed out ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise UpstreamError(502, f"upstream stream failed ({type(error).__name__})") from error
        yield Completion("".join(pieces), model, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))


async def _check(response: httpx.Response, path: str) -> None:
    """A refusal is handed on with the provider's reason: whose limit it was is told apart by nothing else."""
    status = response.status_code
    if status in REFUSALS:
        reason = _reason(await response.aread())
        raise UpstreamError(503, f"upstream {path} refused with {status}{reason}")
    if status >= 400:
        raise UpstreamError(502, f"upstream {path} answered {status}")


def _reason(body: bytes) -> str:
    """ ": Rate limit reached …" of an error in OpenAI's or Anthropic's shape; "" of any other."""
    try:
        return f": {orjson.loads(body)['error']['message']}"[:MOST_WORDS]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
