"""The emulator's endpoints: from a request read to a job in the engine, and from its tokens to the answer."""

import json
import math
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from targets.reference.embedding import count_tokens, embed
from targets.reference.llm.anthropic_api import Anthropic
from targets.reference.llm.api import EVENTS, JSON, MARK, ApiError, Call, Dialect, read_json
from targets.reference.llm.driver import Driver, clock_ns
from targets.reference.llm.metrics import Metrics
from targets.reference.llm.openai_api import OpenAI, embedding_inputs, embeddings
from targets.reference.llm.parameters import Parameters
from targets.reference.llm.protocol import Exchange, Headers, Request
from targets.reference.llm.quota import Quotas
from targets.reference.llm.scheduler import Job
from targets.reference.llm.sinks import EmbeddingSink, StreamSink, WholeSink
from targets.reference.llm.text import Writer


class Service:
    """All endpoints of one emulated engine."""

    def __init__(self, parameters: Parameters, seed: int, driver: Driver, embedder: Driver) -> None:
        self._parameters, self._driver, self._embedder = parameters, driver, embedder
        self._writer = Writer(parameters.output, seed)
        self._quotas = Quotas(parameters.quota)
        model = parameters.model.name
        self.metrics = Metrics(driver, model)
        self._openai, self._anthropic = OpenAI(model), Anthropic(model)
        self._number = 0
        self._started_s = int(time.time())
        self._posts: dict[bytes, Callable[[Request, Exchange], None]] = {
            b"/v1/chat/completions": lambda request, exchange: self._generate(self._openai, request, exchange),
            b"/v1/messages": lambda request, exchange: self._generate(self._anthropic, request, exchange),
            b"/v1/embeddings": self._embed,
        }
        self._gets: dict[bytes, Callable[[Exchange], None]] = {
            b"/v1/models": self._list_models,
            b"/health": self._report_health,
            b"/metrics": self._report_metrics,
        }

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Answer a request, now or when its tokens come."""
        path = request.path.split(b"?", 1)[0]
        try:
            if path in self._posts and request.method == b"POST":
                self._posts[path](request, exchange)
            elif path in self._gets and request.method == b"GET":
                self._gets[path](exchange)
            elif path in self._posts or path in self._gets:
                raise ApiError(405, "invalid_request", f"{path.decode()} does not take {request.method.decode()}.")
            else:
                raise ApiError(404, "not_found", f"Unknown URL {path.decode('utf-8', 'replace')}.")
        except ApiError as error:
            self._refuse(path, error, exchange)
        except Exception:  # a fault of ours: seen on standard error, and by the client in its provider's shape
            traceback.print_exc()
            self._refuse(path, ApiError(500, "upstream", "The emulator failed; its standard error says how."), exchange)

    def _generate(self, dialect: Dialect, request: Request, exchange: Exchange) -> None:
        call = self._bounded(dialect.parse(read_json(request)))
        quota_headers = self._charge(dialect, call.prompt_tokens + call.ask.max_tokens)
        answer = self._writer.write(call.ask)
        self._number += 1
        created_s = int(time.time())
        job = Job(call.prompt_tokens, len(answer.pieces))
        if call.stream:
            frames = dialect.frames(call, answer, self._number, created_s)
            job.sink = StreamSink(exchange, frames, answer, request.received_ns, self.metrics)
        else:
            body = partial(dialect.whole, call, answer, self._number, created_s)
            job.sink = WholeSink(
                exchange, body, answer, request.received_ns, headers=[*JSON, *quota_headers], metrics=self.metrics
            )
        self._submit(self._driver, job, request, exchange)
        self.metrics.prompt_tokens += call.prompt_tokens
        if call.stream:
            exchange.begin(200, [*EVENTS, *quota_headers], frames.opening)

    def _embed(self, request: Request, exchange: Exchange) -> None:
        texts, dimensions, as_base64 = embedding_inputs(read_json(request), self._parameters.embedding.dimensions)
        tokens = sum(map(count_tokens, texts))
        quota_headers = self._charge(self._openai, tokens)
        body = embeddings(embed(texts, dimensions), self._parameters.model.name, tokens, as_base64)
        job = Job(tokens, 1, EmbeddingSink(exchange, [*JSON, *quota_headers], body))
        self._submit(self._embedder, job, request, exchange)

    def _submit(self, driver: Driver, job: Job, request: Request, exchange: Exchange) -> None:
        """Hand a job to an engine; ApiError 429 when it is full."""
        if not driver.submit(job, request.received_ns):
            wait_s = self._seconds_per_place()
            raise ApiError(
                429, "overloaded", "The engine is full: all slots are busy and so is the queue.", retry_after_s=wait_s
            )
        self.metrics.requests[request.path.split(b"?", 1)[0].decode(), 200] += 1
        exchange.on_disconnect = lambda: self._client_left(driver, job)

    def _client_left(self, driver: Driver, job: Job) -> None:
        self.metrics.disconnected += 1
        driver.cancel(job)

    def _bounded(self, call: Call) -> Call:
        """The call with max_tokens settled; ApiError 400 when prompt and answer cannot fit."""
        room = min(self._parameters.model.context_tokens, self._parameters.batching.kv_tokens)
        wanted = call.ask.max_tokens or 1
        if call.prompt_tokens + wanted > room:
            raise ApiError(
                400,
                "context_length",
                f"This model's maximum context length is {room} tokens; the prompt has {call.prompt_tokens} "
                f"and {wanted} were asked for.",
                "messages",
            )
        if call.ask.max_tokens:
            return call
        default = min(self._parameters.output.default_max_tokens, room - call.prompt_tokens)
        return replace(call, ask=replace(call.ask, max_tokens=default))

    def _charge(self, dialect: Dialect, tokens: int) -> Headers:
        """Rate-limit headers; ApiError 429 when a quota is used up."""
        now_ns = clock_ns()
        short = self._quotas.charge(tokens, now_ns)
        if short:
            name, wait_s = short
            message = f"Rate limit reached for {name} per min; try again in {wait_s:.3f}s."
            raise ApiError(429, "rate_limit", message, retry_after_s=wait_s)
        return dialect.quota_headers(self._quotas.states(now_ns), time.time())

    def _seconds_per_place(self) -> float:
        """How often a full engine frees a slot: output length × step time / slots."""
        batching, decode = self._parameters.batching, self._parameters.decode
        step_ms = decode.base_ms + decode.ms_per_running * batching.slots
        return self._parameters.output.median_tokens * step_ms / 1000 / batching.slots

    def _refuse(self, path: bytes, error: ApiError, exchange: Exchange) -> None:
        dialect: Dialect = self._anthropic if path == b"/v1/messages" else self._openai
        headers = list(JSON)
        if error.status == 429:
            headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s))))
            headers += dialect.quota_headers(self._quotas.states(clock_ns()), time.time())
        known = path if path in self._posts or path in self._gets else b"other"
        self.metrics.requests[known.decode(), error.status] += 1
        exchange.respond(error.status, headers, dialect.error(error))

    def _list_models(self, exchange: Exchange) -> None:
        model = self._parameters.model
        entry = {"id": model.name, "object": "model", "created": self._started_s, "owned_by": "plimsoll",
                 "max_model_len": model.context_tokens}  # fmt: skip
        exchange.respond(200, JSON, json.dumps({"object": "list", "data": [entry]}).encode())

    def _report_health(self, exchange: Exchange) -> None:
        gate, late = self._driver.scheduler.gate, self._driver.lateness
        report = {"status": "ok", "emulator": "plimsoll", "running": gate.running, "waiting": len(gate.waiting),
                  "worst_lateness_ms": late.max_ns / 1e6}  # fmt: skip
        exchange.respond(200, JSON, json.dumps(report).encode())

    def _report_metrics(self, exchange: Exchange) -> None:
        headers = [*MARK, (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
        exchange.respond(200, headers, self.metrics.render())
