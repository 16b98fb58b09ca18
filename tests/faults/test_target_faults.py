"""The service dies, hangs, comes back, drips, breaks off, runs out of sockets; its name or its certificate is wrong."""

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fault_contract import written
from fault_service import served
from fault_table import survived
from injection import Course, Ended
from servers import Scripted, endless, head, raw

LOAD = ("--rate", 50, "--duration", 2.0, "--seed", 3)


def outcomes(ended: Ended) -> set[str]:
    return set(ended.summary["all"]["outcomes"])


def during(course: Course, *steps: tuple[float, Callable[[], object]]) -> Ended:
    """Does each step so many seconds after the load began."""
    course.wait_rows(1)
    for after_s, step in steps:
        time.sleep(after_s)
        step()
    return course.end()


@pytest.mark.prove
def test_a_service_that_dies_is_refused_connections_and_a_missed_slo(tmp_path: Path) -> None:
    with served(tmp_path) as service, Course(tmp_path, written(tmp_path, service.url), *LOAD) as course:
        ended = during(course, (0.0, service.kill))
    survived("target dies", ended, exit=1, asked=service.asked)
    assert {"ok", "connect_error"} <= outcomes(ended) and ended.states["generator_errors"] == "ok"


@pytest.mark.prove
def test_a_service_that_hangs_is_timeouts_and_a_missed_slo(tmp_path: Path) -> None:
    contract_words = {"timeout_s": 1.0}
    with (
        served(tmp_path) as service,
        Course(tmp_path, written(tmp_path, service.url, **contract_words), *LOAD) as course,
    ):
        ended = during(course, (0.0, lambda: service.signal(signal.SIGSTOP)))
    survived("target hangs", ended, exit=1, asked=service.asked)
    assert outcomes(ended) == {"ok", "timeout"}
    assert ended.summary["all"]["response_ms"]["max"] >= 1_000


def test_a_service_that_restarts_is_errors_in_between_and_answers_again(tmp_path: Path) -> None:
    words = (*LOAD[:2], "--duration", 4.0)
    with served(tmp_path) as service, Course(tmp_path, written(tmp_path, service.url), *words) as course:
        ended = during(course, (0.0, service.kill), (0.4, service.start))
        assert ended.run is not None
        rows = ended.run.table("samples", ["intended_ns", "outcome"]).to_pandas().sort_values("intended_ns")
    survived("target restarts", ended, exit=1, asked=service.asked)
    assert "connect_error" in outcomes(ended) and ended.states["generator_errors"] == "ok"
    assert rows["outcome"].iloc[-1] == "ok"


DRIPS = {
    "a byte a second": (endless(head(Content_Length=50), b".", 50, pause_s=1.0), {"timeout"}),
    "closes in the middle of a body": (raw(head(Content_Length=100) + b"ten bytes."), {"protocol_error"}),
    "resets in the middle of a body": (raw(head(Content_Length=100) + b"ten bytes.", then="reset"), {"protocol_error"}),
    "closes without an answer": (raw(), {"connect_error"}),
}


@pytest.mark.prove
@pytest.mark.parametrize("name", DRIPS)
def test_answers_that_never_end_or_break_off(name: str, tmp_path: Path) -> None:
    script, due = DRIPS[name]
    with (
        Scripted({"/search": script}) as server,
        Course(tmp_path, written(tmp_path, server.url, timeout_s=1.2), *LOAD) as course,
    ):
        ended = course.end()
        asked = [one.seq for one in server.asked]
    survived(f"target: {name}", ended, exit=4 if due == {"connect_error"} else 1, asked=asked)
    assert outcomes(ended) == due


def test_a_service_out_of_sockets_is_its_own_fault_and_not_the_generators(tmp_path: Path) -> None:
    with (
        served(tmp_path, 12, 0.5) as service,
        Course(tmp_path, written(tmp_path, service.url, timeout_s=1.0), *LOAD) as course,
    ):
        ended = course.end()
    survived("target out of sockets", ended, exit=1)
    assert outcomes(ended) <= {"ok", "timeout", "connect_error", "protocol_error"} and "timeout" in outcomes(ended)
    assert ended.states["generator_errors"] == "ok" and ended.summary["valid"]


def test_a_name_without_an_address_is_one_sentence(tmp_path: Path) -> None:
    with Course(tmp_path, written(tmp_path, "http://no-such-host.invalid:8000"), *LOAD) as course:
        ended = course.end()
    survived("DNS: no address", ended, exit=4, no_run=True)
    assert "no-such-host.invalid has no address" in ended.sentence and not list((tmp_path / "runs").glob("2*"))


@contextmanager
def plain_words(words: bytes) -> Iterator[int]:
    """Says the same to whoever connects, and closes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(1)
            try:
                if words:
                    sock.recv(4_096)
                    sock.sendall(words)
            except OSError:
                pass
            finally:
                sock.close()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


TLS = {"TLS: a server that speaks plain HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
       "TLS: closed in the handshake": b""}  # fmt: skip


@pytest.mark.prove
@pytest.mark.parametrize("name", TLS)
def test_a_handshake_that_fails_is_connect_errors_with_the_reason(name: str, tmp_path: Path) -> None:
    with (
        plain_words(TLS[name]) as port,
        Course(tmp_path, written(tmp_path, f"https://localhost:{port}"), *LOAD) as course,
    ):
        ended = course.end()
    survived(name, ended, exit=4)
    assert Counter(ended.summary["all"]["outcomes"]).keys() == {"connect_error"}


@pytest.mark.prove
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_that_is_out_of_date_is_connect_errors_with_the_reason(tmp_path: Path) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
            "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"]  # fmt: skip
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [
        "openssl",
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-key",
        "key.pem",
        "-cert",
        "cert.pem",
        "-www",
        "-quiet",
    ]
    server = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        with Course(tmp_path, written(tmp_path, f"https://localhost:{port}"), *LOAD) as course:
            ended = course.end()
    finally:
        server.kill()
        server.wait()
    survived("TLS: an untrusted certificate", ended, exit=4)
    assert ended.run is not None
    assert "not trusted" in ended.run.table("errors").to_pylist()[0]["excerpt"]
