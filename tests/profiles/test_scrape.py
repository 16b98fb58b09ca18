"""Scraping a service, a broken one and a hostile one; nothing that a page says ends the watch."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from profiles import exposition, scrape
from profiles.exposition import prometheus, status_json
from profiles.scrape import SERVER, Scraper

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def serving(pages: dict[str, Answer]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                pages[self.path](self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def body(text: bytes | str, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text if isinstance(text, bytes) else text.encode())

    return answer


def scraped(base_url: str, seconds: float = 0.5, page: str | None = "/metrics", **arguments: object) -> Scraper:
    scraper = Scraper(base_url, page, arguments.pop("json", {}), time.monotonic_ns(), period_s=0.1)  # type: ignore[arg-type]
    scraper.start()
    time.sleep(seconds)
    scraper.stop()
    return scraper


def test_metrics_and_status_become_rows_over_time() -> None:
    page = '# TYPE req_total counter\nreq_total{path="/a"} 5\n# TYPE up gauge\nup 1\n'
    status = json.dumps({"queue_stats": {"search": {"pending": 3}}, "workers": [{"busy": True}]})
    with serving({"/metrics": body(page), "/status": body(status)}) as url:
        scraper = scraped(url, json={"/status": ["queue_stats.search.pending", "workers.0.busy"]})
    table = scraper.table()
    assert table.schema.equals(SERVER)
    last = {(row["source"], row["name"]): row for row in table.to_pylist()}
    assert last["/metrics", "req_total"]["kind"] == "counter"
    assert json.loads(last["/metrics", "req_total"]["labels"]) == {"path": "/a"}
    assert last["/status", "queue_stats.search.pending"]["value"] == 3
    assert last["/status", "workers.0.busy"]["value"] == 1
    assert len(set(table["at_ns"].to_pylist())) >= 6
    assert scraper.failures() == []


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b"a 1\n" * 20_000)


def dribbling(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.05)


def not_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x16\x03\x01 nonsense\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (body("nope", 500), "answered 500"),
        (body("", 302, {"Location": "http://192.0.2.1/"}), "answered 302"),
        (body(b"\x1f\x8b" + b"\0" * 99, 200, {"Content-Encoding": "gzip"}), "compressed"),
        (body(b"\xff\xfe\x00{{{{"), "no Prometheus exposition"),
        (endless, "more than 4 MiB"),
        (dribbling, "longer than"),
        (not_http, "could not be read"),
    ],
)
def test_a_hostile_page_is_counted_and_the_watch_goes_on(
    answer: Answer, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "MOST_SECONDS", 0.3)
    with serving({"/metrics": answer, "/status": body('{"a": 1}')}) as url:
        scraper = scraped(url, json={"/status": ["a"]})
    (failure,) = scraper.failures()
    assert reason in str(failure["reason"])
    assert int(failure["count"]) >= 1
    assert {row["name"] for row in scraper.table().to_pylist()} == {"a"}


def test_a_service_that_is_not_there_is_a_failure_not_an_error() -> None:
    scraper = scraped("http://127.0.0.1:9")
    assert "could not be read" in str(scraper.failures()[0]["reason"])
    assert scraper.table().num_rows == 0


def test_names_invented_without_end_stop_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "MOST_SERIES", 100)
    counter = iter(range(10**9))

    def inventive(handler: BaseHTTPRequestHandler) -> None:
        body("".join(f"x{next(counter)} 1\n" for _ in range(60)))(handler)

    with serving({"/metrics": inventive}) as url:
        scraper = scraped(url)
    assert scraper.table().num_rows == 100
    assert "left out" in str(scraper.failures()[0]["reason"])


def test_of_too_many_series_the_first_are_kept() -> None:
    readings, wrong = prometheus(b"".join(b"x%d 1\n" % n for n in range(exposition.MOST_SERIES + 5)))
    assert len(readings) == exposition.MOST_SERIES
    assert wrong


@pytest.mark.parametrize("page", [b"[" * 100_000, b'{"a": 1e999}', b"\xff", b'{"a": {"b": "text"}}', b"[]", b"null"])
def test_a_status_without_the_number_gives_no_row_and_a_reason(page: bytes) -> None:
    readings, wrong = status_json(page, ["a.b"])
    assert readings == []
    assert wrong
