"""saju's HTTP interface."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from targets.reference.database import database_failed
from targets.reference.saju.chat_request import Chat
from targets.reference.saju.fortune import Fortune
from targets.reference.saju.limiter import make_limiter
from targets.reference.saju.metrics import Metrics
from targets.reference.saju.settings import Settings
from targets.reference.serving import mark_ready
from targets.reference.telemetry import exposition
from targets.reference.timing import RequestTiming
from targets.reference.upstream import Completion, UpstreamError


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI application; without `settings` they are read from the environment, as uvicorn's workers do."""
    settings = settings or Settings.from_environment("saju")
    metrics = Metrics()
    fortune = Fortune(settings, metrics)
    limiter = make_limiter(settings.requests_per_minute, settings.limiter_never_forgets)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await fortune.open()
        mark_ready(settings)
        yield
        await fortune.close()

    app = FastAPI(title="saju", version="1", lifespan=lifespan)
    app.add_middleware(RequestTiming, observe=metrics.observe_request)
    app.add_exception_handler(SQLAlchemyError, database_failed)

    def address_of(request: Request) -> str:
        if settings.behind_proxy and not settings.limit_by_peer_address:
            return request.headers.get("x-real-ip", "unknown")
        return request.client.host if request.client else "unknown"

    @app.exception_handler(UpstreamError)
    async def upstream_failed(request: Request, error: UpstreamError) -> JSONResponse:
        return JSONResponse({"detail": error.reason}, status_code=error.status)

    @app.post("/api/chat")
    async def chat(body: Chat, request: Request) -> Any:
        if not limiter.allows(address_of(request)):
            raise HTTPException(
                429, f"more than {settings.requests_per_minute} requests in 60 s", {"Retry-After": "60"}
            )
        stages = request.state.stages
        reading = await fortune.prepare(body, stages)
        if not body.stream:
            return await fortune.answer(body, reading, stages)
        pieces = fortune.stream(body, reading)
        with stages.stage("upstream"):
            first = await anext(pieces)  # an upstream that refuses is told by the status, not inside the stream
        return StreamingResponse(
            events(reading.session_id, first, pieces),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    async def answer_health() -> JSONResponse:
        checks = await fortune.health()
        healthy = all(state == "ok" for state in checks.values())
        body = {"status": "healthy" if healthy else "unhealthy", "checks": checks}
        return JSONResponse(body, status_code=200 if healthy else 503)

    @app.get("/health")
    async def health() -> JSONResponse:
        return await answer_health()

    @app.get("/health/ready")
    async def ready() -> JSONResponse:
        return await answer_health()

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/metrics")
    async def exposed() -> Response:
        metrics.sessions.set(len(fortune.active))
        metrics.addresses.set(len(limiter))
        return exposition(metrics.registry)

    return app


async def events(
    session_id: str, first: str | Completion, rest: AsyncIterator[str | Completion]
) -> AsyncIterator[bytes]:
    """Server-sent events in OpenAI's shape: content deltas, then session and usage, then [DONE]."""
    try:
        yield _event(session_id, first)
        async for piece in rest:
            yield _event(session_id, piece)
    except UpstreamError as error:
        yield b"data: " + orjson.dumps({"error": {"message": error.reason}}) + b"\n\n"
        return
    yield b"data: [DONE]\n\n"


def _event(session_id: str, piece: str | Completion) -> bytes:
    if isinstance(piece, Completion):
        usage = {"prompt_tokens": piece.tokens_in, "completion_tokens": piece.tokens_out}
        body: dict[str, Any] = {"session_id": session_id, "choices": [], "usage": usage}
    else:
        body = {"choices": [{"index": 0, "delta": {"content": piece}}]}
    return b"data: " + orjson.dumps(body) + b"\n\n"
