"""Notifications: who is told what by which channel, against a receiver on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from plimsoll.notify import gate_message, send
from targets.contract import Alert

SLOWER = {
    "endpoint": "search",
    "metric": "mean_ms",
    "primary": True,
    "verdict": "FAIL",
    "ratio": 1.1,
    "ci95": [1.08, 1.12],
}
VERDICT = {
    "verdict": "FAIL", "target": "kakao", "run": "20260301T020000Z-kakao-gate-abcdef",
    "reasons": ["slower in search mean_ms, and a fresh duet agreed"], "comparisons": [SLOWER],
}  # fmt: skip


class Receiver(BaseHTTPRequestHandler):
    taken: list[tuple[str, Any]]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).taken.append((self.path, json.loads(body)))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[tuple[str, type[Receiver]]]:
    handler = type("Handler", (Receiver,), {"taken": [], "status": 200})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"json://127.0.0.1:{server.server_address[1]}/hook?password=s3cret", handler
        server.shutdown()


ALERT = Alert.model_validate({"notify": {"critical": ["MAIL", "CHAT"], "low": ["CHAT"]}})


def test_a_failed_gate_reaches_the_channels_of_its_severity(
    receiver: tuple[str, type[Receiver]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = receiver
    monkeypatch.setenv("CHAT", url)
    monkeypatch.delenv("MAIL", raising=False)
    message = gate_message(VERDICT)
    assert message is not None
    problems = send(ALERT, *message)
    assert problems == ["critical: nobody was told on MAIL: not set in the environment"]
    [(_, body)] = handler.taken
    assert body["title"] == "FAIL: gate of kakao"
    assert "search mean_ms: +10.0 % [+8.0, +12.0]" in body["message"]
    assert body["type"] == "failure"


def test_nobody_is_told_of_a_pass_or_at_a_severity_without_channels(
    receiver: tuple[str, type[Receiver]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT", receiver[0])
    assert gate_message({**VERDICT, "verdict": "PASS"}) is None
    assert send(ALERT, "medium", "title", "text") == []
    assert receiver[1].taken == []


def test_a_channel_that_refuses_or_is_no_url_is_a_sentence_without_the_url(
    receiver: tuple[str, type[Receiver]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url, handler = receiver
    handler.status = 500
    monkeypatch.setenv("CHAT", url)
    monkeypatch.setenv("MAIL", "notaurl s3cret")
    problems = send(ALERT, "critical", "title", "text")
    assert len(problems) == 2
    assert "holds no URL" in problems[0] and "did not take the message" in problems[1]
    out, err = capfd.readouterr()
    assert "s3cret" not in " ".join([*problems, out, err])


def test_a_message_carries_no_secret_and_no_control_characters(
    receiver: tuple[str, type[Receiver]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT", receiver[0])
    send(ALERT, "low", "t", "Authorization: Bearer abc.def http://me:hunter2@host/ api_key=xyz \x1b[31m")
    [(_, body)] = receiver[1].taken
    assert not {"abc.def", "hunter2", "xyz"} & set(
        body["message"].replace("@", " ").replace(":", " ").replace("=", " ").split()
    )
    assert "\x1b" not in body["message"]
