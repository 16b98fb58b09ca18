"""From a service's `serve(…)` to running processes: options, port, upstream, front proxy, workers, ready line."""

import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from targets.reference.serving import (
    announce_when_ready,
    bind,
    die_with_parent,
    ending_cleanly,
    free_port,
    instance_directory,
    run_uvicorn,
    stop,
)
from targets.reference.settings import ServiceSettings, refuse

LLM_START_S = 15.0


@dataclass(frozen=True, slots=True)
class Service:
    """What `launch` must know of a service.

    `prepare(settings)` builds what is cached on disk and refuses, in one sentence, what cannot work.
    `describe(settings)` is what stands in brackets in the ready line.
    `preload`: modules that its workers import late and share.
    `front_config(settings, listen, backend)` is the text of nginx.conf, or None where no proxy stands in front.
    """

    name: str
    settings: type[ServiceSettings]
    prepare: Callable[[Any], None]
    describe: Callable[[Any], str]
    needs_upstream: bool = True
    preload: tuple[str, ...] = ()
    front_config: Callable[[Any, tuple[str, int], tuple[str, int]], str] | None = None
    watch: Callable[[Any, tuple[str, int], Callable[[], None]], None] | None = None


def launch(
    service: Service,
    port: int,
    workers: int,
    host: str,
    *,
    upstream: str | None,
    front: str | None,
    options: dict[str, str] | None,
) -> None:
    """Run until SIGINT or SIGTERM. Exit codes: 2 for options that cannot be used, 4 when the port is taken."""
    name = service.name
    if front not in (None, "nginx"):
        refuse(f"{name}: --front {front} is not known; nginx is the only front proxy.")
    if front and service.front_config is None:
        refuse(f"{name} has no proxy in front in its team's deployment; leave out --front (alaw and saju have nginx).")
    if upstream and not service.needs_upstream:
        refuse(f"{name} calls no upstream LLM; leave out --upstream.")
    if front:
        from targets.reference.front import nginx, require_nginx

        require_nginx(name)
    with ending_cleanly(), contextlib.ExitStack() as started:
        work_dir = started.enter_context(instance_directory(name))
        fixed: dict[str, Any] = {"work_dir": work_dir, "workers": workers, "behind_proxy": front is not None}
        if service.needs_upstream:
            fixed["upstream"] = (upstream or "").rstrip("/")
        settings = service.settings.from_options(name, options, **fixed)
        sock = bind(name, host, port)
        public: tuple[str, int] = sock.getsockname()[:2]
        started_with_it = ""
        await_llm: Callable[[], None] | None = None
        if service.needs_upstream and not upstream:
            fixed["upstream"], await_llm = started.enter_context(emulated_llm())
            settings = service.settings.from_options(name, options, **fixed)
            started_with_it = ", an emulator started with it"
        service.prepare(settings)
        if await_llm:
            await_llm()
        if front:
            assert service.front_config is not None
            sock.close()
            sock = bind(name, "127.0.0.1", 0)
            backend = sock.getsockname()[:2]
            started.enter_context(nginx(name, service.front_config(settings, public, backend), public, work_dir))
            started_with_it += f"; nginx in front of http://{backend[0]}:{backend[1]}"
        watch = service.watch
        line = f"{name} listening on {url(*public)} ({service.describe(settings)}{started_with_it})"
        announce_when_ready(settings, sock.getsockname()[:2], line)
        run_uvicorn(
            name,
            f"targets.reference.{name}.app:create_app",
            settings,
            sock,
            preload=service.preload,
            wants_restart=(lambda restart: watch(settings, public, restart)) if watch else None,
        )


def url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def emulated_llm() -> Iterator[tuple[str, Callable[[], None]]]:
    """The embedded LLM emulator on a free port, in a process of its own; its URL, and what waits until it answers."""
    port = free_port()
    code = f"from targets.reference.llm import serve; serve(port={port})"
    process = subprocess.Popen([sys.executable, "-c", code], preexec_fn=die_with_parent)
    base = url("127.0.0.1", port)
    deadline_s = time.monotonic() + LLM_START_S

    def wait() -> None:
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/v1/models", timeout=1):
                return
            if process.poll() is not None or time.monotonic() > deadline_s:
                refuse(f"The emulated LLM did not start on {base}; start one yourself and name it with --upstream.", 1)
            time.sleep(0.05)

    try:
        yield base, wait
    finally:
        stop(process)
