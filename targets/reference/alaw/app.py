"""alaw's HTTP interface."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from targets.reference.alaw.archive import PRECEDENTS, Library, library_url
from targets.reference.alaw.jobs import JobClearedError, Jobs, JobTimeoutError, QueueFullError
from targets.reference.alaw.metrics import Metrics
from targets.reference.alaw.search import analyse, search
from targets.reference.alaw.settings import Settings
from targets.reference.database import Probe, database_failed
from targets.reference.serving import mark_ready
from targets.reference.telemetry import exposition
from targets.reference.timing import RequestTiming

STATUS_KEYS = {"search": "search", "case_analysis": "analysis"}  # queue: its key in the status document


class Query(BaseModel):
    query: str = Field(min_length=1, max_length=500)
    limit: int = Field(default=10, ge=1, le=50)


class Case(BaseModel):
    case_text: str = Field(min_length=1, max_length=20_000)


class Engine:
    """The work that the queues hand out; a test may put another in its place."""

    def __init__(self, settings: Settings) -> None:
        self._library = Library(settings)
        self.loaded_in_s = self._library.loaded_in_s
        self._wait_s = settings.planted_wait_ms / 1000

    def search(self, query: str, limit: int) -> list[dict[str, Any]]:
        self._wait()
        return search(self._library, query, limit)

    def analyse(self, case_text: str) -> dict[str, Any]:
        self._wait()
        return analyse(self._library, case_text)

    def _wait(self) -> None:
        if self._wait_s:
            time.sleep(random.expovariate(1 / self._wait_s))


def create_app(settings: Settings | None = None, engine: Any = None) -> FastAPI:
    """The ASGI application; without `settings` they are read from the environment, as uvicorn's workers do."""
    settings = settings or Settings.from_environment("alaw")
    metrics = Metrics()
    engine = engine or Engine(settings)
    jobs = Jobs(settings.work_dir / "data" / "queue.db", settings.queue_limits())
    probe = Probe(library_url(settings), PRECEDENTS)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        others = asyncio.create_task(jobs.watch_other_workers()) if settings.workers > 1 else None
        mark_ready(settings)
        yield
        if others:
            others.cancel()
        await jobs.close()

    app = FastAPI(title="alaw", version="1", lifespan=lifespan)
    app.add_middleware(RequestTiming, observe=metrics.observe_request)
    app.add_exception_handler(SQLAlchemyError, database_failed)

    @app.exception_handler(QueueFullError)
    @app.exception_handler(JobClearedError)
    async def refused(request: Request, error: Exception) -> JSONResponse:
        reason = "the queue is full" if isinstance(error, QueueFullError) else "given up"
        return JSONResponse({"detail": f"{reason}: {error}"}, status_code=503, headers={"Retry-After": "1"})

    @app.exception_handler(JobTimeoutError)
    async def timed_out(request: Request, error: JobTimeoutError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=504)

    async def queued(queue: str, request: Request, work: Callable[[], Any]) -> Any:
        with request.state.stages.stage("queue_and_work"):
            return await jobs.run(queue, work)

    @app.get("/")
    async def root() -> dict[str, Any]:
        return {"service": "alaw", "status": "running", "precedents": settings.documents}

    @app.post("/api/search")
    async def search_precedents(body: Query, request: Request) -> dict[str, Any]:
        results = await queued("search", request, partial(engine.search, body.query, body.limit))
        return {"query": body.query, "results": results}

    @app.post("/api/analysis")
    async def analyse_case(body: Case, request: Request) -> dict[str, Any]:
        return {"analysis": await queued("case_analysis", request, partial(engine.analyse, body.case_text))}

    @app.get("/api/queue/status/json")
    async def status() -> dict[str, Any]:
        stats = {STATUS_KEYS[queue]: values for queue, values in jobs.status().items()}
        return {"timestamp": datetime.now(UTC).isoformat(), "queue_stats": stats}

    @app.post("/api/queue/clear")
    async def clear() -> dict[str, int]:
        return {"cleared": jobs.clear()}

    @app.get("/api/queue/health")
    async def health() -> JSONResponse:
        stats = jobs.status()
        full = [queue for queue, values in stats.items() if values["pending"] >= max(1, values["max_queue_size"])]
        checks = {
            "database": await run_in_threadpool(probe.state),
            "queue": f"full: {', '.join(full)}" if full and settings.full_queue_is_unhealthy else "ok",
        }
        healthy = all(state == "ok" for state in checks.values())
        memory_mib = metrics.memory_bytes / 2**20
        warnings = [f"memory at {memory_mib:.0f} MiB"] if memory_mib > settings.memory_warning_mib else []
        body = {
            "status": "healthy" if healthy else "unhealthy",
            "checks": checks,
            "warnings": warnings,
            "queues": stats,
        }
        return JSONResponse(body, status_code=200 if healthy else 503)

    @app.get("/metrics")
    async def exposed() -> Response:
        metrics.read(jobs)
        return exposition(metrics.registry)

    return app
