"""Run a reference service in the foreground: sockets, workers, the ready line, and an end that leaves nothing."""

import contextlib
import ctypes
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from targets.reference.settings import ServiceSettings, refuse

STOP_PATIENCE_S = 5  # less than the 10 s that whoever started us has for all of us
GRACE_S = 4  # then open requests are cut; whoever stops a service kills it after 10 s
WORKER_START_S = 60  # uvicorn's 5 s kills workers that are still importing when several start on a busy machine
READY_DIR = "ready"


def bind(service: str, host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet (so that a readiness probe is refused until workers are up)."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        refuse(f"{service}: cannot listen on {host}:{port} ({error.strerror}); choose another with --port.", 4)
    sock.set_inheritable(True)
    return sock


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def instance_directory(service: str) -> Iterator[Path]:
    """A directory for what this instance changes; two instances of one service share nothing mutable."""
    path = Path(tempfile.mkdtemp(prefix=f"plimsoll-{service}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def ending_cleanly() -> Iterator[None]:
    """SIGINT and SIGTERM become SystemExit(0), so that every `finally` above runs."""

    def leave(signum: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def die_with_parent() -> None:
    """In a child: get SIGTERM when the parent is gone, even when the parent was killed (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for what does not heed it in time."""
    process.terminate()
    try:
        process.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def mark_ready(settings: ServiceSettings) -> None:
    """Called by each worker at the end of its start-up; the parent counts the marks."""
    if settings.workers > 1:
        die_with_parent()
    marks = settings.work_dir / READY_DIR
    marks.mkdir(parents=True, exist_ok=True)
    (marks / str(os.getpid())).touch()


def announce_when_ready(settings: ServiceSettings, address: tuple[str, int], line: str) -> None:
    """Print `line` to standard error once every worker has marked itself ready and the port answers."""
    marks = settings.work_dir / READY_DIR

    def watch() -> None:
        while settings.work_dir.exists():
            if marks.exists() and len(list(marks.iterdir())) >= settings.workers:
                with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
                    print(line, file=sys.stderr, flush=True)
                    return
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True, name="announce").start()


def _import_once(modules: list[str]) -> None:
    """Workers are forked from a process that has imported the application: on two cores four of them start in half the
    time that each needs to import for itself. uvicorn has no option for it."""
    import uvicorn._subprocess

    multiprocessing.set_forkserver_preload(["__main__", *modules])
    uvicorn._subprocess.spawn = multiprocessing.get_context("forkserver")  # type: ignore[assignment]


def run_uvicorn(
    service: str,
    factory: str,
    settings: ServiceSettings,
    sock: socket.socket,
    *,
    proxy_headers: bool = False,
    preload: tuple[str, ...] = (),
    wants_restart: Callable[[Callable[[], None]], None] | None = None,
) -> None:
    """Serve `factory` on `sock` until a signal comes.

    `proxy_headers=False`: the client's address is the peer's, as in a container whose proxy is not trusted.
    `wants_restart` is handed a function that makes the server drop what it does and start again (SIGHUP to workers).
    """
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    os.environ.update(settings.to_environment(service))
    if settings.workers > 1:
        metrics_dir = settings.work_dir / "metrics"
        metrics_dir.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir)
        _import_once([factory.partition(":")[0], *preload])

    def config() -> uvicorn.Config:
        return uvicorn.Config(
            factory,
            factory=True,
            workers=settings.workers,
            log_level="warning",
            access_log=False,
            proxy_headers=proxy_headers,
            timeout_graceful_shutdown=GRACE_S,
            timeout_worker_healthcheck=WORKER_START_S,
        )

    if settings.workers > 1:
        if wants_restart:
            wants_restart(lambda: os.kill(os.getpid(), signal.SIGHUP))
        Multiprocess(config(), sockets=[sock]).run()
        return
    servers: list[uvicorn.Server] = []
    again = True

    def restart() -> None:
        nonlocal again
        again = servers[-1].force_exit = servers[-1].should_exit = True

    if wants_restart:
        wants_restart(restart)
    while again:
        again = False
        servers.append(uvicorn.Server(config()))
        servers[-1].run(sockets=[sock.dup() if wants_restart else sock])
