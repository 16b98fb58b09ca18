"""Request heads as bytes, log buckets, stages by time, responses' headers."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.arrivals import Stage
from loadtests.buckets import bucket_index, bucket_value, bucketed, quantile_ms, supported_ms
from loadtests.clock import StageClock
from loadtests.origin import Origin
from loadtests.response import Headers, Response, ResponseError
from loadtests.wire import HeadBuilder
from measurements.errors import UsageError
from measurements.sample import Outcome

HERE = Origin.of(0, "http://127.0.0.1:8000/prefix/", "127.0.0.1")


def head(method: str = "GET", path: str = "/a?b=1", header: dict[str, str] | None = None, **more: Any) -> list[bytes]:
    builder = HeadBuilder("run-1")
    prepared = builder.prepare(method, path, HERE, header or {})
    sent = builder.head(
        prepared, more.get("seq", 5), more.get("step", 0), more.get("body"), more.get("has_body", False)
    )
    return sent.split(b"\r\n")


def test_a_request_names_its_host_its_run_and_its_trace() -> None:
    lines = head(seq=0x1F, step=2)
    assert lines[0] == b"GET /prefix/a?b=1 HTTP/1.1"
    assert lines[1] == b"Host: 127.0.0.1:8000"
    assert re.fullmatch(rb"User-Agent: plimsoll/\S+ run=run-1", lines[2])
    assert re.fullmatch(rb"traceparent: 00-[0-9a-f]{16}000000000000001f-0000000000000003-01", lines[3])
    assert lines[-2:] == [b"", b""]


def test_every_request_of_a_run_has_a_trace_of_its_own_and_no_id_is_zero() -> None:
    traces = [head(seq=seq, step=step)[3] for seq in range(50) for step in range(3)]
    assert len(set(traces)) == 150
    assert not any(b"-" + b"0" * 16 + b"-" in trace or b"0" * 32 in trace for trace in traces)


@given(st.lists(st.integers(-(2**40), 2**50), max_size=30), st.integers(0, 200), st.integers(0, 5_000))
def test_digits_and_lengths_are_those_that_a_format_would_write(seqs: list[int], step: int, size: int) -> None:
    builder = HeadBuilder("run-1")
    for seq in [*seqs, *(seq + 1 for seq in seqs), *(seq + 4_096 for seq in seqs)]:
        written = builder.head(b"<", seq, step, b"x" * size)
        expected = b"<%016x-%016x-01\r\nContent-Length: %d\r\n\r\n" % (seq & (2**64 - 1), step + 1, size)
        assert written == expected + b"x" * size


def test_a_body_has_its_length_and_a_post_without_one_says_zero() -> None:
    assert head("POST", body=b"abc", has_body=True)[-3:] == [b"Content-Length: 3", b"", b"abc"]
    assert b"Content-Length: 0" in head("POST", has_body=True)
    assert not any(line.startswith(b"Content-Length") for line in head("GET"))


def test_the_contract_may_set_host_and_user_agent_but_not_what_frames_the_message() -> None:
    lines = head(
        header={
            "Host": "api.example.com",
            "User-Agent": "mine",
            "Content-Length": "999",
            "Transfer-Encoding": "chunked",
        }
    )
    assert lines[1:3] == [b"Host: api.example.com", b"User-Agent: mine"]
    assert not any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in lines)
    assert sum(line.lower().startswith(b"host:") for line in lines) == 1


def test_a_header_in_korean_goes_out_as_utf_8_and_one_in_latin_1_as_that() -> None:
    assert "X-Q: 판례".encode() in head(header={"X-Q": "판례"})
    assert "X-Q: café".encode("latin-1") in head(header={"X-Q": "café"})


@pytest.mark.parametrize("header", [{"X": "a\r\nEvil: 1"}, {"X\r\nEvil": "1"}, {"Host": "a\nb"}])
def test_a_line_break_never_reaches_the_wire(header: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="line break"):
        head(header=header)
    with pytest.raises(UsageError, match="line break"):
        head(path="/a\r\nEvil: 1")


def test_origins_know_their_port_prefix_and_tls() -> None:
    assert (HERE.port, HERE.prefix, HERE.host_header, HERE.tls) == (8000, "/prefix", "127.0.0.1:8000", None)
    secure = Origin.of(1, "https://host", "10.0.0.1")
    assert (secure.port, secure.server_name, secure.prefix) == (443, "host", "")
    assert secure.tls is not None and secure.tls.check_hostname
    lax = Origin.of(1, "https://host", "10.0.0.1", verify_tls=False)
    assert lax.tls is not None and not lax.tls.check_hostname
    assert Origin.of(0, "unix:/run/x.sock", "/run/x.sock").host_header == "localhost"


def test_an_idle_limit_is_learned_with_a_tenth_of_margin_and_never_from_a_hiccup() -> None:
    origin = Origin.of(0, "http://h", "127.0.0.1")
    origin.learn_idle_limit(10_000_000)
    assert origin.idle_limit_ns > 10**15
    origin.learn_idle_limit(5_000_000_000)
    origin.learn_idle_limit(9_000_000_000)
    assert origin.idle_limit_ns == 4_500_000_000


@given(st.floats(1e-3, 1e7))
def test_any_time_is_within_half_a_percent_of_its_bucket(ms: float) -> None:
    assert float(bucket_value(bucket_index(ms))) == pytest.approx(ms, rel=0.0051)
    assert bucketed(ms) == pytest.approx(ms, rel=0.0051)


def test_buckets_ascend_and_take_zero_and_whole_arrays() -> None:
    index = bucket_index(np.array([0.0, 1e-9, 0.5, 0.6, 100.0]))
    assert index.tolist() == sorted(index.tolist()) and index[0] == index[1] == 0
    assert bucketed(0.0) == bucketed(-1.0) == 1e-3


def test_a_moment_belongs_to_its_stage_until_the_run_is_over() -> None:
    clock = StageClock([Stage("a", 1.0, 1, 1), Stage("b", 2.0, 1, 1)], 10_000_000_000, 1, 3)
    at = [9_999_999_999, 10_000_000_000, 10_999_999_999, 11_000_000_000, 12_999_999_999, 13_000_000_000]
    assert [clock.stage(ns) for ns in at] == [0, 0, 0, 1, 1, None]
    assert clock.end_ns == 13_000_000_000


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=6), st.lists(st.floats(-1, 35), max_size=40))
def test_the_stage_is_the_same_whatever_was_asked_before(lengths_s: list[float], asked_s: list[float]) -> None:
    stages = [Stage(str(k), length, 1, 1) for k, length in enumerate(lengths_s)]
    clock = StageClock(stages, 10**9, 0, 1)
    for at_s in asked_s:
        at_ns = 10**9 + int(at_s * 1e9)
        assert clock.stage(at_ns) == StageClock(stages, 10**9, 0, 1).stage(at_ns)


def test_arrival_numbers_of_a_closed_loop_are_striped_over_the_workers() -> None:
    clocks = [StageClock([Stage("a", 1.0, 1, 1)], 0, worker, 3) for worker in range(3)]
    taken = sorted(clock.take_seq() for clock in clocks for _ in range(10))
    assert taken == list(range(30)) and [clock.taken for clock in clocks] == [10, 10, 10]


def test_headers_of_a_response_are_found_whatever_their_case_and_repeated_ones_joined() -> None:
    headers = Headers.parse(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Type: text/plain\r\n\r\nX-A: body")
    assert headers["X-a"] == "1, 2" and "CONTENT-TYPE" in headers
    assert headers.get("nothing", "default") == "default" and len(headers) == 2


def response(outcome: Outcome = Outcome.ok, status: int = 200) -> tuple[Response, list[tuple[Outcome, str]]]:
    reported: list[tuple[Outcome, str]] = []
    answer = SimpleNamespace(status=status, sent_ns=0, done_ns=5_000_000, head=b"", body=[b'{"a": 1}'])
    made = Response("/", answer, (outcome, "" if outcome is Outcome.ok else "it failed"))
    made.report = lambda outcome, error: reported.append((outcome, error))
    return made, reported


def test_a_with_block_reports_what_it_was_told_and_otherwise_what_happened() -> None:
    made, reported = response()
    with made:
        made.failure("too short")
    assert reported == [(Outcome.unexpected_body, "too short")]
    made, reported = response(Outcome.http_error, 404)
    with made:
        made.success()
    assert reported == [(Outcome.ok, "")]
    made, reported = response(Outcome.timeout, -1)
    with made:
        pass
    assert reported == [(Outcome.timeout, "it failed")] and made.status_code == 0 and not made


def test_an_assertion_or_raise_for_status_in_a_with_block_is_a_failure_of_the_response_not_of_the_user() -> None:
    made, reported = response()
    with made:
        raise AssertionError("no template")
    assert reported == [(Outcome.unexpected_body, "no template")]
    made, reported = response(Outcome.http_error, 500)
    with made:
        made.raise_for_status()
    assert reported == [(Outcome.http_error, "it failed")]
    assert issubclass(ResponseError, Exception)


def test_a_bug_in_a_with_block_is_recorded_and_raised() -> None:
    made, reported = response()
    with pytest.raises(KeyError), made:
        made.json()["b"]
    assert reported == [(Outcome.unexpected_body, "the with-block raised KeyError: 'b'")]


def test_a_quantile_of_too_few_is_withheld_and_of_enough_is_the_histograms() -> None:
    few, enough = {10: 71}, {10: 72}
    assert supported_ms(few, 0.95) is None and quantile_ms(few, 0.95) is not None
    assert supported_ms(enough, 0.95) == quantile_ms(enough, 0.95)
    assert supported_ms({}, 0.5) is None
