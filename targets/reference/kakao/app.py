"""kakao's HTTP interface."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from targets.reference.caching import Caches
from targets.reference.kakao.checks import variables
from targets.reference.kakao.corpus import COLLECTION, policy_collection
from targets.reference.kakao.generation import SYSTEM, Analysis, analyse, build_prompt, finish
from targets.reference.kakao.metrics import Metrics
from targets.reference.kakao.settings import Settings
from targets.reference.planted import Planted
from targets.reference.serving import mark_ready
from targets.reference.telemetry import exposition
from targets.reference.timing import RequestTiming, Stages
from targets.reference.upstream import Upstream, UpstreamError
from targets.reference.vector_store import Match, VectorStore, own_copy

TOP_K = 5


class TemplateRequest(BaseModel):
    user_request: str = Field(min_length=1, max_length=2000)
    business_type: str | None = Field(default=None, max_length=40)


class Kakao:
    """The service behind the routes: what one worker holds open."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        lifetimes_s = {
            "policy": settings.policy_ttl_s,
            "template": settings.template_ttl_s,
            "analysis": settings.analysis_ttl_s,
            "temp": settings.temp_ttl_s,
        }
        self.caches = Caches(lifetimes_s, self.metrics.observe_cache, settings.redis)

    async def open(self) -> None:
        self.store = VectorStore(
            own_copy(policy_collection(self.settings.policies), self.settings.work_dir), COLLECTION
        )
        self.upstream = Upstream(
            self.settings.upstream,
            connections=self.settings.upstream_connections,
            timeout_s=self.settings.upstream_timeout_s,
        )

    async def close(self) -> None:
        await self.upstream.close()
        await self.caches.close()

    async def cached(self, kind: str, key: str) -> Any | None:
        return await self.caches.get(kind, key) if self.settings.cache else None

    async def remember(self, kind: str, key: str, value: Any) -> None:
        if self.settings.cache:
            await self.caches.put(kind, key, value)

    async def search(self, query: str, k: int, stages: Stages) -> tuple[list[Match], bool]:
        """The k nearest policies and whether they came from the cache. The embedding is the upstream's."""
        key = f"{k}:{query}"
        if (found := await self.cached("policy", key)) is not None:
            return [Match(**match) for match in found], True
        vector = await self.cached("temp", query)
        if vector is None:
            with stages.stage("embedding"):
                vector = await self.upstream.embed(query, self.settings.embedding_model)
            await self.remember("temp", query, vector)
        with stages.stage("retrieval"):
            if self.settings.retrieval_on_event_loop:
                matches = self.store.query(vector, k)
            else:
                matches = await run_in_threadpool(self.store.query, vector, k)
        await self.remember(
            "policy", key, [{name: getattr(match, name) for name in Match.__slots__} for match in matches]
        )
        return matches, False

    async def analysis(self, request: TemplateRequest) -> Analysis:
        key = f"{request.business_type}:{request.user_request}"
        if (known := await self.cached("analysis", key)) is not None:
            return Analysis(known[0], known[1], known[2], tuple(known[3]))
        found = analyse(request.user_request, request.business_type)
        await self.remember("analysis", key, [found.business_type, found.topic, found.category, list(found.variables)])
        return found

    async def generate(self, request: TemplateRequest, stages: Stages) -> tuple[dict[str, Any], bool]:
        """The answer's body and whether it came from the cache."""
        key = f"{request.business_type}:{request.user_request}"
        if (known := await self.cached("template", key)) is not None:
            return known, True
        policies, _ = await self.search(request.user_request, TOP_K, stages)
        with stages.stage("prompt"):
            analysis = await self.analysis(request)
            prompt = build_prompt(request.user_request, analysis, policies)
        with stages.stage("upstream"):
            reply = await self.upstream.message(self.settings.model, SYSTEM, prompt, self.settings.max_tokens)
        with stages.stage("checks"):
            template = finish(reply.text, analysis, policies)
        self.metrics.tokens.labels("in").inc(reply.tokens_in)
        self.metrics.tokens.labels("out").inc(reply.tokens_out)
        self.metrics.templates.labels(str(template.approved).lower()).inc()
        body = {
            "template": template.text,
            "approved": template.approved,
            "business_type": analysis.business_type,
            "topic": analysis.topic,
            "category": analysis.category,
            "variables": variables(template.text),
            "buttons": [button._asdict() for button in template.buttons],
            "checks": [check._asdict() for check in template.checks],
            "policies": [
                {"id": match.id, "title": match.metadata["title"], "score": match.score} for match in policies
            ],
            "model": reply.model,
            "usage": {"input_tokens": reply.tokens_in, "output_tokens": reply.tokens_out},
        }
        await self.remember("template", key, body)
        return body, False

    async def health(self) -> dict[str, str]:
        """Each part's state: "ok", or what is wrong with it. None of the checks costs tokens."""
        checks: dict[str, str] = {}
        try:
            checks["vector_store"] = "ok" if self.store.count() else "the policy collection is empty"
        except Exception as error:  # whatever Chroma raises is this part's state
            checks["vector_store"] = f"{type(error).__name__}"
        try:
            await self.upstream.models()
            checks["upstream"] = "ok"
        except UpstreamError as error:
            checks["upstream"] = error.reason
        return checks


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI application; without `settings` they are read from the environment, as uvicorn's workers do."""
    settings = settings or Settings.from_environment("kakao")
    kakao = Kakao(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await kakao.open()
        mark_ready(settings)
        yield
        await kakao.close()

    app = FastAPI(title="kakao", version="1", lifespan=lifespan)
    planted = settings.planted_delay_ms, settings.planted_cpu_ms, settings.planted_memory_mib
    if any(amount is not None for amount in planted):
        delay_ms, cpu_ms, memory_mib = (amount or 0.0 for amount in planted)
        app.add_middleware(Planted, delay_ms=delay_ms, cpu_ms=cpu_ms, memory_mib=memory_mib)
    app.add_middleware(RequestTiming, observe=kakao.metrics.observe_request)

    @app.exception_handler(UpstreamError)
    async def upstream_failed(request: Request, error: UpstreamError) -> JSONResponse:
        return JSONResponse({"detail": error.reason}, status_code=error.status)

    @app.post("/api/v1/templates/generate")
    async def generate(body: TemplateRequest, request: Request, response: Response) -> dict[str, Any]:
        answer, hit = await kakao.generate(body, request.state.stages)
        response.headers["x-cache"] = "hit" if hit else "miss"
        return answer

    @app.get("/api/v1/policies/search")
    async def search(
        request: Request,
        response: Response,
        q: Annotated[str, Query(min_length=1, max_length=500)],
        k: Annotated[int, Query(ge=1, le=50)] = TOP_K,
    ) -> dict[str, Any]:
        matches, hit = await kakao.search(q, k, request.state.stages)
        response.headers["x-cache"] = "hit" if hit else "miss"
        return {
            "query": q,
            "policies": [
                {"id": match.id, "score": round(match.score, 4), "text": match.document, **match.metadata}
                for match in matches
            ],
        }

    @app.get("/health")
    async def health() -> JSONResponse:
        checks = await kakao.health()
        healthy = all(state == "ok" for state in checks.values())
        body = {"status": "healthy" if healthy else "unhealthy", "checks": checks}
        return JSONResponse(body, status_code=200 if healthy else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return exposition(kakao.metrics.registry)

    return app
