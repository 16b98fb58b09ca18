"""Whole gates over real processes, short: what dies, what is missing and what is shared is never green."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from measurements.errors import Exit, TargetUnreachable
from plimsoll.commands.gate import Words, gate

SERVICE = """
import json, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
delay_s, dies_after_s = float(sys.argv[2]), float(sys.argv[3])

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self):
        if self.path != "/health":
            time.sleep(delay_s)
        body = b'{"ok": true}'
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    def log_message(self, *_): ...

server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
if dies_after_s:
    threading.Timer(dies_after_s, lambda: __import__("os")._exit(9)).start()
server.serve_forever()
"""
CONTRACT = """
[target]
name = "small"
base_url = "http://127.0.0.1:9"
[target.control]
start = "python service.py {{port}} 0.02 0"
[[endpoint]]
name = "ask"
path = "/ask?q={{{{nonce}}}}"
[gate]
floor = 0.05
primaries = ["ask:mean_ms", "ask:p50_ms"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "service.py").write_text(SERVICE, encoding="utf-8")
    (tmp_path / "s.toml").write_text(CONTRACT.format(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, candidate: str | None, **given: Any) -> tuple[int, dict[str, Any]]:
    known: dict[str, Any] = dict.fromkeys(Words.__dataclass_fields__)
    python = sys.executable
    known |= {
        "contract": folder / "s.toml", "budget": 31.0, "out": folder / "runs", "lang": "en", "json": False, "quiet": True,
        "alternate": False, "search": 0.0, "seed": 4, "rate": 40.0, "baseline_start": f"{python} service.py {{port}} 0.02 0",
        "candidate_start": f"{python} service.py {{port}} {candidate}" if candidate else None, **given,
    }  # fmt: skip
    with pytest.raises(SystemExit) as found:
        gate(Words(**known))
    document = json.loads((folder / "runs" / "latest" / "verdict.json").read_text(encoding="utf-8"))
    return int(found.value.code or 0), document


@pytest.mark.prove
def test_equal_versions_are_not_failed_and_everything_is_left_behind(folder: Path) -> None:
    code, document = run(folder, "0.02 0")
    assert document["verdict"] != "FAIL" and code == document["exit_code"]
    latest = folder / "runs" / "latest"
    assert all((latest / name).is_file() for name in ("report.html", "junit.xml", "comment.md", "run.json"))
    assert (folder / "runs" / "history.duckdb").is_file()


@pytest.mark.prove
def test_a_planted_slowdown_fails_and_can_be_accepted(folder: Path) -> None:
    code, document = run(folder, "0.024 0")
    assert (code, document["verdict"]) == (1, "FAIL")
    assert document["comparisons"][0]["ratio"] == pytest.approx(1.19, abs=0.04)
    assert len(document["duets"]) == 2


def test_a_candidate_that_dies_fails_the_gate(folder: Path) -> None:
    code, document = run(folder, "0.02 12")
    assert (code, document["verdict"]) == (int(Exit.SLO_MISSED), "FAIL")
    assert "the candidate died and the baseline lived" in document["reasons"][0]


def test_a_candidate_that_does_not_start_is_a_sentence(folder: Path) -> None:
    with pytest.raises(TargetUnreachable, match=r"the candidate .* did not start"):
        run(folder, "not-a-number 0")
