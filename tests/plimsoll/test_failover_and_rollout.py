"""A replica killed, a version replaced, under load and behind a real nginx: what it costs is counted, and a rollout that
loses a request does not pass."""

import json
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import said, written

from measurements.rundir import RunDirectory
from targets.balancer import Balancer

SERVICE = """
import signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Answers(BaseHTTPRequestHandler):
    def answer(self):
        if self.path != "/health":
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            time.sleep(0.3)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    do_GET = do_POST = answer
    def log_message(self, *_): pass
class Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 256
server = Server(("127.0.0.1", int(sys.argv[1])), Answers)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
"""
ASK = {"name": "ask", "path": "/ask", "method": "POST", "json": {"question": "{{seq}}"}, "timeout_s": 5.0}
LOAD = ["--start", "--rate", 40, "--seed", 1, "--json"]


def contract(folder: Path, **rollout: Any) -> Path:
    (folder / "service.py").write_text(SERVICE)
    control: dict[str, Any] = {"start": f"{sys.executable} {folder / 'service.py'} {{port}}"}
    if rollout:
        control["rollout"] = rollout
    return written(folder, "http://127.0.0.1:9", ASK, target__control=control)


def test_a_killed_replica_costs_what_was_on_its_way_there_and_the_balancer_carries_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = said(capsys, "run", contract(tmp_path), "--shape", "failover", "--duration", 9, *LOAD)
    summary = json.loads(done.out)
    found = summary["failover"]
    assert found["complete"], summary["reasons"]
    assert [step["what"] for step in found["steps"]] == ["killed", "started"]
    assert found["killed_s"] == pytest.approx(3.0, abs=1.0)  # the signal waits its turn on a busy machine
    assert 1 <= found["failed"] <= 20  # 40/s for 0.3 s, half of them there: 6, and none in one try of 400
    assert found["time_to_recover_s"]["high"] < 1.5  # what was on its way; new requests go to the other at once
    assert found["outage_equivalent_s"] == pytest.approx(found["failed"] / 40, rel=0.2)
    assert summary["stages"][2]["endpoints"]["ask"]["error_rate"] == 0
    page = (RunDirectory.open(tmp_path / "runs" / "latest").path / "report.html").read_text()
    assert "A replica was killed at" in page and "killed" in page and "full outage" in page
    assert [
        child for child in psutil.Process().children(recursive=True) if "service.py" in " ".join(child.cmdline())
    ] == []


@pytest.mark.parametrize(
    ("plan", "replicas", "steps"),
    [
        pytest.param(
            {"strategy": "blue-green"}, 1, ["begun", "started", "switched", "stopped", "finished"], marks=pytest.mark.prove
        ),
        (
            {"strategy": "rolling", "max_unavailable": 1, "max_surge": 1}, 3,
            ["begun", *["stopped", "started"] * 3, "finished"],
        ),
    ],
)  # fmt: skip
def test_a_rollout_loses_no_request(
    plan: dict[str, Any], replicas: int, steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    words = ["--shape", "rollout", "--duration", 9, "--replicas", replicas, *LOAD]
    done = said(capsys, "run", contract(tmp_path, **plan), *words)
    summary = json.loads(done.out)
    assert "rollout" in summary, done
    found = summary["rollout"]
    assert [step["what"] for step in found["steps"]] == steps
    assert (found["lost"], found["complete"]) == (0, True), summary["all"]["outcomes"]
    assert {
        "endpoint": "all",
        "metric": "rollout_lost",
        "limit": 0,
        "value": 0,
        "state": "met",
        "sure": True,
    } in summary["slo"]
    assert done.code == (0 if summary["valid"] else 3), summary["reasons"]  # a busy machine may spoil its times


@pytest.mark.prove
def test_a_rollout_whose_balancer_never_switched_loses_requests_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The negative control."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Balancer, "use", lambda self, urls: None)
    made = contract(tmp_path, strategy="blue-green")
    done = said(capsys, "run", made, "--shape", "rollout", "--duration", 6, *LOAD)
    summary = json.loads(done.out)
    assert summary["rollout"]["lost"] > 20 and done.code == (1 if summary["valid"] else 3)
    assert [finding["state"] for finding in summary["slo"] if finding["metric"] == "rollout_lost"] == ["missed"]


@pytest.mark.prove
def test_a_rollout_that_the_load_did_not_outlast_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = contract(tmp_path, max_surge=1)
    done = said(capsys, "run", made, "--shape", "rollout", "--duration", 1, "--replicas", 3, *LOAD)
    summary = json.loads(done.out)
    assert done.code == 3 and summary["rollout"]["complete"] is False
    assert "give it more --duration" in summary["reasons"][0]["sentence"]


@pytest.mark.parametrize("shape", ["failover", "rollout"])
def test_what_is_not_ours_to_kill_is_refused(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = said(capsys, "run", written(tmp_path, "http://127.0.0.1:9"), "--shape", shape, "--rate", 5)
    assert done.code == 2 and "add --start" in done.sentence
