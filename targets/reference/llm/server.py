"""Runs a handler in the foreground: socket, event loop, worker processes, a clean end."""

import asyncio
import errno
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from targets.reference.llm.protocol import Connection, Handler

BACKLOG = 4096


@dataclass(frozen=True)
class Running:
    """What a loop serves, and what is to be closed at the end."""

    handler: Handler
    close: Callable[[], Awaitable[None]]


Build = Callable[[asyncio.AbstractEventLoop], Running]


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; or one sentence and SystemExit(4)."""
    # The protocol is named because asyncio sets TCP_NODELAY on no other socket; Nagle would hold an event back 40 ms.
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
        server.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        server.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            reason = f"llm: port {port} on {host} is in use; choose another with --port, or --port 0 for a free one."
        else:
            reason = f"llm: cannot listen on {host} port {port} ({error}); choose another --host or --port."
        raise refuse(reason, 4) from None
    server.setblocking(False)
    return server


def refuse(sentence: str, exit_code: int) -> SystemExit:
    """Say why on standard error; raise what comes back."""
    print(sentence, file=sys.stderr)
    return SystemExit(exit_code)


def url(server: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = server.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(server: socket.socket, build: Build, announce: str, workers: int = 1) -> None:
    """Serve with this many processes until SIGINT or SIGTERM; all of them are gone when it returns."""
    if workers == 1:
        _serve(server, build, announce)
        return
    parent_lives, parent_holds = os.pipe()
    children = []
    for _ in range(workers):
        child = os.fork()
        if not child:
            os.close(parent_holds)
            _be_worker(server, build, parent_lives)
        children.append(child)
    server.close()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os.write(parent_holds, b"stop"))
    print(announce, file=sys.stderr, flush=True)
    _wait(children, parent_holds)


def _be_worker(server: socket.socket, build: Build, parent_lives: int) -> NoReturn:
    """Serve and end the process here, so that nothing of the parent's stack runs twice."""
    exit_code = 1
    try:
        _serve(server, build, "", parent_lives)
        exit_code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(exit_code)


def _wait(children: list[int], parent_holds: int) -> None:
    """Until all are gone; when one dies the others are told to stop."""
    died = 0
    while children:
        child, status = os.wait()
        children.remove(child)
        if status:
            died = os.waitstatus_to_exitcode(status)
            os.write(parent_holds, b"stop")
    if died:
        raise refuse(f"llm: a worker ended with {died}; all were stopped.", 1)


def _serve(server: socket.socket, build: Build, announce: str, parent_lives: int | None = None) -> None:
    loop = asyncio.new_event_loop()
    connections: set[Connection] = set()
    stopped = asyncio.Event()
    try:
        running = build(loop)
        gc.collect()
        gc.freeze()  # what lives as long as the server is never looked at again: shorter pauses
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        if parent_lives is not None:  # readable: told to stop, or the parent is gone
            loop.add_reader(parent_lives, stopped.set)
        accepting = loop.run_until_complete(
            loop.create_server(lambda: Connection(running.handler, connections), sock=server, backlog=BACKLOG)
        )
        if announce:
            print(announce, file=sys.stderr, flush=True)
        loop.run_until_complete(stopped.wait())
        if parent_lives is not None:
            loop.remove_reader(parent_lives)
        accepting.close()
        for connection in list(connections):
            connection.transport.abort()
        loop.run_until_complete(running.close())
        loop.run_until_complete(asyncio.sleep(0))  # lets the transports close
    finally:
        loop.close()
