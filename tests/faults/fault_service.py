"""A service that a test may kill, stop and start again on its port; it logs the number of every arrival that it saw.

python service.py PORT LOG [DESCRIPTORS [SECONDS]]: so many open descriptors at most, so long for an answer.
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log = Path()
    seconds = 0.0

    def do_GET(self) -> None:
        time.sleep(self.seconds)
        trace = self.headers.get("traceparent", "")
        if trace:
            with self.log.open("a") as file:
                file.write(f"{int(trace.split('-')[1][16:], 16)}\n")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None: ...


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, *_: object) -> None: ...  # a connection that is gone


class Service:
    """One that is started on a free port; `url` stays the same over restarts."""

    def __init__(self, folder: Path, *words: object) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url, self._log, self._words = f"http://127.0.0.1:{self.port}", folder / f"asked-{self.port}", words
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def asked(self) -> list[int]:
        return [int(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.port), str(self._log), *map(str, self._words)]
        )
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            time.sleep(0.02)
        raise AssertionError("the service did not start")

    def signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def served(folder: Path, *words: object) -> Iterator[Service]:
    service = Service(folder, *words)
    service.start()
    try:
        yield service
    finally:
        service.signal(signal.SIGCONT)
        service.kill()


if __name__ == "__main__":
    port, log, *more = sys.argv[1:]
    Answers.log = Path(log)
    if more:
        limit = int(more[0]) + len(os.listdir("/proc/self/fd"))  # noqa: PTH208  its own, to be counted once
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        Answers.seconds = float(more[1]) if len(more) > 1 else 0.0
    Server(("127.0.0.1", int(port)), Answers).serve_forever()
