"""A slowdown of known size, planted on purpose: what a gate is rehearsed and proven with."""

from __future__ import annotations

import ctypes
import sys
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PR_SET_TIMERSLACK = 29


class Planted:
    """ASGI middleware: each answer comes `delay_ms` later (the worker waits), after `cpu_ms` more of CPU time.
    `memory_mib` is held, and touched, from the first request on."""

    def __init__(self, app: ASGIApp, delay_ms: float, cpu_ms: float, memory_mib: float) -> None:
        self.app, self._delay_s, self._cpu_s = app, delay_ms / 1e3, cpu_ms / 1e3
        self._held = bytearray(b"\1") * int(memory_mib * 2**20)
        if delay_ms and sys.platform == "linux":  # the kernel would add some 50 µs to each wait
            ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                until_s = time.thread_time() + self._cpu_s
                while time.thread_time() < until_s:
                    pass
                time.sleep(self._delay_s)  # noqa: ASYNC251 - the worker is meant to be held up
            await send(message)

        await self.app(scope, receive, send_later)
