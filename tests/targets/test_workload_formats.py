"""Lines of every format, as they are found in the wild, become the same columns."""

from __future__ import annotations

import json

import numpy as np
import pytest

from measurements.errors import UsageError
from targets.workload import json_lines, moments, nginx, traces, uvicorn
from targets.workload.columns import NO_TIME
from targets.workload.formats import detect

AT = 1_795_257_585  # 2026-11-21 19:39:45 +0900
COMBINED = (
    '10.0.0.1 - bob [21/Nov/2026:19:39:45 +0900] "GET /api/v1/search?q=%EC%98%88 HTTP/1.1" 200 512 "-" "curl/8.5.0"'
)


def one(columns):
    assert columns.requests == 1, columns.examples
    return columns.heads[0], int(columns.status[0]), int(columns.at_us[0]), float(columns.duration_s[0])


def test_nginx_combined_gives_method_path_status_and_second():
    head, status, at_us, duration_s = one(nginx.read(COMBINED.encode() + b"\n"))
    assert (head, status) == (b"GET /api/v1/search", 200)
    assert at_us == AT * 1_000_000 + 500_000  # the middle of the logged second
    assert np.isnan(duration_s)


@pytest.mark.parametrize(
    "tail",
    [" 0.250", ' "10.1.2.3" 0.250', ' rt=0.250 uct="0.001" urt="0.200"', ' "-" request_time=0.250', ' "0.250"'],
)
def test_the_request_time_is_found_behind_the_agent_and_taken_off_the_arrival(tail):
    _, _, at_us, duration_s = one(nginx.read((COMBINED + tail + "\n").encode()))
    assert duration_s == 0.25
    assert at_us == AT * 1_000_000 + 500_000 - 250_000


@pytest.mark.parametrize("tail", [' "10.0.0.123"', " 12.3456", " 3.25", " 1234", ' "1.250x"'])
def test_what_is_no_request_time_is_not_taken_for_one(tail):
    assert np.isnan(one(nginx.read((COMBINED + tail + "\n").encode()))[3])


def test_a_tail_never_reaches_into_the_next_line():
    block = (COMBINED + "\n" + COMBINED.replace("10.0.0.1", "10.001")).encode() + b"\n"
    columns = nginx.read(block)
    assert columns.requests == 2
    assert np.isnan(columns.duration_s).all()


def test_a_client_cannot_write_its_own_request_time():
    """Apache escapes a quote in the agent as \\"; what stands behind that is still the agent."""
    line = COMBINED.removesuffix('"curl/8.5.0"') + '"x\\" 9.999 \\"" 0.250'
    assert one(nginx.read(line.encode() + b"\n"))[3] == 0.25


def test_a_quote_left_open_does_not_swallow_the_next_line():
    block = (COMBINED[:-1] + "\n" + COMBINED + "\n" + COMBINED + "\n").encode()
    columns = nginx.read(block)
    assert (columns.requests, columns.skipped) == (3, 0)


@pytest.mark.parametrize(
    ("line", "head", "status"),
    [
        ('::1 - - [21/Nov/2026:19:39:45 +0900] "POST /a HTTP/2.0" 499 0', b"POST /a", 499),  # Apache's common format
        (r'h - - [21/Nov/2026:19:39:45 +0900] "GET /a HTTP/1.1" 200 5 "a\"b" "c\\"', b"GET /a", 200),
        ('h - - [21/Nov/2026:19:39:45 +0900] "-" 408 0 "-" "-"', b"-", 408),
        (r'h - - [21/Nov/2026:19:39:45 +0900] "\x16\x03\x01" 400 157 "-" "-"', rb"\x16\x03\x01", 400),
        ('h - a b [21/Nov/2026:19:39:45 +0900] "GET /a" 200 - "-" "-"\r', b"GET /a", 200),
    ],
)
def test_odd_but_valid_lines_are_requests(line, head, status):
    assert one(nginx.read(line.encode() + b"\n"))[:2] == (head, status)


def test_an_impossible_time_leaves_the_request_in_the_mix():
    assert one(nginx.read(COMBINED.replace("21/Nov", "31/Feb").encode() + b"\n"))[2] == NO_TIME


@pytest.mark.parametrize(
    "line",
    [
        'INFO:     127.0.0.1:52044 - "GET /health?deep=1 HTTP/1.1" 200 OK',
        '\x1b[32mINFO\x1b[0m:     127.0.0.1:52044 - "\x1b[1mGET /health HTTP/1.1\x1b[0m" \x1b[32m200 OK\x1b[0m',
    ],
)
def test_uvicorn_lines_have_neither_time_nor_duration(line):
    head, status, at_us, duration_s = one(uvicorn.read(line.encode() + b"\n"))
    assert (head, status, at_us) == (b"GET /health", 200, NO_TIME)
    assert np.isnan(duration_s)


def test_a_time_in_front_of_uvicorns_line_is_read():
    line = '2026-11-21 10:39:45,250 - uvicorn.access - INFO - 127.0.0.1:5 - "GET /a HTTP/1.1" 404'
    assert one(uvicorn.read(line.encode() + b"\n"))[:3] == (b"GET /a", 404, AT * 1_000_000 + 250_000)


def test_uvicorns_other_lines_are_skipped_and_counted():
    block = b'INFO:     Started server process [1]\nINFO:     127.0.0.1:1 - "GET /a HTTP/1.1" 200 OK\nTraceback:\n\n'
    columns = uvicorn.read(block)
    assert (columns.requests, columns.skipped, columns.lines, columns.line_breaks) == (1, 2, 3, 4)
    assert [example.line for example in columns.examples] == [1, 3]


NGINX_JSON = {"time_iso8601": "2026-11-21T19:39:45+09:00", "request": "GET /a?x=1 HTTP/1.1", "status": "200"}


@pytest.mark.parametrize(
    ("row", "at_s", "duration_s"),
    [
        ({**NGINX_JSON, "request_time": "0.250"}, AT - 0.25, 0.25),
        ({"ts": AT + 0.5, "request": {"method": "GET", "uri": "/a"}, "status": 200, "duration": 0.25}, AT + 0.25, 0.25),
        ({"time": AT * 1000, "req": {"method": "GET", "url": "/a"}, "res": {"statusCode": 200}, "responseTime": 250},
         AT - 0.25, 0.25),
        ({"StartUTC": "2026-11-21T10:39:45.5Z", "RequestMethod": "GET", "RequestPath": "/a", "DownstreamStatus": 200,
          "Duration": 250_000_000}, AT + 0.5, 0.25),
        ({"@timestamp": "2026-11-21 10:39:45", "path": "/a", "status_code": 200, "duration_ms": 250}, AT - 0.25, 0.25),
        ({"timestamp": "2026-11-21T10:39:45.000Z", "path": "/a", "status": 200, "latency": "250ms"}, AT - 0.25, 0.25),
        ({"time_local": "21/Nov/2026:19:39:45 +0900", "method": "GET", "path": "/a", "status": 200}, AT, None),
        ({"http.method": "GET", "http.target": "/a", "http.status_code": 200}, None, None),
    ],
)  # fmt: skip
def test_json_lines_by_the_names_that_are_common(row, at_s, duration_s):
    head, status, at_us, took_s = one(json_lines.read(json.dumps(row).encode() + b"\n"))
    assert (head, status) == (b"GET /a", 200)
    assert at_us == (NO_TIME if at_s is None else at_s * 1_000_000)
    assert np.isnan(took_s) if duration_s is None else took_s == pytest.approx(duration_s)


@pytest.mark.parametrize("line", ["{", "[]", "7", '{"path": "/a"}', '{"status": 200}', '{"path": 3, "status": 200}',
                                  '{"path": "/a", "status": "OK"}', '{"path": "/a", "status": 99999}'])  # fmt: skip
def test_json_lines_that_are_no_requests_are_skipped(line):
    columns = json_lines.read(line.encode() + b"\n")
    assert (columns.requests, columns.skipped) == (0, 1)


def test_a_line_break_inside_a_json_path_stays_one_request():
    assert one(json_lines.read(b'{"path": "/a\\nGET /b", "status": 200}\n'))[0] == b"GET /a%0AGET /b"


def test_azure_traces_of_2023_and_2024():
    block = (
        b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n"
        b"2023-11-16 18:15:50.9951690,396,109\n2024-05-10 00:00:00.009930+00:00,2162,5\nbroken,1\n"
    )
    assert detect(block, None).name == "Azure LLM inference trace"
    columns = traces.azure(block)
    assert columns.tokens.tolist() == [[374, 44], [396, 109], [2162, 5]]
    assert columns.at_us[1] - columns.at_us[0] == 4_314_579
    assert columns.at_us[2] == 1_715_299_200_009_930
    assert columns.skipped == 1


def test_burstgpt_rows_without_an_answer_are_failures():
    block = (
        b"Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n"
        b"45,ChatGPT,1087,0,1087,Conversation log\n118.5,GPT-4,417,276,693,API log\n1,2\n"
    )
    found = detect(block, None)
    assert (found.name, found.relative) == ("BurstGPT trace", True)
    columns = found.read(block)
    assert columns.at_us.tolist() == [5_000_000, 45_000_000, 118_500_000]
    assert columns.status.tolist() == [200, 500, 200]
    assert columns.skipped == 1


def test_mooncake_times_are_milliseconds():
    block = (
        b'{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}\n{"timestamp": -1}\n'
    )
    found = detect(block, None)
    assert found.name == "Mooncake trace"
    columns = found.read(block)
    assert (columns.at_us.tolist(), columns.tokens.tolist(), columns.skipped) == ([27_482_000], [[6955, 52]], 1)


def test_an_unknown_format_is_refused_with_its_first_line_escaped(tmp_path):
    with pytest.raises(UsageError) as refusal:
        detect(b"\x1b]0;title\x07 hello\n", tmp_path / "x.log")
    assert "known are nginx combined" in str(refusal.value)
    assert "\x1b" not in str(refusal.value)
    assert "\\x1b]0;title\\x07 hello" in str(refusal.value)


@pytest.mark.parametrize("text", ["2026-13-01 00:00:00", "2026-02-30 00:00:00", "2026-01-01 24:00:00", "yesterday",
                                  "0000-01-01 00:00:00", "1e400", "-5", "nan", ""])  # fmt: skip
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError):
        moments.any_moment(text)


@pytest.mark.parametrize("number", [AT, AT * 1_000, AT * 1_000_000, AT * 1_000_000_000, str(AT), float(AT)])
def test_epochs_are_told_apart_by_their_size(number):
    assert moments.any_moment(number) == (AT * 1_000_000, 0)
