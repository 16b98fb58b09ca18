"""Spans of OpenTelemetry: read in both encodings, joined to requests by their trace, broken down to self times."""

import gzip
import random
from collections.abc import Iterator

import httpx
import orjson
import pytest

from profiles.otlp import Span, spans
from profiles.spans import SpanReceiver, breakdown

RUN = "4bf92f3577b34da6"


def trace(seq: int) -> str:
    return f"{RUN}{seq:016x}"


def span(name: str, start_ms: float, end_ms: float, *, own: int, parent: int, seq: int = 7, kind: int = 1) -> Span:
    base_ns = 1_700_000_000_000_000_000
    times = (base_ns + round(start_ms * 1e6), base_ns + round(end_ms * 1e6))
    return Span(trace(seq), f"{own:016x}", f"{parent:016x}", name, kind, *times)


REQUEST = [
    span("POST /generate", 0, 100, own=0xA0, parent=1, kind=2),
    span("retrieval", 5, 25, own=0xA1, parent=0xA0),
    span("POST upstream", 30, 90, own=0xA2, parent=0xA0, kind=3),
    span("tokenise", 40, 50, own=0xA3, parent=0xA2),
]


def as_json(found: list[Span]) -> bytes:
    told = [
        {
            "traceId": s.trace, "spanId": s.span, "parentSpanId": s.parent, "name": s.name, "kind": s.kind,
            "startTimeUnixNano": str(s.start_ns), "endTimeUnixNano": str(s.end_ns),
        }
        for s in found
    ]  # fmt: skip
    return orjson.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": told}]}]})


def as_protobuf(found: list[Span]) -> bytes:
    pb = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    request = pb.ExportTraceServiceRequest()
    into = request.resource_spans.add().scope_spans.add().spans
    for s in found:
        into.add(
            trace_id=bytes.fromhex(s.trace), span_id=bytes.fromhex(s.span), parent_span_id=bytes.fromhex(s.parent),
            name=s.name, kind=s.kind, start_time_unix_nano=s.start_ns, end_time_unix_nano=s.end_ns,
        )  # fmt: skip
    return bytes(request.SerializeToString())


def test_both_encodings_say_the_same() -> None:
    assert spans(as_json(REQUEST), "application/json") == REQUEST
    assert spans(as_protobuf(REQUEST), "application/x-protobuf") == REQUEST


def test_a_spans_own_time_is_what_its_children_do_not_cover() -> None:
    rows = {row["name"]: row for row in breakdown(REQUEST).to_pylist()}
    assert {name: row["self_ms"] for name, row in rows.items()} == pytest.approx(
        {"POST /generate": 20, "retrieval": 20, "POST upstream": 50, "tokenise": 10}
    )
    assert {(row["seq"], row["step"]) for row in rows.values()} == {(7, 0)}
    assert [name for name, row in rows.items() if row["client"]] == ["POST upstream"]


def test_children_at_the_same_time_are_subtracted_once() -> None:
    found = [
        span("root", 0, 100, own=1, parent=3),
        span("a", 10, 60, own=2, parent=1),
        span("b", 40, 80, own=4, parent=1),
    ]
    rows = {row["name"]: row for row in breakdown(found).to_pylist()}
    assert rows["root"]["self_ms"] == pytest.approx(30)
    assert rows["root"]["step"] == 2


def test_spans_that_point_at_each_other_end_the_search() -> None:
    assert breakdown([span("a", 0, 1, own=5, parent=6), span("b", 0, 1, own=6, parent=5)]).num_rows <= 2


@pytest.fixture
def receiver() -> Iterator[SpanReceiver]:
    receiver = SpanReceiver(RUN)
    receiver.start()
    yield receiver
    receiver.stop()


def test_a_service_exports_and_only_this_runs_traces_are_kept(receiver: SpanReceiver) -> None:
    foreign = REQUEST[0]._replace(trace="f" * 32)
    url = f"{receiver.url}/v1/traces"
    assert receiver.environment()["OTEL_EXPORTER_OTLP_ENDPOINT"] == receiver.url
    packed = gzip.compress(as_json([*REQUEST, foreign]))
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert httpx.post(url, content=packed, headers=headers).status_code == 200
    assert receiver.breakdown().num_rows == 4
    assert receiver.refused == {"spans of other traces": 1}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff" * 100, {}),
        (b"\x0a\x7f", {}),
        (b"[]", {"Content-Type": "application/json"}),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]}', {"Content-Type": "application/json"}),
        (gzip.compress(bytes(20 << 20)), {"Content-Encoding": "gzip"}),
        (b"\x1f\x8b broken", {"Content-Encoding": "gzip"}),
    ],
)
def test_what_is_no_export_is_refused_and_counted(receiver: SpanReceiver, body: bytes, headers: dict[str, str]) -> None:
    assert httpx.post(f"{receiver.url}/v1/traces", content=body, headers=headers).status_code == 400
    assert sum(receiver.refused.values()) == 1
    assert httpx.post(
        f"{receiver.url}/v1/traces", content=as_json(REQUEST), headers={"Content-Type": "application/json"}
    )
    assert receiver.breakdown().num_rows == 4


def test_no_random_bytes_break_the_reader() -> None:
    rng = random.Random(1)
    good = as_json(REQUEST)
    for _ in range(2_000):
        noise = rng.randbytes(rng.randrange(60))
        for body, kind in ((noise, "application/x-protobuf"), (good[: rng.randrange(len(good))] + noise, "json")):
            try:
                spans(body, kind)
            except ValueError:
                continue
