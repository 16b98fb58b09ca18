"""Starting a service and what it needs, waiting until it can serve, and leaving nothing behind."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from measurements.errors import ContractError, TargetUnreachable, UsageError
from targets.contract import Contract
from targets.contract_file import parse
from targets.control import Deployment, fill
from targets.process import Process, describe_exit, wait_gone

SERVICE = """
import os, signal, sys, subprocess, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
port, *words = sys.argv[1:]
class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        body = " ".join([*words, os.environ.get("GIVEN", "")]).encode()
        self.send_response(503 if "unhealthy" in words else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
if "child" in words:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
if "stubborn" in words:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "dies" in words:
    print("cannot open the index", flush=True)
    sys.exit(7)
server = ThreadingHTTPServer(("127.0.0.1", int(port)), Answers)
def asked(*_):
    print("asked to stop", flush=True)
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGUSR1, asked)
server.serve_forever()
"""


@pytest.fixture
def service(tmp_path: Path) -> str:
    """The start command of a small HTTP service; words after it change how it behaves."""
    path = tmp_path / "service.py"
    path.write_text(SERVICE)
    return f"{sys.executable} {path} {{port}}"


def contract(start: str, **control: Any) -> Contract:
    raw = {
        "target": {
            "name": "small", "base_url": "http://127.0.0.1:1",
            "control": {"start": start, "ready": "/health", "ready_timeout_s": 10, **control},
        },
        "endpoint": [{"name": "e", "path": "/"}],
    }  # fmt: skip
    return parse(raw, Path("c.toml"))


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_inside_the_context_the_service_answers_and_after_it_nothing_is_left(service: str, tmp_path: Path) -> None:
    with Deployment(contract(f"{service} child"), tmp_path) as deployment:
        assert httpx.get(deployment.base_urls[0], trust_env=False).text.strip() == "child"
        assert set(deployment.roots["target"]) <= children() and len(children()) == 2
        assert deployment.died() is None
    assert children() == set()
    assert list(tmp_path.glob("small-*.log"))


def test_port_workers_and_the_urls_of_needs_are_filled_in(service: str, tmp_path: Path) -> None:
    made = contract(
        f"{service} w={{workers}} llm={{llm_url}}",
        env={"GIVEN": "at {port}"},
        needs=[{"name": "llm", "start": service}],
    )
    with Deployment(made, tmp_path, workers=3) as deployment:
        port = deployment.base_urls[0].rsplit(":", 1)[1]
        said = httpx.get(deployment.base_urls[0], trust_env=False).text
        assert said == f"w=3 llm={deployment.urls['llm_url']} at {port}"
        assert set(deployment.roots) == {"llm", "target"}
    assert children() == set()


def test_a_name_with_a_slash_is_no_path(service: str, tmp_path: Path) -> None:
    made = contract(service)
    made = made.model_copy(update={"target": made.target.model_copy(update={"name": "../team/service"})})
    with Deployment(made, tmp_path):
        assert [path.name[:16] for path in tmp_path.glob("*.log")] == ["..-team-service-"]


def test_replicas_get_ports_of_their_own(service: str, tmp_path: Path) -> None:
    with Deployment(contract(service), tmp_path, replicas=2) as deployment:
        assert len(set(deployment.base_urls)) == 2
        assert {httpx.get(url, trust_env=False).status_code for url in deployment.base_urls} == {200}
    assert children() == set()


def test_a_service_that_dies_at_once_is_unreachable_with_its_last_words(service: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TargetUnreachable) as caught, Deployment(contract(f"{service} dies"), tmp_path):
        pass
    assert "ended with exit code 7" in str(caught.value) and "cannot open the index" in str(caught.value)
    assert time.monotonic() - began < 5
    assert children() == set()


def test_a_port_in_use_is_told_in_the_services_own_words(service: str, tmp_path: Path) -> None:
    with Deployment(contract(service), tmp_path) as first:
        port = first.base_urls[0].rsplit(":", 1)[1]
        with (
            pytest.raises(TargetUnreachable, match="Address already in use"),
            Deployment(contract(service.replace("{port}", port)), tmp_path),
        ):
            pass


def test_a_service_that_is_never_healthy_is_given_up_after_its_time(service: str, tmp_path: Path) -> None:
    made = contract(f"{service} unhealthy", ready_timeout_s=0.6)
    with pytest.raises(TargetUnreachable) as caught, Deployment(made, tmp_path):
        pass
    assert "was not ready within 0.6 s" in str(caught.value) and "gave status 503" in str(caught.value)
    assert "ready_timeout_s" in str(caught.value)
    assert children() == set()


def test_a_need_that_fails_leaves_nothing_running(service: str, tmp_path: Path) -> None:
    needs = [{"name": "db", "start": service}, {"name": "llm", "start": f"{service} dies"}]
    with pytest.raises(TargetUnreachable, match="llm ended"), Deployment(contract(service, needs=needs), tmp_path):
        pass
    assert children() == set()


def test_a_service_that_dies_in_the_middle_is_noticed(service: str, tmp_path: Path) -> None:
    with Deployment(contract(service), tmp_path) as deployment:
        os.kill(deployment.roots["target"][0], signal.SIGKILL)
        deadline = time.monotonic() + 5
        while deployment.died() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "small ended by SIGKILL (out of memory?)" in (deployment.died() or "")


def test_a_service_that_ignores_sigterm_is_killed_with_its_children(service: str, tmp_path: Path) -> None:
    process = Process("small", f"{service.replace('{port}', '0')} stubborn child", {}, tmp_path, tmp_path / "log")
    deadline = time.monotonic() + 5
    while len(children()) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    pids = children()
    process.stop(patience_s=0.3)
    assert wait_gone(list(pids), 3) == []


def test_the_stop_command_is_given_its_chance_before_any_signal(service: str, tmp_path: Path) -> None:
    made = contract(service, stop=f"{sys.executable} -c 'import os; os.kill({{pid}}, 10)'")
    with Deployment(made, tmp_path) as deployment:
        process = deployment.processes["target"][0]
    assert "asked to stop" in process.last_words(20)
    assert process.exit_code == 0  # not -15: it ended by itself
    assert children() == set()


def test_a_stop_command_that_does_not_help_costs_the_service_its_life_all_the_same(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("targets.control.STOP_PATIENCE_S", 0.3)
    for useless in ("true", "false", "no-such-command-at-all"):
        with Deployment(contract(service, stop=useless), tmp_path):
            pass
        assert children() == set()


def test_a_stop_command_that_cannot_be_filled_in_is_refused_before_anything_starts(
    service: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(ContractError, match=r"uses \{nonsense\}; known here are .*\{pid\}"),
        Deployment(contract(service, stop="stop {nonsense}"), tmp_path),
    ):
        pass
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.parametrize(
    ("start", "error", "part"),
    [
        ("no-such-command-at-all", UsageError, "cannot be started: 'no-such-command-at-all'"),
        ("x --port {prot}", ContractError, "uses {prot}; known here are {port}, {workers}"),
        ("x {", ContractError, "[target.control]"),
        ("x {port:z}", ContractError, "[target.control]"),
        ("x 'unbalanced", UsageError, "cannot be started"),
        ("", UsageError, "cannot be started"),
    ],
)
def test_a_start_command_that_cannot_be_is_a_sentence(
    start: str, error: type[Exception], part: str, tmp_path: Path
) -> None:
    with pytest.raises(error) as caught, Deployment(contract(start), tmp_path):
        pass
    assert part in str(caught.value) and "\n" not in str(caught.value)
    assert children() == set()


def test_the_users_own_programs_come_before_ours_and_plimsoll_is_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("uvicorn", "plimsoll"):
        (tmp_path / name).write_text("#!/bin/sh\necho theirs\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said = {}
    for name in ("uvicorn", "plimsoll"):
        process = Process(name, f"{name} --version", {}, tmp_path, tmp_path / f"{name}.log")
        until = time.monotonic() + 20
        while process.exit_code is None and time.monotonic() < until:
            time.sleep(0.05)
        process.stop()
        said[name] = process.last_words()
    assert said["uvicorn"] == "theirs"
    assert said["plimsoll"] != "theirs"


def test_a_contract_without_control_cannot_be_started(tmp_path: Path) -> None:
    raw = {"target": {"name": "t", "base_url": "http://127.0.0.1:1"}, "endpoint": [{"name": "e", "path": "/"}]}
    with pytest.raises(ContractError, match=r"has no \[target.control\]"):
        Deployment(parse(raw, Path("c.toml")), tmp_path)


def test_doubled_braces_stay_braces() -> None:
    assert fill("x {{a}} {port}", {"port": "80"}) == "x {a} 80"


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "ended with exit code 0"), (3, "ended with exit code 3"), (-15, "ended by SIGTERM"),
     (137, "ended by SIGKILL (out of memory?)"), (-9, "ended by SIGKILL (out of memory?)"), (255, "ended by signal 127")],
)  # fmt: skip
def test_exit_codes_are_told_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


def test_what_we_start_dies_with_us(tmp_path: Path) -> None:
    """A parent killed with SIGKILL can clean nothing up; the kernel does it (Linux)."""
    code = (
        "import sys, time; from pathlib import Path; from targets.process import Process;"
        f"p = Process('s', 'sleep 60', {{}}, Path('/'), Path({str(tmp_path / 'log')!r})); print(p.pid, flush=True); time.sleep(60)"
    )
    import subprocess

    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_gone([pid], 3) == []
