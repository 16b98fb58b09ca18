"""A FastAPI service with one bottleneck planted in it: python planted_service.py KIND PORT '{"service_ms": 25, …}'.

kinds: `slots` (an asyncio.Semaphore), `queue` (slots and a line, then 503), `bucket` (tokens, then 429), `lock` (a share of
the requests holds one threading.Lock), `pool` (SQLAlchemy's QueuePool), `gil` (Python that computes), `memory` (kept per
request), `bandwidth` (all answers share so many bytes a second), `upstream` (asks `url`, another one of these).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

CHUNK = 16_384


def app_of(kind: str, given: dict[str, Any]) -> FastAPI:
    app = FastAPI()
    service_s = given.get("service_ms", 20) / 1000
    slots = asyncio.Semaphore(given.get("slots", 1))
    numbers = itertools.count()
    state = {"inside": 0, "tokens": float(given.get("burst", 5)), "at": time.monotonic(), "free_at": 0.0}
    lock, kept = threading.Lock(), []

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    if kind in ("slots", "queue"):

        @app.get("/work")
        async def with_slots() -> Any:
            if kind == "queue" and state["inside"] >= given["slots"] + given["waiting"]:
                return Response("the queue is full", 503)
            state["inside"] += 1
            try:
                async with slots:
                    await asyncio.sleep(service_s)
            finally:
                state["inside"] -= 1
            return {"done": True}

    if kind == "bucket":

        @app.get("/work")
        async def with_bucket() -> Any:
            now = time.monotonic()
            state["tokens"] = min(given["burst"], state["tokens"] + (now - state["at"]) * given["rate"])
            state["at"] = now
            if state["tokens"] < 1:
                return Response("slow down", 429)
            state["tokens"] -= 1
            await asyncio.sleep(service_s)
            return {"done": True}

    if kind == "lock":

        @app.get("/work")
        def with_lock() -> Any:
            if next(numbers) % round(1 / given["share"]) == 0:
                with lock:
                    time.sleep(given["hold_ms"] / 1000)
            time.sleep(service_s)
            return {"done": True}

    if kind == "pool":
        from sqlalchemy import create_engine, text
        from sqlalchemy.pool import QueuePool

        engine = create_engine(
            "sqlite://", poolclass=QueuePool, pool_size=given["connections"], max_overflow=0, pool_timeout=10,
            connect_args={"check_same_thread": False},
        )  # fmt: skip

        @app.get("/work")
        def with_pool() -> Any:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                time.sleep(service_s)
            return {"done": True}

    if kind == "gil":

        @app.get("/work")
        def with_gil() -> Any:
            until = time.thread_time() + service_s
            total = 0
            while time.thread_time() < until:
                total += sum(k * k % 7 for k in range(200))
            return {"total": total}

    if kind == "memory":

        @app.get("/work")
        async def with_memory() -> Any:
            kept.append(bytearray(b"\1") * int(given["kept_kib"] * 1024))
            await asyncio.sleep(service_s)
            return {"done": True}

    if kind == "bandwidth":

        @app.get("/work")
        async def with_bandwidth() -> Any:
            async def body() -> AsyncIterator[bytes]:
                for _ in range(given["bytes"] // CHUNK):
                    begin = max(time.monotonic(), state["free_at"])
                    state["free_at"] = begin + CHUNK / given["bytes_per_s"]
                    await asyncio.sleep(state["free_at"] - time.monotonic())
                    yield b"x" * CHUNK

            return StreamingResponse(body())

    if kind == "upstream":
        client = httpx.AsyncClient(
            base_url=given["url"], limits=httpx.Limits(max_connections=500), timeout=httpx.Timeout(30)
        )

        @app.get("/work")
        async def with_upstream() -> Any:
            answer = await client.get("/work")
            return Response(answer.content, answer.status_code)

    return app


if __name__ == "__main__":
    kind, port, given = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    uvicorn.run(app_of(kind, given), host="127.0.0.1", port=port, log_level="warning")
