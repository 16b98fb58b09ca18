"""An nginx before the replicas of a service that we start here: least busy first, switched without losing a request."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from measurements.errors import UsageError
from targets.control import free_port, wait_ready
from targets.process import Process

TURN_S = 10.0
CONFIG = """\
{user}daemon off;
worker_processes 1;
pid {here}/nginx.pid;
error_log {here}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
{temporary}
    upstream service {{
        least_conn;
{servers}
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_timeout 0;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_connect_timeout 2s;
        proxy_read_timeout {timeout_s:.0f}s;
        proxy_buffering off;
        proxy_next_upstream error timeout;
        proxy_next_upstream_tries 2;
        location / {{ proxy_pass http://service; }}
    }}
}}
"""


class Balancer:
    """`url` is where the load goes. A replica that fails twice is left alone for five seconds, as the plan's own
    nginx.conf has it; a POST that was sent is not sent to another.

    It keeps no client's connection: nginx closes those that are idle when it takes a new configuration, and a request that
    was on its way on one would be lost by our switching, not by the service.
    """

    def __init__(
        self, folder: Path, urls: Sequence[str], ready: str, timeout_s: float, cpus: Sequence[int] = ()
    ) -> None:
        binary = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if binary is None:
            raise UsageError("this shape needs nginx as the balancer; install it (apt-get install nginx-light)")
        self._here, self._timeout_s = folder.resolve(), timeout_s
        self._here.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._write(urls)
        words = f"{binary} -p '{self._here}' -c '{self._here}/nginx.conf' -e '{self._here}/error.log'"
        self._process = Process("nginx", words, {}, self._here, self._here / "nginx.log", cpus)
        try:
            wait_ready(self._process, self.url, ready, TURN_S)
        except BaseException:
            self._process.stop()
            raise

    def use(self, urls: Sequence[str]) -> None:
        """From its return on no new request goes to any other replica; what is under way there goes on."""
        self._write(urls)
        before = self._workers()
        os.kill(self._process.pid, signal.SIGHUP)
        until = time.monotonic() + TURN_S
        while not self._workers() - before:
            if time.monotonic() > until:
                raise UsageError(
                    f"nginx did not take its new configuration within {TURN_S:g} s; see {self._here}/error.log"
                )
            time.sleep(0.02)
        self._leaving = before

    def drained(self, timeout_s: float) -> bool:
        """True when nothing is under way any more on what was taken out by the last `use`."""
        until = time.monotonic() + timeout_s
        while self._workers() & self._leaving:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    _leaving: frozenset[int] = frozenset()

    def _workers(self) -> frozenset[int]:
        return frozenset(child.pid for child in psutil.Process(self._process.pid).children())

    def _write(self, urls: Sequence[str]) -> None:
        servers = "\n".join(f"        server {urlsplit(url).netloc} max_fails=2 fail_timeout=5s;" for url in urls)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "\n".join(f"    {kind}_temp_path {self._here}/{kind};" for kind in kinds)
        user = f"user {pwd.getpwuid(0).pw_name};\n" if os.getuid() == 0 else ""
        text = CONFIG.format(
            user=user,
            here=self._here,
            temporary=temporary,
            servers=servers,
            port=self._port,
            timeout_s=self._timeout_s + 5,
        )
        (self._here / "nginx.conf").write_text(text, encoding="utf-8")

    def stop(self) -> None:
        self._process.stop(patience_s=2.0)
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
            shutil.rmtree(self._here / kind, ignore_errors=True)
