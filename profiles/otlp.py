"""OTLP trace exports, read without their libraries: protobuf and JSON, as services post them to /v1/traces.

Only what a breakdown needs: ids, name, kind, start and end (opentelemetry-proto, trace/v1/trace.proto: ResourceSpans
1 → ScopeSpans 2 → Span 2; Span: trace_id 1, span_id 2, parent_span_id 4, name 5, kind 6, start 7, end 8).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

MOST_SPANS = 20_000  # per export
MOST_NAME_CHARS = 200
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
CLIENT = 3  # SpanKind


class Span(NamedTuple):
    """Ids in lower-case hex; times in Unix nanoseconds; `kind` as in OTLP (2 server, 3 client)."""

    trace: str
    span: str
    parent: str
    name: str
    kind: int
    start_ns: int
    end_ns: int


def spans(body: bytes, content_type: str) -> list[Span]:
    """The spans of one export. ValueError for what is no export; more than 20,000 spans are cut."""
    found = _from_json(body) if "json" in content_type else _from_protobuf(body)
    kept: list[Span] = []
    for span in found:
        if len(span.trace) == 32 and len(span.span) == 16 and span.end_ns >= span.start_ns > 0:
            kept.append(span._replace(name=span.name[:MOST_NAME_CHARS]))
        if len(kept) == MOST_SPANS:
            break
    return kept


def _from_json(body: bytes) -> Iterator[Span]:
    try:
        for resource in orjson.loads(body)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield Span(
                        trace=str(span["traceId"]).lower(),
                        span=str(span["spanId"]).lower(),
                        parent=str(span.get("parentSpanId") or "").lower(),
                        name=str(span.get("name") or ""),
                        kind=_kind(span.get("kind")),
                        start_ns=int(span["startTimeUnixNano"]),
                        end_ns=int(span["endTimeUnixNano"]),
                    )
    except (orjson.JSONDecodeError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"no OTLP/JSON export ({type(error).__name__})") from error


def _kind(value: Any) -> int:
    """A number, or its name as some exporters write it."""
    return value if isinstance(value, int) else CLIENT if value == "SPAN_KIND_CLIENT" else 0


def _from_protobuf(body: bytes) -> Iterator[Span]:
    for resource in _fields(body).get(1, []):
        for scope in _fields(resource).get(2, []):
            for message in _fields(scope).get(2, []):
                own = _fields(message)
                yield Span(
                    trace=_bytes(own, 1).hex(),
                    span=_bytes(own, 2).hex(),
                    parent=_bytes(own, 4).hex(),
                    name=_bytes(own, 5).decode("utf-8", "replace"),
                    kind=_number(own, 6),
                    start_ns=_number(own, 7),
                    end_ns=_number(own, 8),
                )


def _bytes(fields: dict[int, list[Any]], number: int) -> bytes:
    value = fields.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def _number(fields: dict[int, list[Any]], number: int) -> int:
    value = fields.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def _fields(message: Any) -> dict[int, list[Any]]:
    """Field number → values (int or bytes) of one protobuf message, by the wire format's rules."""
    if not isinstance(message, bytes):
        raise ValueError("no OTLP export: a message is expected where a number stands")
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == VARINT:
            value, at = _varint(message, at)
        elif wire in (FIXED64, FIXED32):
            length = 8 if wire == FIXED64 else 4
            value, at = int.from_bytes(message[at : at + length], "little"), at + length
        elif wire == BYTES:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        else:
            raise ValueError(f"no OTLP export: wire type {wire} does not occur in it")
        if at > len(message):
            raise ValueError("no OTLP export: it ends in the middle of a field")
        found.setdefault(number, []).append(value)
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("no OTLP export: a number has no end")
