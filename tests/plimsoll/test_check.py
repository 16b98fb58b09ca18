"""plimsoll check: one request per enabled endpoint, judged as a run would, and what lies ahead."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Said, said, written
from servers import Scripted, answer, raw, silent


def asked(
    capsys: pytest.CaptureFixture[str], folder: Path, server: Scripted, *endpoints: dict[str, Any], **more: Any
) -> Said:
    return said(capsys, "check", written(folder, server.url, *endpoints, **more))


def test_a_service_that_answers_as_expected_is_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Scripted({"/search": answer(), "/ask": answer(422)}) as server:
        done = asked(
            capsys, tmp_path, server, {"name": "search", "path": "/search", "expect": {"json_path": "$.ok"}},
            {"name": "ask", "method": "POST", "path": "/ask", "json": {"q": "{{seq}}"}, "expect": {"status": [422]}},
            {"name": "off", "path": "/off", "enabled": False},
        )  # fmt: skip
    assert done.code == 0 and done.out.rstrip().endswith("ready to run")
    assert sorted(one.path for one in server.aside) == ["/ask", "/search"]
    assert all(one.header["host"].startswith("127.0.0.1") for one in server.aside)


@pytest.mark.parametrize(
    ("script", "part"),
    [
        (answer(500), "status 500"),
        (answer(429), "a limit refused already this one request"),
        (answer(302, b"", Location="http://203.0.113.9/x"), "redirects to http://203.0.113.9/x, which is not followed"),
        (answer(body=b"{}"), "no value at the expected JSON path"),
        (raw(b"nonsense\r\n"), "no answer: "),
        (silent(2.0), "no answer within 0.2 s"),
    ],
)
def test_each_problem_is_named_and_ends_with_1(
    script: Any, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = {"name": "search", "path": "/search", "timeout_s": 0.2, "expect": {"json_path": "$.ok"}}
    with Scripted({"/search": script}) as server:
        done = asked(capsys, tmp_path, server, endpoint)
    assert done.code == 1 and part in done.out and "1 problem(s)" in done.out
    assert "Traceback" not in done.err


def test_what_the_service_says_about_a_refused_body_is_shown_without_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTES_API_KEY", "canary-41-secret")
    detail = b'{"detail":[{"loc":["body","prompt"],"msg":"Field required"}],\n"key":"canary-41-secret"}'
    with Scripted({"/search": answer(422, detail)}) as server:
        done = asked(capsys, tmp_path, server, {"name": "search", "path": "/search"})
    assert done.code == 1 and '"loc":["body","prompt"],"msg":"Field required"' in done.out
    assert "canary-41-secret" not in done.out
    assert "correct the endpoint or the service, then: plimsoll check " in done.out


def test_with_json_only_the_document_is_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Scripted({"/search": answer()}) as server:
        done = said(capsys, "check", written(tmp_path, server.url), "--json")
    document = json.loads(done.out)
    assert done.code == 0 and done.err == "" and document["problems"] == []
    assert document["endpoints"][0]["status"] == 200


def test_a_stream_that_no_description_tells_of_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    streamed = answer(body=b"data: one\n\ndata: two\n\n", Content_Type="text/event-stream; charset=utf-8")
    endpoint = {"name": "chat", "path": "/chat"}
    with Scripted({"/chat": streamed}) as server:
        plain = asked(capsys, tmp_path, server, endpoint)
        said_so = asked(capsys, tmp_path, server, endpoint | {"stream": "sse"})
    assert plain.code == 0 and 'chat answers with a stream of events: add stream = "sse"' in plain.out
    assert "stream of events" not in said_so.out


def test_limits_and_money_ahead_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upstream = {
        "paid": True, "usd_per_1k_tokens_in": 1.0, "usd_per_1k_tokens_out": 2.0, "tokens_in": 100, "tokens_out": 50,
        "max_usd": 500.0,
    }  # fmt: skip
    limits = {"per_client": ["10/minute"], "database": {"pool_size": 10, "max_connections": 100, "reserved": 3}}
    with Scripted({"/search": answer()}) as server:
        contract = written(tmp_path, server.url, limits=limits, upstream=upstream)
        done = said(capsys, "check", contract)
    assert "10/minute per client" in done.out
    assert "database: a pool of 10 connections per process, 100 in all (3 reserved)" in done.out
    assert "1,000 upstream calls, 150,000 tokens, 200.00 USD" in done.out


def test_a_secret_is_sent_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLIMSOLL_TEST_KEY", "canary-8Zq1")
    with Scripted({"/search": answer(500, b"bad key canary-8Zq1")}) as server:
        done = asked(
            capsys, tmp_path, server, {"name": "s", "path": "/search", "header": {"X-Key": "${env:PLIMSOLL_TEST_KEY}"}}
        )
    assert server.aside[0].header["x-key"] == "canary-8Zq1"
    assert "canary-8Zq1" not in done.out + done.err
