"""Retries are asked for by the contract, counted in the row, and never lose an arrival."""

import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from plimsoll.measure import Run, measure
from plimsoll.spec import Spec
from targets.contract_file import parse


@pytest.fixture
def refusing() -> Iterator[http.server.ThreadingHTTPServer]:
    """Refuses the first two attempts of every arrival with 503."""
    seen: Counter[str] = Counter()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            trace = self.headers["traceparent"]
            seen[trace] += 1
            self.send_response(200 if seen[trace] > 2 else 503)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run_against(server: http.server.ThreadingHTTPServer, retries: int, out: Path) -> Run:
    endpoint = {"name": "ask", "path": "/", "retries": retries, "timeout_s": 5}
    document = {"target": {"name": "t", "base_url": f"http://127.0.0.1:{server.server_port}"}, "endpoint": [endpoint]}
    return measure(Spec(contract=parse(document, out / "contract"), rate_rps=8, duration_s=1.5, seed=5, out=out))


def test_without_retries_every_refusal_is_a_row_of_one_attempt(
    refusing: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    rows = run_against(refusing, 0, tmp_path).directory.table("samples").to_pandas()
    assert set(rows["attempt"]) == {1}
    assert set(rows["outcome"]) == {"rejected"}


def test_with_retries_an_arrival_is_still_one_row_that_spans_its_attempts(
    refusing: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    run = run_against(refusing, 5, tmp_path)
    rows = run.directory.table("samples").to_pandas()
    assert rows["seq"].is_unique
    assert (rows["outcome"] == "ok").all()
    assert set(rows["attempt"]) == {3}
    assert ((rows["done_ns"] - rows["sent_ns"]) >= 0.3e9).all()  # pauses of 0.1 and 0.2 s
