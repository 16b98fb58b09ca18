"""A slowdown of known size, planted on purpose: what a gate is rehearsed and proven with."""

from __future__ import annotations

import ctypes
import sys
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PR_SET_TIMERSLACK = 29
TRIES = 30


class Planted:
    """ASGI middleware: each answer comes `delay_ms` later (the worker waits), after `cpu_ms` more of CPU time.
    `memory_mib` is held and touched. With all of them 0 it costs what the others cost: the fair opponent."""

    def __init__(self, app: ASGIApp, delay_ms: float, cpu_ms: float, memory_mib: float) -> None:
        self.app, self._cpu_s = app, cpu_ms / 1e3
        self._held = bytearray(b"\1") * int(memory_mib * 2**20)
        if sys.platform == "linux":  # the kernel would add some 50 µs to each wait
            ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
        self._delay_s = _asked_s(delay_ms / 1e3)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                until_s = time.thread_time() + self._cpu_s
                while time.thread_time() < until_s:
                    pass
                if self._delay_s:
                    time.sleep(self._delay_s)  # noqa: ASYNC251 - the worker is meant to be held up
            await send(message)

        await self.app(scope, receive, send_later)


def _asked_s(delay_s: float) -> float:
    """What to ask of sleep so that it takes `delay_s`: waking up takes its time too."""
    if not delay_s:
        return 0.0
    over = []
    for _ in range(TRIES):
        begin_s = time.perf_counter()
        time.sleep(delay_s)
        over.append(time.perf_counter() - begin_s - delay_s)
    return max(1e-6, delay_s - sorted(over)[TRIES // 2])
