"""Starts reference services as a user does, in a process of their own, and a small upstream in this process."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from targets.reference.embedding import embed
from targets.reference.front import nginx as run_nginx
from targets.reference.launch import Service
from targets.reference.serving import free_port

nginx = pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") is None, reason="nginx is not installed"
)
READY = re.compile(r"listening on (http://\S+) \((.*)\)")
START_S = 120  # several workers on a busy machine


@dataclass
class Running:
    url: str
    line: str
    process: subprocess.Popen[str]
    temp: Path
    said: list[str] = field(default_factory=list)

    def client(self, **arguments: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **arguments)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=20)


def start_command(name: str, arguments: dict[str, Any]) -> list[str]:
    given = {"port": 0, **arguments}
    return [sys.executable, "-c", f"from targets.reference.{name} import serve; serve(**{given!r})"]


@contextlib.contextmanager
def running(name: str, directory: Path, **arguments: Any) -> Iterator[Running]:
    """The service on a free port, with caches and temporary files below `directory`."""
    temp = directory / "tmp"
    temp.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(directory / "cache"), "TMPDIR": str(temp)}
    process = subprocess.Popen(
        start_command(name, arguments), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
    )
    said: list[str] = []
    found: list[re.Match[str]] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stderr
        for line in process.stderr:
            said.append(line)
            if match := READY.search(line):
                found.append(match)
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(START_S) and found, "".join(said)
        yield Running(found[0][1], found[0][0], process, temp, said)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(timeout=5)


class FakeUpstream:
    """Anthropic and OpenAI shapes with fixed answers; counts calls by path; `failing` makes it answer 500, `quota` 429
    with these words."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.failing = False
        self.quota = ""
        self.reply = "안녕하세요, 요청하신 내용을 안내해 드립니다."
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one segment

            def do_GET(self) -> None:
                upstream.calls[self.path] += 1
                self._answer({"data": [{"id": "fake"}]})

            def do_POST(self) -> None:
                upstream.calls[self.path] += 1
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if upstream.quota:
                    self._answer({"error": {"message": upstream.quota}})
                elif body.get("stream"):
                    self._stream()
                else:
                    self._answer(upstream.answer(self.path, body))

            def _answer(self, body: Any) -> None:
                data = json.dumps(body).encode()
                self.send_response(500 if upstream.failing else 429 if upstream.quota else 200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _stream(self) -> None:
                events = [{"choices": [{"delta": {"content": word + " "}}]} for word in upstream.reply.split()]
                data = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str, body: Any) -> Any:
        if path == "/v1/embeddings":
            texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
            return {"data": [{"embedding": row.tolist()} for row in embed(texts)], "usage": {"prompt_tokens": 5}}
        if path == "/v1/messages":
            content = [{"type": "text", "text": self.reply}]
            return {"content": content, "model": body["model"], "usage": {"input_tokens": 900, "output_tokens": 120}}
        message = {"role": "assistant", "content": self.reply}
        usage = {"prompt_tokens": 300, "completion_tokens": 80}
        return {"choices": [{"message": message}], "model": body["model"], "usage": usage}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """An ASGI application under uvicorn in a thread of this process, on a free port."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline_s = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline_s:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=15)


@contextlib.contextmanager
def behind_nginx(name: str, service: Service, settings: Any, backend: str) -> Iterator[httpx.Client]:
    """A client of the service's own nginx, before a backend that runs already."""
    parts, listen = urlsplit(backend), ("127.0.0.1", free_port())
    assert service.front_config and parts.hostname and parts.port
    config = service.front_config(settings, listen, (parts.hostname, parts.port))
    with (
        run_nginx(name, config, listen, settings.work_dir),
        httpx.Client(base_url=f"http://127.0.0.1:{listen[1]}", timeout=30) as client,
    ):
        yield client
