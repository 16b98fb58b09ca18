"""Anthropic's messages, as documented at docs.anthropic.com/en/api/messages and …/messages-streaming."""

import json
from datetime import UTC, datetime
from typing import Any

from targets.reference.embedding import count_tokens
from targets.reference.llm.api import ApiError, Call, Frames, Timing, conversation, flag, integer, text_of
from targets.reference.llm.protocol import Headers
from targets.reference.llm.quota import QuotaState
from targets.reference.llm.text import Answer, Ask

_MESSAGE_TOKENS = 4
_KINDS = {
    "invalid_request": "invalid_request_error",
    "context_length": "invalid_request_error",
    "not_found": "not_found_error",
    "rate_limit": "rate_limit_error",
    "overloaded": "overloaded_error",
    "upstream": "api_error",
    "not_recorded": "not_found_error",
}


class Anthropic:
    """The dialect of /v1/messages. Text only."""

    name = "anthropic"

    def __init__(self, model: str) -> None:
        self._model = model

    def parse(self, body: dict[str, Any]) -> Call:
        messages = conversation(body)
        system = text_of(body.get("system"), "system")
        if system:
            messages.insert(0, ("system", system))
        max_tokens = integer(body, "max_tokens", 1)
        if max_tokens is None:
            raise ApiError(400, "invalid_request", "max_tokens: Field required", "max_tokens")
        return Call(
            ask=Ask(tuple(messages), max_tokens),
            prompt_tokens=sum(count_tokens(text) + _MESSAGE_TOKENS for _, text in messages),
            stream=flag(body, "stream"),
            with_usage=True,
        )

    def frames(self, call: Call, answer: Answer, number: int, created_s: int) -> Frames:
        message = self._message(call, number, [], None, {"input_tokens": call.prompt_tokens, "output_tokens": 1})
        opening = (
            _event("message_start", {"message": message})
            + _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
            + _event("ping", {})
        )

        def closing(timing: Timing) -> bytes:
            delta = {"stop_reason": _reason(answer), "stop_sequence": None}
            usage = {"output_tokens": len(answer.pieces)}
            stamps = json.loads(timing.json())
            return (
                _event("content_block_stop", {"index": 0})
                + _event("message_delta", {"delta": delta, "usage": usage, "plimsoll": stamps})
                + _event("message_stop", {})
            )

        return Frames(
            opening=opening,
            before=b"event: content_block_delta\n"
            b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":',
            after=b"}}\n\n",
            closing=closing,
        )

    def whole(self, call: Call, answer: Answer, number: int, created_s: int, timing: Timing) -> bytes:
        content = [{"type": "text", "text": json.loads(answer.literal)}]
        usage = {"input_tokens": call.prompt_tokens, "output_tokens": len(answer.pieces)}
        message = self._message(call, number, content, _reason(answer), usage)
        return json.dumps(message | {"plimsoll": json.loads(timing.json())}, ensure_ascii=False).encode()

    def error(self, error: ApiError) -> bytes:
        inner = {"type": _KINDS[error.kind], "message": error.message}
        return json.dumps({"type": "error", "error": inner}, ensure_ascii=False).encode(errors="replace")

    def quota_headers(self, states: dict[str, QuotaState], now_unix_s: float) -> Headers:
        headers: Headers = []
        for name, state in states.items():
            reset = datetime.fromtimestamp(now_unix_s + state.reset_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            headers += [
                (f"anthropic-ratelimit-{name}-limit".encode(), b"%d" % state.limit),
                (f"anthropic-ratelimit-{name}-remaining".encode(), b"%d" % state.remaining),
                (f"anthropic-ratelimit-{name}-reset".encode(), reset.encode()),
            ]
        return headers

    def _message(
        self, call: Call, number: int, content: list[dict[str, Any]], reason: str | None, usage: dict[str, int]
    ) -> dict[str, Any]:
        return {
            "id": f"msg_plimsoll_{number}", "type": "message", "role": "assistant", "model": self._model,
            "content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage,
        }  # fmt: skip


def _reason(answer: Answer) -> str:
    return "max_tokens" if answer.cut else "end_turn"


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name} | data, ensure_ascii=False)}\n\n".encode()
