"""Ctrl-C, a killed command, a killed service: what was measured is kept, and no process is left behind."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import said, started, written
from servers import Scripted, answer

from measurements.rundir import RunDirectory
from targets.process import wait_gone

LOAD = ["--rate", 40, "--duration", 30, "--seed", 1]


def wait_for(what: Any, timeout_s: float = 60.0) -> Any:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come within its time")


def latest(folder: Path) -> RunDirectory | None:
    path = folder / "runs" / "latest"
    return RunDirectory(path.resolve()) if path.exists() else None


@contextmanager
def running(folder: Path, *words: object) -> Iterator[tuple[subprocess.Popen[str], RunDirectory, list[int]]]:
    """A run that has measured something: (the command, its run directory, the processes below it)."""
    process = started("run", *words, cwd=folder)
    try:
        run = wait_for(lambda: latest(folder))
        wait_for(lambda: process.poll() is not None or run.table("samples", ["seq"]).num_rows >= 20)
        assert process.poll() is None, process.communicate()[1]
        yield process, run, [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted({"/search": answer()}) as server:
        yield server


def test_ctrl_c_ends_with_130_keeps_the_rows_and_leaves_no_process(server: Scripted, tmp_path: Path) -> None:
    with running(tmp_path, written(tmp_path, server.url), *LOAD) as (process, run, children):
        assert children
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert wait_gone(children, 5) == []
    summary = run.read_json("summary.json")
    assert (summary["ended"], summary["exit_code"]) == ("interrupted", 130)
    rows = run.table("samples").to_pylist()
    assert len(rows) == summary["all"]["count"] >= 20
    assert Counter(row["outcome"] for row in rows)["ok"] >= len(rows) - 2
    assert summary["offered_rps"] == pytest.approx(40, rel=0.35) and summary["duration_s"] < 15
    checks = {check["check"]: check["state"] for check in run.read_json("validity.json")["checks"]}
    assert checks["accounting"] == "ok" and checks["schedule_complete"] == "note"
    assert (run.path / "report.html").is_file() and "report.html" in out


def test_a_killed_command_takes_its_load_with_it_and_recover_keeps_what_was_measured(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path, written(tmp_path, server.url), *LOAD, "--workers", 2) as (process, run, children):
        process.kill()
        process.wait()
        assert len(children) >= 2
        assert wait_gone(children, 8) == []  # within seconds, though nobody is there to stop them
    asked = len(server.asked)
    time.sleep(0.3)
    assert len(server.asked) == asked
    assert not run.has("summary.json")
    refused = said(capsys, "plan", run.path)
    assert refused.code == 2 and f"plimsoll recover {run.path}" in refused.sentence

    done = said(capsys, "recover", tmp_path / "runs" / "latest", "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert (summary["valid"], summary["ended"], summary["exit_code"]) == (False, "killed", 3)
    assert summary["reasons"][0]["check"] == "recovered"
    rows = run.table("samples").to_pylist()
    assert sorted(row["seq"] for row in rows) == list(range(len(rows)))
    outcomes = Counter(row["outcome"] for row in rows)
    assert outcomes["ok"] >= 20 and outcomes["ok"] <= asked
    checks = {check["check"]: check["state"] for check in run.read_json("validity.json")["checks"]}
    assert checks["accounting"] == "ok"
    again = said(capsys, "recover", run.path)
    assert again.code == 2 and "is finished already" in again.sentence


SERVICE = """
import sys, threading, time, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(503 if "unhealthy" in sys.argv else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
        if "dies" in sys.argv and self.path == "/search":
            threading.Timer(1.2, lambda: (print("out of memory", flush=True), os._exit(137))).start()
    def log_message(self, *_): pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
"""


def with_service(folder: Path, *words: str, port: str = "{port}", **control: Any) -> Path:
    (folder / "service.py").write_text(SERVICE)
    start = f"{sys.executable} {folder / 'service.py'} {port} {' '.join(words)}"
    section = {"start": start, "ready": "/health", "ready_timeout_s": 10.0, **control}
    return written(folder, "http://127.0.0.1:9", target__control=section)


def descendants() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_a_service_that_dies_in_the_middle_ends_the_run_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = descendants()
    done = said(capsys, "run", with_service(tmp_path, "dies"), "--start", "--rate", 30, "--duration", 20, "--json")
    run = RunDirectory.open(tmp_path / "runs" / "latest")
    summary, document = json.loads(done.out), run.read_json("run.json")
    assert summary["ended"] == "stopped" and summary["duration_s"] < 6
    assert "small ended by SIGKILL (out of memory?)" in document["stop_reason"]
    assert "out of memory" in document["stop_reason"]
    assert summary["all"]["outcomes"]["ok"] >= 10
    assert done.code == summary["exit_code"] == 4  # it cannot be reached any more; the rows are kept
    assert descendants() <= before


@pytest.mark.parametrize(
    ("words", "control", "part"),
    [
        ({}, {"start": "false"}, "small ended with exit code 1 before it was ready"),
        ({"word": "unhealthy"}, {"ready_timeout_s": 0.8}, "was not ready within 0.8 s"),
        ({}, {"start": "no-such-command"}, "small cannot be started"),
    ],
)
def test_a_service_that_cannot_be_started_is_one_sentence_and_leaves_nothing(
    words: dict[str, str], control: dict[str, Any], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = descendants()
    done = said(capsys, "run", with_service(tmp_path, *words.values(), **control), "--start", "--rate", 5, "--quiet")
    assert done.code == (2 if "cannot be started" in part else 4)
    assert part in done.sentence and done.out == ""
    assert descendants() <= before
    assert not (tmp_path / "runs" / "latest").exists()


def test_a_port_in_use_is_told_in_the_services_own_words(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = said(capsys, "run", with_service(tmp_path, port=str(server.port)), "--start", "--rate", 5, "--quiet")
    assert done.code == 4 and "Address already in use" in done.sentence


def test_ctrl_c_before_the_load_began_stops_what_was_started(tmp_path: Path) -> None:
    contract = with_service(tmp_path, "unhealthy", ready_timeout_s=60.0)
    process = started("run", contract, "--start", "--rate", 5, cwd=tmp_path)
    children = wait_for(lambda: [c.pid for c in psutil.Process(process.pid).children(recursive=True)])
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    assert "interrupted before the load began" in err
    assert wait_gone(children, 5) == []
    assert not (tmp_path / "runs" / "latest").exists()
