"""Where a request's time went, from the OpenTelemetry spans that a service exports while it is loaded.

    receiver = SpanReceiver(trace_prefix="4bf92f3577b34da6"); receiver.start()
    # the service runs with receiver.environment(); …; receiver.stop()
    stages = receiver.breakdown()

Every request of a run carries a `traceparent`: its trace id is 16 digits of the run, then the arrival's number; its
span id the step's number plus one. So a span belongs to the request whose ids it continues, and to no clock.
"""

import gzip
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pyarrow as pa

from measurements.errors import UsageError
from profiles.otlp import CLIENT, Span, spans

MOST_BODY_BYTES = 4 << 20
MOST_PLAIN_BYTES = 16 << 20
MOST_KEPT = 2_000_000
READ_S = 5.0
MOST_DEPTH = 200

SPANS = pa.schema(
    [
        ("seq", pa.int64()),
        ("step", pa.int32()),
        ("name", pa.dictionary(pa.int32(), pa.string())),
        ("client", pa.bool_()),
        ("self_ms", pa.float64()),  # without the time of its child spans
    ]
)


class SpanReceiver:
    """Listens on 127.0.0.1 for OTLP over HTTP; keeps the spans of one run's traces, bounded; counts what it refused."""

    def __init__(self, trace_prefix: str, port: int = 0) -> None:
        self.refused: Counter[str] = Counter()
        self._prefix = trace_prefix.lower()
        self._spans: list[Span] = []
        self._lock = threading.Lock()
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        except OSError as error:
            raise UsageError(
                f"port {port} of [target.observe] otlp cannot be listened on ({error.strerror}); stop what uses it, or "
                "name another"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="spans", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self) -> dict[str, str]:
        """What an instrumented service must be started with to export here."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_BSP_SCHEDULE_DELAY": "1000",
            "OTEL_TRACES_SAMPLER": "parentbased_always_on",
        }

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, found: Iterable[Span]) -> None:
        """Keeps the spans that belong to this run."""
        with self._lock:
            for span in found:
                if not span.trace.startswith(self._prefix):
                    self.refused["spans of other traces"] += 1
                elif len(self._spans) >= MOST_KEPT:
                    self.refused["spans beyond two million"] += 1
                else:
                    self._spans.append(span)

    def breakdown(self) -> pa.Table:
        """A row per span of a request, with its self time; schema `SPANS`. Empty where nothing was exported."""
        with self._lock:
            return breakdown(self._spans)


def breakdown(found: Sequence[Span]) -> pa.Table:
    """Self times: a span's length without what its children cover (overlapping children count once). Pure.

    A span belongs to (seq, step) through its root, whose parent is the request's own span id.
    """
    by_id = {(span.trace, span.span): span for span in found}
    children: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in by_id.values():
        children[span.trace, span.parent].append(span)
    rows = []
    for span in by_id.values():
        root, seen = span, {span.span}
        while (
            (above := by_id.get((root.trace, root.parent))) is not None
            and above.span not in seen
            and len(seen) < MOST_DEPTH
        ):
            root = above
            seen.add(root.span)
        step = int(root.parent, 16) - 1 if len(root.parent) == 16 else -1
        if 0 <= step < 1 << 31:
            inner = [(child.start_ns, child.end_ns) for child in children[span.trace, span.span]]
            covered = covered_ns(inner, span.start_ns, span.end_ns)
            rows.append(
                {
                    "seq": int(span.trace[16:], 16) & (1 << 63) - 1,
                    "step": step,
                    "name": span.name,
                    "client": span.kind == CLIENT,
                    "self_ms": (span.end_ns - span.start_ns - covered) / 1e6,
                }
            )
    return pa.Table.from_pylist(rows, SPANS)


def covered_ns(inner: Iterable[tuple[int, int]], low_ns: int, high_ns: int) -> int:
    """Nanoseconds between `low_ns` and `high_ns` in which at least one of `inner` (start, end) was open."""
    covered, reached = 0, low_ns
    for start_ns, end_ns in sorted(inner):
        start, end = max(start_ns, reached), min(end_ns, high_ns)
        if end > start:
            covered, reached = covered + end - start, end
    return covered


def _handler(receiver: SpanReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = READ_S

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length") or 0)
                if self.path != "/v1/traces" or not 0 < length <= MOST_BODY_BYTES:
                    raise ValueError("not a trace export of a sensible size")
                body = self.rfile.read(length)
                if self.headers.get("Content-Encoding", "identity") == "gzip":
                    body = _unpacked(body)
                receiver.take(spans(body, self.headers.get("Content-Type") or ""))
                status = 200
            except ValueError as error:
                receiver.refused[str(error)[:100] if len(receiver.refused) < 20 else "others"] += 1
                status, self.close_connection = 400, True
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _unpacked(body: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=BytesIO(body)) as file:
            plain = file.read(MOST_PLAIN_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError("damaged gzip") from error
    if len(plain) > MOST_PLAIN_BYTES:
        raise ValueError("unpacks to more than 16 MiB")
    return plain
