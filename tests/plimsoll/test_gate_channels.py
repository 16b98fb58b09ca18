"""The three channels that teams use, each by its own protocol: Mattermost and mail to receivers on this machine, Slack,
whose address is fixed, up to the request that would leave it."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from plimsoll.notify import gate_message, send_to

VERDICT = {
    "verdict": "FAIL",
    "target": "kakao",
    "run": "r1",
    "reasons": ["slower in search mean_ms"],
    "comparisons": [],
}


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler], http: bool) -> Iterator[int]:
    made = ThreadingHTTPServer if http else socketserver.ThreadingTCPServer
    with made(("127.0.0.1", 0), handler) as server:  # type: ignore[arg-type]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


def told(monkeypatch: pytest.MonkeyPatch, url: str) -> list[str]:
    monkeypatch.setenv("CHANNEL", url)
    message = gate_message(VERDICT)
    assert message is not None
    return send_to(["CHANNEL"], *message)


def test_mattermost_gets_a_post_with_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with serving(Hook, http=True) as port:
        assert told(monkeypatch, f"mmost://127.0.0.1:{port}/3ccdd113474722377935511fc85d3dd4") == []
    [(path, body)] = taken
    assert path == "/hooks/3ccdd113474722377935511fc85d3dd4"
    assert "FAIL: gate of kakao" in json.dumps(body) and "slower in search mean_ms" in json.dumps(body)


def test_mail_arrives_with_subject_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    letters: list[str] = []

    class Smtp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                word = line.split()[0].upper() if line.split() else b""
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    text = b""
                    while not text.endswith(b"\r\n.\r\n"):
                        text += self.rfile.readline()
                    letters.append(text.decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                if word == b"QUIT":
                    return

    with serving(Smtp, http=False) as port:
        assert (
            told(monkeypatch, f"mailto://127.0.0.1:{port}?mode=insecure&from=gate@example.org&to=team@example.org")
            == []
        )
    letter = message_from_string(letters[0], policy=policy.default)
    assert letter["to"] == "team@example.org" and "FAIL: gate of kakao" in letter["subject"]
    assert any(
        "slower in search mean_ms" in str(part.get_content()) for part in letter.walk() if not part.is_multipart()
    )


def test_slack_would_get_a_post_with_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, str]] = []

    def request(method: str, url: str, data: str, **_: object) -> SimpleNamespace:
        sent.append((url, data))
        return SimpleNamespace(status_code=200, content=b"ok", text="ok")

    monkeypatch.setattr("requests.request", request)
    assert told(monkeypatch, "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ") == []
    [(url, data)] = sent
    assert url.startswith("https://hooks.slack.com/services/T1JJ3T3L2")
    assert "FAIL: gate of kakao" in data and "slower in search mean_ms" in data
