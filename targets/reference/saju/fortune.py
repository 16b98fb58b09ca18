"""A turn of the conversation: pillars, what the knowledge base says, the prompt, the LLM, the record."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

from cachetools import TTLCache
from fastapi.concurrency import run_in_threadpool

from targets.reference.caching import Caches
from targets.reference.database import Probe, open_engine
from targets.reference.embedding import count_tokens
from targets.reference.saju.chat_request import Chat
from targets.reference.saju.conversations import MESSAGES, save_turn
from targets.reference.saju.knowledge import COLLECTION, knowledge_collection
from targets.reference.saju.metrics import Metrics
from targets.reference.saju.pillars import find_birth, four_pillars
from targets.reference.saju.settings import Settings
from targets.reference.timing import Stages
from targets.reference.upstream import Completion, Upstream, UpstreamError
from targets.reference.vector_store import Match, VectorStore, own_copy

TOP_K = 4
SESSION_S = 1800.0
HISTORY_BUDGET_TOKENS = 1500
SYSTEM = (
    "당신은 친절한 사주 상담가입니다. 아래 사주와 자료를 근거로 한국어로 답하고, 단정하지 말고 조언으로 말하십시오."
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known before the LLM speaks."""

    session_id: str
    pillars: dict[str, Any] | None
    sources: list[Match]
    messages: list[dict[str, str]]


class Fortune:
    """What one worker holds open."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._engine = open_engine(settings.database_url)
        self._database = Probe(settings.database_url, MESSAGES)
        self._caches = Caches({"session": SESSION_S}, lambda kind, hit: None, settings.redis)
        self.active: TTLCache[str, bool] = TTLCache(maxsize=100_000, ttl=SESSION_S)

    async def open(self) -> None:
        settings = self._settings
        self._store = VectorStore(own_copy(knowledge_collection(settings.knowledge), settings.work_dir), COLLECTION)
        self._upstream = Upstream(
            settings.upstream, connections=settings.upstream_connections, timeout_s=settings.upstream_timeout_s
        )

    async def close(self) -> None:
        await self._upstream.close()
        await self._caches.close()
        await asyncio.to_thread(self._engine.dispose)

    async def prepare(self, chat: Chat, stages: Stages) -> Reading:
        session_id = chat.session_id or str(uuid.uuid4())
        self.active[session_id] = True
        with stages.stage("pillars"):
            pillars = await self._pillars(session_id, chat.message)
        with stages.stage("embedding"):
            vector = await self._upstream.embed(chat.message, self._settings.embedding_model)
        with stages.stage("retrieval"):
            sources = await run_in_threadpool(self._store.query, vector, TOP_K)
        with stages.stage("prompt"):
            messages = build_messages(chat, pillars, sources)
        return Reading(session_id, pillars, sources, messages)

    async def _pillars(self, session_id: str, message: str) -> dict[str, Any] | None:
        """Of the birth date in the message; else those that the session began with."""
        birth = find_birth(message)
        if birth is None:
            return await self._caches.get("session", session_id)
        found = four_pillars(birth)
        self._metrics.calculations.inc()
        pillars = {**asdict(found), "day_master": found.day_master}
        await self._caches.put("session", session_id, pillars)
        return pillars

    async def answer(self, chat: Chat, reading: Reading, stages: Stages) -> dict[str, Any]:
        with stages.stage("upstream"):
            reply = await self._upstream.chat(self._settings.model, reading.messages, self._settings.max_tokens)
        with stages.stage("database"):
            await self._keep(chat, reading, reply)
        return {
            "session_id": reading.session_id,
            "answer": reply.text,
            "pillars": reading.pillars,
            "sources": [{"id": match.id, "score": round(match.score, 4)} for match in reading.sources],
            "model": reply.model,
            "usage": {"prompt_tokens": reply.tokens_in, "completion_tokens": reply.tokens_out},
        }

    async def stream(self, chat: Chat, reading: Reading) -> AsyncIterator[str | Completion]:
        """The LLM's pieces as they come, then the whole; the turn is kept before the whole is handed on."""
        pieces = self._upstream.chat_stream(self._settings.model, reading.messages, self._settings.max_tokens)
        async for piece in pieces:
            if isinstance(piece, Completion):
                await self._keep(chat, reading, piece)
            yield piece

    async def _keep(self, chat: Chat, reading: Reading, reply: Completion) -> None:
        self._count(reply, "chat")
        await run_in_threadpool(save_turn, self._engine, reading.session_id, chat.user_id, chat.message, reply.text)

    def _count(self, reply: Completion, purpose: str) -> None:
        self._metrics.tokens.labels(purpose, "in").inc(reply.tokens_in)
        self._metrics.tokens.labels(purpose, "out").inc(reply.tokens_out)

    async def health(self) -> dict[str, str]:
        """Each part's state: "ok", or what is wrong. The LLM is asked for a completion, which its provider charges."""
        checks = {"mysql": await run_in_threadpool(self._database.state)}
        try:
            checks["chromadb"] = "ok" if await run_in_threadpool(self._store.count) else "the collection is empty"
        except Exception as error:  # whatever Chroma raises is this part's state
            checks["chromadb"] = type(error).__name__
        try:
            if self._settings.health_calls_paid_llm:
                ping = [{"role": "user", "content": "ping"}]
                self._metrics.health_calls.inc()
                self._count(await self._upstream.chat(self._settings.model, ping, max_tokens=5), "health")
            else:
                await self._upstream.models()
            checks["openai"] = "ok"
        except UpstreamError as error:
            checks["openai"] = error.reason
        return checks


def build_messages(chat: Chat, pillars: dict[str, Any] | None, sources: list[Match]) -> list[dict[str, str]]:
    """System, as much of the newest history as fits the budget, and the message."""
    known = "\n".join(f"[자료 {i}] {match.document}" for i, match in enumerate(sources, 1))
    about = (
        f"사주: {pillars['year']}년 {pillars['month']}월 {pillars['day']}일 {pillars['hour']}시, "
        f"일간 {pillars['day_master']}, 오행 {pillars['elements']}"
        if pillars
        else "사주: 아직 모름(생년월일시를 물어보십시오)"
    )
    kept: list[dict[str, str]] = []
    spent = 0
    for turn in reversed(chat.history):
        spent += count_tokens(turn.content)
        if spent > HISTORY_BUDGET_TOKENS:
            break
        kept.append({"role": turn.role, "content": turn.content})
    return [
        {"role": "system", "content": f"{SYSTEM}\n{about}\n{known}"},
        *reversed(kept),
        {"role": "user", "content": chat.message},
    ]
