"""Whole gates over real processes, short: what dies, what is missing and what is shared is never green."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from measurements.errors import Exit, TargetUnreachable
from plimsoll.commands.gate import gate
from plimsoll.gate_words import Words

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
        "alternate": False, "search": 0.0, "allocations": False, "seed": 4, "rate": 40.0,
        "baseline_start": f"{python} service.py {{port}} 0.02 0",
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


BURN = "import time\nend = time.monotonic() + 90\nwhile time.monotonic() < end: pass"


@pytest.fixture
def burners() -> Iterator[None]:
    """Four busy loops on the generator's core (the last)."""
    core = max(os.sched_getaffinity(0))
    processes = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(4)]
    for process in processes:
        os.sched_setaffinity(process.pid, {core})
    yield
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.prove
def test_a_starved_generator_is_never_shown_green(folder: Path, burners: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIMSOLL_REALTIME", "0")
    code, document = run(folder, "0.02 0")
    assert (code, document["verdict"]) == (int(Exit.INVALID), "INVALID"), document["reasons"]
    assert "generator" in document["reasons"][0]


@pytest.mark.prove
def test_few_requests_are_answered_by_service_time_and_a_bound(folder: Path) -> None:
    contract = (folder / "s.toml").read_text(encoding="utf-8").partition("[gate]")[0]
    (folder / "s.toml").write_text(contract, encoding="utf-8")
    _, document = run(folder, "0.03 0", rate=0.7)
    judged = {(c["endpoint"], c["metric"]): c for c in document["comparisons"] if c["primary"]}
    service = judged["ask", "service_mean_ms"]
    assert service["verdict"] == "FAIL" and document["verdict"] == "FAIL"
    assert service["ratio"] == pytest.approx(1.47, abs=0.08)
    assert service["at_most"] > service["ratio"]
    assert ("ask", "p95_ms") not in judged


@pytest.mark.prove
def test_what_a_request_allocates_and_the_highest_rate_stand_beside_the_verdict(folder: Path) -> None:
    """The candidate builds a list of 100,000 numbers, some 800 KiB, in each answer."""
    text = SERVICE.replace("time.sleep(delay_s)", "time.sleep(0.02); list(range(int(delay_s)))")
    (folder / "service.py").write_text(text, encoding="utf-8")
    python = sys.executable
    _, document = run(
        folder, "100000 0", baseline_start=f"{python} service.py {{port}} 0 0", allocations=True, search=12.0
    )
    assert document["allocations"]["candidate"]["kib"] > document["allocations"]["baseline"]["kib"] + 700
    assert document["max_rate"]["baseline"]["upper_rps"] is None or document["max_rate"]["baseline"]["lower_rps"] > 1
    assert "a request allocates" in " ".join(document["notes"]) and "highest rate" in " ".join(document["notes"])
