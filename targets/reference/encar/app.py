"""encar's HTTP interface."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from targets.reference.database import database_failed
from targets.reference.encar.copilot import Copilot
from targets.reference.encar.feedback import detailed, save_feedback, summary
from targets.reference.encar.metrics import Metrics
from targets.reference.encar.settings import Settings
from targets.reference.encar.users import ADMIN, TOKEN_HEADER, User, read_users
from targets.reference.rate_limits import RateLimits
from targets.reference.serving import mark_ready
from targets.reference.telemetry import exposition
from targets.reference.timing import RequestTiming
from targets.reference.upstream import UpstreamError


class Question(BaseModel):
    question: str = Field(min_length=1, max_length=500)


class Feedback(BaseModel):
    question_id: int
    rating: int = Field(ge=1, le=5)
    comment: str = Field(default="", max_length=1000)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI application; without `settings` they are read from the environment, as uvicorn's workers do."""
    settings = settings or Settings.from_environment("encar")
    metrics = Metrics()
    copilot = Copilot(settings, metrics)
    users = read_users(settings.users)
    limits = RateLimits(settings.rate_limits, None if settings.limit_per_process else copilot.engine)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await copilot.open()
        mark_ready(settings)
        yield
        await copilot.close()

    app = FastAPI(title="encar", version="1", lifespan=lifespan)
    app.add_middleware(RequestTiming, observe=metrics.observe_request)
    app.add_exception_handler(SQLAlchemyError, database_failed)

    def user_of(request: Request) -> User:
        """The owner of the token; without one (or with an unknown one) a guest known by the address."""
        address = request.client.host if request.client else "unknown"
        return users.get(request.headers.get(TOKEN_HEADER, "")) or User(address, "guest")

    async def limited(request: Request) -> User:
        user = user_of(request)
        if settings.limit_per_process:
            refused = limits.hit(user.id)
        else:
            refused = await run_in_threadpool(limits.hit, user.id)
        if refused:
            headers = {"Retry-After": str(refused.retry_after_s)}
            raise HTTPException(429, f"rate limit exceeded: {refused.limit}", headers)
        return user

    @app.exception_handler(UpstreamError)
    async def upstream_failed(request: Request, error: UpstreamError) -> JSONResponse:
        return JSONResponse({"detail": error.reason}, status_code=error.status)

    @app.post("/api/ask")
    async def ask(body: Question, request: Request) -> dict[str, Any]:
        user = await limited(request)
        return await copilot.ask(body.question, user, request.state.stages)

    @app.post("/api/feedback", status_code=201)
    async def give_feedback(body: Feedback, request: Request) -> dict[str, bool]:
        user = await limited(request)
        known = await run_in_threadpool(
            save_feedback, copilot.engine, body.question_id, user.id, body.rating, body.comment
        )
        if not known:
            raise HTTPException(404, f"there is no question {body.question_id}")
        return {"saved": True}

    @app.get("/api/feedback")
    async def feedback_summary() -> dict[str, Any]:
        return await run_in_threadpool(summary, copilot.engine)

    @app.get("/api/feedback/detailed")
    async def feedback_detailed(request: Request) -> list[dict[str, Any]]:
        if user_of(request).role != ADMIN:
            raise HTTPException(403, "admins only")
        return await run_in_threadpool(detailed, copilot.engine)

    @app.get("/health")
    async def health() -> JSONResponse:
        checks = {
            "llm_service": await copilot.llm_state(),
            "database": await run_in_threadpool(copilot.probe.state),
            "disk_space": disk_state(settings),
        }
        return answer_health(checks)

    @app.get("/readiness")
    async def readiness() -> JSONResponse:
        return answer_health({"database": await run_in_threadpool(copilot.probe.state)})

    @app.get("/liveness")
    async def liveness() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/metrics")
    async def exposed() -> Response:
        return exposition(metrics.registry)

    return app


def disk_state(settings: Settings) -> str:
    free_gib = shutil.disk_usage(settings.work_dir).free / 2**30
    enough = free_gib >= settings.min_free_disk_gib
    return "ok" if enough else f"{free_gib:.1f} GiB free, {settings.min_free_disk_gib:g} needed"


def answer_health(checks: dict[str, str]) -> JSONResponse:
    healthy = all(state == "ok" for state in checks.values())
    body = {"status": "healthy" if healthy else "unhealthy", "checks": checks}
    return JSONResponse(body, status_code=200 if healthy else 503)
