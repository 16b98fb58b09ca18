"""OpenAI's chat completions and embeddings, as documented at platform.openai.com/docs/api-reference."""

import base64
import json
from typing import Any

import numpy as np

from targets.reference.embedding import count_tokens
from targets.reference.llm.api import ApiError, Call, Frames, Timing, conversation, flag, integer
from targets.reference.llm.protocol import Headers
from targets.reference.llm.quota import QuotaState
from targets.reference.llm.text import Answer, Ask

FINGERPRINT = "fp_plimsoll_emulator"
_MESSAGE_TOKENS = 4  # role and separators of a message
_KINDS = {
    "invalid_request": ("invalid_request_error", None),
    "context_length": ("invalid_request_error", "context_length_exceeded"),
    "not_found": ("invalid_request_error", "unknown_url"),
    "rate_limit": ("requests", "rate_limit_exceeded"),
    "overloaded": ("server_overloaded", "engine_overloaded"),
    "upstream": ("api_error", "upstream_error"),
    "not_recorded": ("invalid_request_error", "not_recorded"),
}


class OpenAI:
    """The dialect of /v1/chat/completions. One choice, text only."""

    name = "openai"

    def __init__(self, model: str) -> None:
        self._model = model

    def parse(self, body: dict[str, Any]) -> Call:
        messages = conversation(body)
        if (integer(body, "n", 1) or 1) > 1:
            raise ApiError(400, "invalid_request", "The emulator writes one choice; 'n' must be 1.", "n")
        max_tokens = integer(body, "max_completion_tokens", 1) or integer(body, "max_tokens", 1)
        options = body.get("stream_options")
        ask = Ask(
            messages=tuple(messages),
            max_tokens=max_tokens or 0,
            min_tokens=integer(body, "min_tokens", 0) or 1,
            exact_length=flag(body, "ignore_eos") and max_tokens is not None,
            json_keys=_json_keys(body.get("response_format")),
        )
        return Call(
            ask=ask,
            prompt_tokens=sum(count_tokens(text) + _MESSAGE_TOKENS for _, text in messages),
            stream=flag(body, "stream"),
            with_usage=isinstance(options, dict) and flag(options, "include_usage"),
        )

    def frames(self, call: Call, answer: Answer, number: int, created_s: int) -> Frames:
        head = b'data: {"id":"chatcmpl-plimsoll-%d","object":"chat.completion.chunk","created":%d,"model":%b,' % (
            number, created_s, json.dumps(self._model).encode(),
        )  # fmt: skip
        head += b'"system_fingerprint":"%b","choices":[' % FINGERPRINT.encode()
        tail = b'],"usage":null}\n\n' if call.with_usage else b"]}\n\n"
        delta = head + b'{"index":0,"delta":'
        reason = b"length" if answer.cut else b"stop"

        def closing(timing: Timing) -> bytes:
            events = delta + b'{},"logprobs":null,"finish_reason":"%b"}' % reason + tail
            if call.with_usage:
                usage = _usage(call.prompt_tokens, len(answer.pieces))
                events += head + f'],"usage":{usage},"plimsoll":{timing.json()}}}\n\n'.encode()
            return events + b"data: [DONE]\n\n"

        return Frames(
            opening=delta
            + b'{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}'
            + tail,
            before=delta + b'{"content":',
            after=b'},"logprobs":null,"finish_reason":null}' + tail,
            closing=closing,
        )

    def whole(self, call: Call, answer: Answer, number: int, created_s: int, timing: Timing) -> bytes:
        reason = "length" if answer.cut else "stop"
        return b'{"id":"chatcmpl-plimsoll-%d","object":"chat.completion","created":%d,"model":%b,' % (
            number, created_s, json.dumps(self._model).encode(),
        ) + (
            b'"choices":[{"index":0,"message":{"role":"assistant","content":%b,"refusal":null},"logprobs":null,'
            b'"finish_reason":"%b"}],"usage":%b,"system_fingerprint":"%b","plimsoll":%b}'
        ) % (
            answer.literal, reason.encode(), _usage(call.prompt_tokens, len(answer.pieces)).encode(),
            FINGERPRINT.encode(), timing.json().encode(),
        )  # fmt: skip

    def error(self, error: ApiError) -> bytes:
        kind, code = _KINDS[error.kind]
        inner = {"message": error.message, "type": kind, "param": error.param, "code": code}
        return json.dumps({"error": inner}, ensure_ascii=False).encode(errors="replace")

    def quota_headers(self, states: dict[str, QuotaState], now_unix_s: float) -> Headers:
        headers: Headers = []
        for name, state in states.items():
            headers += [
                (f"x-ratelimit-limit-{name}".encode(), b"%d" % state.limit),
                (f"x-ratelimit-remaining-{name}".encode(), b"%d" % state.remaining),
                (f"x-ratelimit-reset-{name}".encode(), _duration(state.reset_s).encode()),
            ]
        return headers


def embedding_inputs(body: dict[str, Any], dimensions: int) -> tuple[list[str], int, bool]:
    """Texts, dimensions and whether base64 is wanted; ApiError 400 for anything that OpenAI would refuse."""
    given = body.get("input")
    if isinstance(given, str) or (isinstance(given, list) and given and isinstance(given[0], int)):
        given = [given]
    if not isinstance(given, list) or not given or len(given) > 2048:
        raise ApiError(400, "invalid_request", "'input' must be a string or a list of 1 to 2,048 strings.", "input")
    texts = []
    for item in given:
        if isinstance(item, list) and all(isinstance(token, int) for token in item):
            item = " ".join(map(str, item))  # token numbers: no tokenizer to read them with  # noqa: PLW2901
        if not isinstance(item, str) or not item:
            raise ApiError(400, "invalid_request", "each 'input' must be a string that is not empty.", "input")
        texts.append(item)
    wanted = integer(body, "dimensions", 1) or dimensions
    if wanted > dimensions:
        raise ApiError(400, "invalid_request", f"'dimensions' must be at most {dimensions}.", "dimensions")
    coding = body.get("encoding_format", "float")
    if coding not in ("float", "base64"):
        raise ApiError(400, "invalid_request", "'encoding_format' must be float or base64.", "encoding_format")
    return texts, wanted, coding == "base64"


def embeddings(vectors: np.ndarray, model: str, tokens: int, as_base64: bool) -> bytes:
    """The body of an answer of /v1/embeddings; vectors of shape (inputs, dimensions)."""
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode() if as_base64 else row.tolist(),
        }
        for index, row in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json.dumps({"object": "list", "data": data, "model": model, "usage": usage}).encode()


def _usage(prompt: int, completion: int) -> str:
    return f'{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{prompt + completion}}}'


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def _json_keys(wanted: object) -> tuple[tuple[str, str], ...] | None:
    if not isinstance(wanted, dict) or wanted.get("type") not in ("json_object", "json_schema"):
        return None
    schema: Any = wanted
    for key in ("json_schema", "schema", "properties"):
        schema = schema.get(key) if isinstance(schema, dict) else None
    if not isinstance(schema, dict):
        return ()
    kinds = ((key, value.get("type") if isinstance(value, dict) else None) for key, value in schema.items())
    return tuple((key, kind if isinstance(kind, str) else "string") for key, kind in kinds)
