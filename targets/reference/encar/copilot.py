"""Answers a question: the FAQ entries that fit, a prompt from them, the LLM's answer, kept in the database."""

import asyncio
from typing import Any

from cachetools import TTLCache
from fastapi.concurrency import run_in_threadpool

from targets.reference.database import Probe, open_engine
from targets.reference.encar.faq import Entry, entries
from targets.reference.encar.feedback import QUESTIONS, save_question
from targets.reference.encar.metrics import Metrics
from targets.reference.encar.settings import Settings
from targets.reference.encar.users import User
from targets.reference.korean_search import Bm25, build_index
from targets.reference.timing import Stages
from targets.reference.upstream import Upstream, UpstreamError

TOP_K = 4
SYSTEM = (
    "당신은 사내 헬프데스크 도우미입니다. 아래 FAQ만 근거로 한국어로 짧게 답하고, "
    "근거가 없으면 헬프데스크 내선을 안내하십시오."
)


class Copilot:
    """What one worker holds open: the FAQ index, the database, the connections to the LLM, the answers of late."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self.engine = open_engine(settings.database_url)
        self.probe = Probe(settings.database_url, QUESTIONS)
        self._answers: TTLCache[str, dict[str, Any]] = TTLCache(maxsize=5_000, ttl=settings.cache_ttl_s)

    async def open(self) -> None:
        self._faq = entries(self._settings.faq_entries)
        self._index = Bm25(build_index(entry.text for entry in self._faq))
        self._upstream = Upstream(
            self._settings.upstream,
            connections=self._settings.upstream_connections,
            timeout_s=self._settings.upstream_timeout_s,
        )

    async def close(self) -> None:
        await self._upstream.close()
        await asyncio.to_thread(self.engine.dispose)

    async def llm_state(self) -> str:
        """ "ok", or what is wrong. Lists the models, which costs no tokens."""
        try:
            await self._upstream.models()
        except UpstreamError as error:
            return error.reason
        return "ok"

    def retrieve(self, question: str) -> list[tuple[Entry, float]]:
        return [(self._faq[position], score) for position, score in self._index.search(question, TOP_K)]

    async def ask(self, question: str, user: User, stages: Stages) -> dict[str, Any]:
        """The body of the answer; a question asked before (same words) is answered from the cache."""
        key = " ".join(question.split())
        known = self._answers.get(key)
        self._metrics.cache.labels("miss" if known is None else "hit").inc()
        if known is None:
            known = await self._answer(question, stages)
            self._answers[key] = known
            self._metrics.cache.labels("set").inc()
        with stages.stage("database"):
            number = await run_in_threadpool(save_question, self.engine, user.id, question, known["answer"])
        return {"question_id": number, **known}

    async def _answer(self, question: str, stages: Stages) -> dict[str, Any]:
        with stages.stage("retrieval"):
            sources = self.retrieve(question)
        with stages.stage("prompt"):
            context = "\n".join(
                f"[FAQ {i}] {entry.question}: {entry.answer}" for i, (entry, _) in enumerate(sources, 1)
            )
            messages = [
                {"role": "system", "content": f"{SYSTEM}\n\n{context}"},
                {"role": "user", "content": question},
            ]
        try:
            with stages.stage("upstream"):
                reply = await self._upstream.chat(self._settings.model, messages, self._settings.max_tokens)
        except UpstreamError:
            self._metrics.llm.labels("error").inc()
            raise
        self._metrics.llm.labels("success").inc()
        return {
            "answer": reply.text,
            "sources": [{"question": entry.question, "score": round(score, 3)} for entry, score in sources],
            "model": reply.model,
            "usage": {"prompt_tokens": reply.tokens_in, "completion_tokens": reply.tokens_out},
        }
