"""A real nginx in front of a service, with the rate limit that its team configured there."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from targets.reference.serving import die_with_parent, stop
from targets.reference.settings import refuse

START_S = 5.0

_CONFIG = """\
{%- if user %}user {{ user }};
{% endif -%}
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 4096; }
http {
    access_log access.log combined;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    limit_req_zone $binary_remote_addr zone=clients:10m rate={{ limit.rate }};
    upstream service { server {{ backend }}; keepalive 64; }
    server {
        listen {{ listen }};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_buffering off;
        proxy_read_timeout 130s;
        location {{ limit.path }} {
            limit_req zone=clients burst={{ limit.burst }} nodelay;
            proxy_pass http://service;
        }
{%- for path in unlimited if path != limit.path %}
        location {{ path }} { proxy_pass http://service; }
{%- endfor %}
    }
}
"""


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """nginx's limit_req per client address: `rate` as nginx writes it ("10r/s"), on all paths below `path`."""

    rate: str
    burst: int
    path: str


def nginx_config(
    limit: RequestLimit, listen: tuple[str, int], backend: tuple[str, int], unlimited: tuple[str, ...]
) -> str:
    """nginx.conf for one backend; `unlimited` are paths that are passed on without the limit."""
    from jinja2 import StrictUndefined, Template

    user = pwd.getpwuid(os.getuid()).pw_name if os.getuid() == 0 else ""
    return Template(_CONFIG, undefined=StrictUndefined).render(
        limit=limit,
        listen=_address(listen),
        backend=_address(backend),
        unlimited=unlimited,
        user=user,
    )


def _address(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def require_nginx(service: str) -> str:
    """Path of the nginx binary; without one the service does not start with --front nginx (exit 2)."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or refuse(
        f"{service}: --front nginx needs the nginx program; install it (apt-get install nginx-light) or leave it out."
    )


@contextlib.contextmanager
def nginx(service: str, config: str, listen: tuple[str, int], work_dir: Path) -> Iterator[None]:
    """Run nginx with `config` until the end of the block, with all that it writes below `work_dir`."""
    binary = require_nginx(service)
    prefix = work_dir / "nginx"
    prefix.mkdir()
    (prefix / "nginx.conf").write_text(config)
    command = [binary, "-p", str(prefix), "-c", "nginx.conf", "-e", "error.log"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        _wait_until_listening(service, process, listen, prefix / "error.log")
        yield
    finally:
        stop(process)


def _wait_until_listening(service: str, process: subprocess.Popen[bytes], listen: tuple[str, int], log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(listen, timeout=1):
            return
        if process.poll() is not None or time.monotonic() > deadline_s:
            said = log.read_text().strip().splitlines()[-1:] if log.exists() else []
            refuse(f"{service}: nginx did not start: {said[0] if said else f'exit code {process.poll()}'}.", 1)
        time.sleep(0.02)
