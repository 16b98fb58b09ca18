"""The smallest ASGI service with a hog and a leak, for uvicorn's spawned workers."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

KEPT: list[bytearray] = []
ROUNDS = int(os.environ.get("HOG_ROUNDS", "20000"))


def spawned_hog(rounds: int) -> int:
    return sum(number * number % 7 for number in range(rounds))


def spawned_leak() -> None:
    KEPT.append(bytearray(2000))


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] != "/health":
        spawned_hog(ROUNDS)
        spawned_leak()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
