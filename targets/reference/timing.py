"""Where a request's time went, told in its `Server-Timing` header (W3C Server Timing), and counted per route."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Stages:
    """Milliseconds spent in named, disjoint stages of one request."""

    def __init__(self) -> None:
        self.started_s = time.perf_counter()
        self.spent_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin_s = time.perf_counter()
        try:
            yield
        finally:
            self.spent_ms[name] = self.spent_ms.get(name, 0.0) + (time.perf_counter() - begin_s) * 1e3

    @property
    def total_ms(self) -> float:
        return (time.perf_counter() - self.started_s) * 1e3

    def header(self) -> str:
        """`retrieval;dur=3.1, …, rest;dur=0.4`: the stages and what is left of the time so far."""
        rest_ms = max(0.0, self.total_ms - sum(self.spent_ms.values()))
        return ", ".join(f"{name};dur={ms:.3f}" for name, ms in {**self.spent_ms, "rest": rest_ms}.items())


Observe = Callable[[str, str, int, Stages], None]
"""Called at the end of each request with method, route, status and its stages."""


class RequestTiming:
    """ASGI middleware: gives each request `request.state.stages`, sends `Server-Timing`, calls `observe` at the end.

    The header is written when the response starts, so a streamed answer's later events are not in it.
    """

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self.app = app
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stages = Stages()
        scope.setdefault("state", {})["stages"] = stages
        status = 500

        async def send_with_timing(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"server-timing", stages.header().encode()))
            await send(message)

        try:
            await self.app(scope, receive, send_with_timing)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self.observe(scope["method"], route, status, stages)
