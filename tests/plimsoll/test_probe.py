"""The rate that a run aims at when nobody named one: near what the service can do, whatever it is like."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from measurements.errors import TargetUnreachable
from measurements.sample import Outcome
from plimsoll import probe
from plimsoll.placement import place
from plimsoll.spec import Spec
from targets.contract_file import parse


@contextmanager
def served(answer: Any) -> Iterator[str]:
    """Each request gets the status that `answer()` returns, when it returns."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            status = answer()
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def probed(url: str, out: Path) -> probe.Probe:
    document = {"target": {"name": "t", "base_url": url}, "endpoint": [{"name": "ask", "path": "/", "timeout_s": 20}]}
    spec = Spec(contract=parse(document, out / "contract"), out=out, seed=1)
    return probe.rate(spec, [url], place(1, True), out / "probe", lambda: None)


def test_a_service_with_few_places_is_not_aimed_at_many_times_what_it_can_do(tmp_path: Path):
    places = threading.Semaphore(4)

    def four_at_a_time() -> int:
        with places:
            time.sleep(0.25)
        return 200

    with served(four_at_a_time) as url:
        found = probed(url, tmp_path)
    assert found.drained_rps is not None
    assert 10 < found.drained_rps < 20  # 4 places of 250 ms: 16 a second
    assert found.rate_rps == pytest.approx(2 * found.drained_rps, rel=0.1)
    assert found.rate_rps < found.reached_rps


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_answers_with_its_limit_only_is_there_and_gets_a_rate(status: int, tmp_path: Path):
    with served(lambda: status) as url:
        found = probed(url, tmp_path)
    assert found.ok == 0
    assert "failed or were refused" in found.why
    assert 2 <= found.rate_rps < 50


def test_a_service_that_answers_nothing_is_unreachable(tmp_path: Path):
    with served(lambda: time.sleep(60) or 200) as url, pytest.raises(TargetUnreachable, match="answered nothing"):
        probed(url, tmp_path)


def drained(*each: tuple[str, int, float, float, Outcome]) -> float | None:
    endpoint, step, intended_s, done_s, outcome = zip(*each, strict=True)
    codes = np.array([sorted(set(endpoint)).index(name) for name in endpoint])
    intended_ns, done_ns = (np.array([int(at * 1e9) for at in times]) for times in (intended_s, done_s))
    return probe.drained_rps(np.array(step), codes, intended_ns, done_ns, np.array([int(o) for o in outcome]))


WORKED_OFF = [("ask", 0, 10.0 + k / 100, 11.1 + k / 10, Outcome.ok) for k in range(10)]  # 10 in 2 s after the last one
EARLY = ("ask", 0, 1.0, 2.0, Outcome.ok)
LEFT = ("ask", 0, 10.1, 22.1, Outcome.abandoned)


def test_what_is_worked_off_counts_from_the_last_arrival_on():
    assert drained(EARLY, *WORKED_OFF, LEFT) == pytest.approx(9 / 1.8)  # 9 of 11 are most of them


def test_what_hardly_moves_counts_over_all_the_time_it_had():
    assert drained(WORKED_OFF[0], *[LEFT] * 9) == pytest.approx(1 / 12)


def test_endpoints_without_a_backlog_do_not_dilute_what_is_worked_off():
    quick = [("search", 0, 10.0 + k / 1000, 10.05, Outcome.ok) for k in range(36)]
    assert drained(EARLY, *WORKED_OFF, LEFT, *quick) == pytest.approx(9 / 1.8 * 4)  # an arrival in four asks


def test_a_single_quick_request_on_its_way_is_no_backlog():
    quick = [("search", 0, 10.0 + k / 1000, 10.05, Outcome.ok) for k in range(35)]
    on_its_way = ("search", 0, 10.05, 10.12, Outcome.ok)
    assert drained(EARLY, *WORKED_OFF, LEFT, *quick, on_its_way) == pytest.approx(9 / 1.8 * 4)


def test_a_service_that_was_through_at_once_left_nothing_to_work_off():
    assert drained(("ask", 0, 1.0, 2.0, Outcome.ok), ("ask", 0, 2.1, 2.1, Outcome.rejected)) is None


def test_places_that_the_contract_states_are_no_backlog_when_they_are_taken(tmp_path: Path):
    engine = {"max_concurrent": 256, "max_queue_size": 1024, "timeout_s": 60}
    document = {"target": {"name": "t", "base_url": "http://127.0.0.1:1"}, "endpoint": [{"name": "ask", "path": "/"}]}
    stated = parse(document | {"limits": {"queue": {"ask": engine}}}, tmp_path / "contract")
    assert probe.behind(Spec(contract=stated)) == 256 + probe.BEHIND
    assert probe.work_off_s(Spec(contract=stated)) > probe.work_off_s(Spec())  # their answers come together, and late
    assert probe.behind(Spec(contract=parse(document, tmp_path / "contract"))) == probe.BEHIND
