"""A recording on disk: JSON lines, the first one a head, then one exchange a line. Version 1.

Head: `plimsoll_llm_recording` (version), `upstream`, `began_unix_s`, `began_monotonic_ns` and `boot_id` (whose clock
that is), prices. An exchange: what `Recorded` says.
Times are nanoseconds: `received_ns` since the recording began, all others since that exchange was received.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from measurements.host import boot_id
from targets.reference.embedding import count_tokens
from targets.reference.llm import redaction
from targets.reference.llm.anthropic_api import Anthropic
from targets.reference.llm.api import ApiError
from targets.reference.llm.openai_api import OpenAI

VERSION = 1
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_MARK = "plimsoll_llm_recording"


class RecordingError(ValueError):
    """A recording cannot be used; the message is one sentence for the user."""


@dataclass
class Recorded:
    """One request and its answer; a streamed answer is a list of events, a plain one has its text in one event."""

    hash: str
    method: str
    path: str
    request: Any
    status: int
    headers: dict[str, str]
    received_ns: int
    done_ns: int
    events: list[tuple[int, str]]  # (since received, text as sent)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens_source: str = "none"  # provider | counted | none
    cost_usd: float | None = None
    trace: str = ""  # the trace id of the `traceparent` that came with the request

    @property
    def streamed(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def token_ns(self) -> list[int]:
        """When each event with content came, since received; one entry per event, whatever it holds."""
        return [at_ns for at_ns, event in self.events if content_of(event)]


@dataclass
class Recording:
    """All of one file."""

    upstream: str
    exchanges: list[Recorded] = field(default_factory=list)


def request_hash(method: str, path: str, body: Any) -> str:
    """What makes two requests the same: method, path and body, secrets taken out, keys in any order."""
    canonical = json.dumps(redaction.json_value(body), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(f"{method} {path} {canonical}".encode(errors="replace")).hexdigest()[:16]


def head_line(upstream: str, began_monotonic_ns: int, price_per_1k_in_usd: float, price_per_1k_out_usd: float) -> str:
    head = {
        _MARK: VERSION,
        "upstream": redaction.address(upstream),
        "began_unix_s": time.time() - (time.monotonic_ns() - began_monotonic_ns) / 1e9,
        "began_monotonic_ns": began_monotonic_ns,
        "boot_id": boot_id(),
    }
    prices = {"price_per_1k_in_usd": price_per_1k_in_usd, "price_per_1k_out_usd": price_per_1k_out_usd}
    return json.dumps(head | prices)


def trace_of(headers: dict[bytes, bytes]) -> str:
    """The trace id that a request carries (W3C Trace Context), or ""."""
    match = _TRACEPARENT.fullmatch(headers.get(b"traceparent", b"").strip().lower())
    return match[1].decode() if match else ""


def line(recorded: Recorded) -> str:
    return json.dumps(asdict(recorded), ensure_ascii=False)


def read(path: Path) -> Recording:
    """Load a recording; a last line cut by a killed recorder is left out. RecordingError if it is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror}); give a file written by --record.") from None
    head = _json(lines[0])
    if not isinstance(head, dict) or _MARK not in head:
        raise RecordingError(f"{path}: is not a recording; give a file written by --record.")
    if head[_MARK] != VERSION:
        raise RecordingError(
            f"{path}: is version {head[_MARK]}, this program reads version {VERSION}; record it again."
        )
    exchanges = []
    for number, text in enumerate(lines[1:], 2):
        if not text:
            continue
        try:
            found = Recorded(**json.loads(text))
        except (TypeError, ValueError):
            if number == len(lines):  # no newline after it: the recorder was killed while writing
                break
            raise RecordingError(f"{path}, line {number}: is not a recorded exchange; remove the line.") from None
        exchanges.append(found)
    return Recording(head.get("upstream", ""), exchanges)


def content_of(event: str) -> str:
    """The text that a server-sent event of either provider adds to the answer; "" for any other event."""
    found = ""
    for payload in _payloads(event):
        choices = payload.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            delta = choices[0].get("delta")
            if isinstance(delta, dict):
                found += delta.get("content") or delta.get("reasoning_content") or ""
        elif payload.get("type") == "content_block_delta" and isinstance(payload.get("delta"), dict):
            found += payload["delta"].get("text") or payload["delta"].get("thinking") or ""
    return found


def usage_of(events: Iterable[str], streamed: bool) -> tuple[int, int] | None:
    """Prompt and completion tokens as the provider counted them, if it said so."""
    prompt = completion = None
    for event in events:
        for payload in _payloads(event) if streamed else [_json(event)]:
            if not isinstance(payload, dict):
                continue
            message = payload.get("message")
            for usage in (payload.get("usage"), message.get("usage") if isinstance(message, dict) else None):
                if isinstance(usage, dict):
                    prompt = usage.get("prompt_tokens", usage.get("input_tokens", prompt))
                    completion = usage.get("completion_tokens", usage.get("output_tokens", completion))
    return (int(prompt), int(completion or 0)) if prompt is not None else None


def texts_of(body: Any) -> list[str]:
    """Every text in a request, for counting tokens when the provider did not."""
    if isinstance(body, dict):
        return [text for key in ("system", "messages", "content", "text", "input") for text in texts_of(body.get(key))]
    if isinstance(body, list):
        return [text for item in body for text in texts_of(item)]
    return [body] if isinstance(body, str) else []


def emulated_prompt_tokens(recorded: Recorded) -> int:
    """The prompt's tokens as the emulator would count them; the provider's count where it cannot read the request."""
    dialect = Anthropic("") if recorded.path.endswith("/messages") else OpenAI("")
    try:
        return dialect.parse(recorded.request).prompt_tokens
    except (ApiError, AttributeError):
        return recorded.prompt_tokens


def count_request(body: Any) -> int:
    return sum(count_tokens(text) for text in texts_of(body))


def _payloads(event: str) -> list[dict[str, Any]]:
    found = []
    for text in event.splitlines():
        if text.startswith("data:"):
            payload = _json(text[5:].strip())
            if isinstance(payload, dict):
                found.append(payload)
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
