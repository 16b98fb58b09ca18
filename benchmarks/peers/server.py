"""The server of the comparison: nginx with a fixed answer, on the first core; its own load is watched."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from measurements.errors import UsageError
from targets.process import die_with_parent

BODY = '{"question":"hello there how are you"}'
CONFIG = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{{"answer":"hello","ok":true}}'; }} }}
}}
"""


@dataclass
class Server:
    """`url` answers; `busy_share` is how much of its core it used since the last call."""

    url: str
    processes: list[psutil.Process]
    _cpu_s: float = 0.0
    _at_s: float = 0.0

    def busy_share(self) -> float:
        cpu_s = sum(sum(process.cpu_times()[:2]) for process in self.processes)
        at_s = time.monotonic()
        share = (cpu_s - self._cpu_s) / max(at_s - self._at_s, 1e-6)
        self._cpu_s, self._at_s = cpu_s, at_s
        return share


def front_run(pid: int) -> None:
    """Real-time priority where the right is there, for every party alike, so that others' work disturbs none of them."""
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


@contextmanager
def nginx(folder: Path, core: int) -> Iterator[Server]:
    if shutil.which("nginx") is None:
        raise UsageError("the comparison needs nginx as its server; install it (Debian: apt-get install nginx-light)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port), encoding="utf-8")
    command = ["nginx", "-c", str(config), "-p", str(folder)]
    master = subprocess.Popen(command, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        for _ in range(100):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        workers = psutil.Process(master.pid).children()
        for process in workers:
            os.sched_setaffinity(process.pid, {core})
            front_run(process.pid)
        yield Server(f"http://127.0.0.1:{port}", workers)
    finally:
        master.terminate()
        master.wait(10)
