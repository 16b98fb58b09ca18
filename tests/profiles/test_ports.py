"""A service is found by the port it listens on; where it is not, one sentence says why."""

import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from profiles import ports

FORKS = """
import os, socket, sys, time
listener = socket.create_server(("127.0.0.1", 0))
for _ in range(2):
    if os.fork() == 0:
        time.sleep(60)
print(listener.getsockname()[1], flush=True)
time.sleep(60)
"""


@pytest.fixture
def service():
    process = subprocess.Popen([sys.executable, "-c", FORKS], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    port = int(process.stdout.readline())
    yield process.pid, port
    for child in psutil.Process(process.pid).children():
        child.kill()
    process.kill()
    process.wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_of_a_parent_and_its_workers_the_parent_is_found(service: tuple[int, int], host: str) -> None:
    pid, port = service
    assert ports.listening(f"http://{host}:{port}/v1") == ports.Listening((pid,))


def test_without_proc_the_system_wide_table_is_asked(
    service: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ports, "PROC", tmp_path)
    pid, port = service
    family = {pid, *(child.pid for child in psutil.Process(pid).children())}
    found = ports.listening(f"http://127.0.0.1:{port}").roots
    assert len(found) == 1
    assert set(found) <= family


def test_a_free_port_is_said_to_be_free() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        found = ports.listening(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert found.roots == ()
    assert "no process of this machine listens on port" in (found.why_not or "")


@pytest.mark.parametrize("url", ["http://192.0.2.7:80", "unix:/run/app.sock"])
def test_what_cannot_be_looked_at_is_said_in_a_sentence(url: str) -> None:
    found = ports.listening(url)
    assert found.roots == ()
    assert found.why_not


def test_a_listener_of_another_user_is_told_from_none_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ports, "_holders", lambda port: (set(), True))
    assert "another user" in (ports.listening("http://127.0.0.1:9").why_not or "")
