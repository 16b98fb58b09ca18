"""Serves a recording: the same answers with the same time to the first token and between tokens."""

import asyncio
import heapq
import json
import sys
from collections import defaultdict, deque
from typing import Any

from targets.reference.llm import recording
from targets.reference.llm.anthropic_api import Anthropic
from targets.reference.llm.api import JSON, MARK, ApiError
from targets.reference.llm.driver import Alarm, clock_ns
from targets.reference.llm.openai_api import OpenAI
from targets.reference.llm.protocol import Exchange, Handler, Headers, Request
from targets.reference.llm.recording import Recorded, Recording


class _Playing:
    """One recorded answer on its way to a client."""

    __slots__ = ("exchange", "gone", "next", "recorded", "started_ns")

    def __init__(self, recorded: Recorded, exchange: Exchange, started_ns: int) -> None:
        self.recorded, self.exchange, self.started_ns = recorded, exchange, started_ns
        self.next = 0
        self.gone = False

    def leave(self) -> None:
        self.gone = True

    @property
    def due_ns(self) -> int:
        events = self.recorded.events
        offset_ns = events[self.next][0] if self.next < len(events) else self.recorded.done_ns
        return self.started_ns + offset_ns

    def play(self) -> bool:
        """Send what is due; True: it was the last."""
        events, exchange = self.recorded.events, self.exchange
        if not self.recorded.streamed:
            body = "".join(text for _, text in events).encode()
            exchange.respond(self.recorded.status, _headers(self.recorded), body)
            return True
        if self.next == 0:
            exchange.begin(self.recorded.status, _headers(self.recorded))
        if self.next < len(events):
            exchange.write(exchange.frame(events[self.next][1].encode()))
            self.next += 1
            return False
        exchange.end()
        return True


class Replayer:
    """Answers each request with what was recorded for it; several recordings of one request take turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, recorded: Recording, otherwise: Handler | None) -> None:
        self._answers: defaultdict[str, deque[Recorded]] = defaultdict(deque)
        for exchange in recorded.exchanges:
            self._answers[exchange.hash].append(exchange)
        self._otherwise = otherwise
        self._alarm = Alarm(loop, self._run)
        self._due: list[tuple[int, int, _Playing]] = []
        self._sequence = self._unknown = 0

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Play what was recorded for this request; without a recording, emulate it or refuse it with 404."""
        path = request.path.split(b"?", 1)[0].decode("utf-8", "replace")
        if path == "/health":
            report = {"status": "ok", "emulator": "plimsoll", "replaying": len(self._due), "unknown": self._unknown}
            exchange.respond(200, JSON, json.dumps(report).encode())
            return
        key = recording.request_hash(request.method.decode(), path, _body(request.body))
        if key in self._answers:
            answers = self._answers[key]
            answers.rotate(-1)
            playing = _Playing(answers[-1], exchange, request.received_ns)
            exchange.on_disconnect = playing.leave
            self._schedule(playing)
            self._arm()
            return
        self._unknown += 1
        if self._otherwise:
            self._otherwise(request, exchange)
            return
        print(f"llm: {request.method.decode()} {path} was not recorded (request hash {key}).", file=sys.stderr)
        dialect = Anthropic("") if path.endswith("/messages") else OpenAI("")
        message = f"This request was not recorded (request hash {key}); the recording has {len(self._answers)} others."
        exchange.respond(404, JSON, dialect.error(ApiError(404, "not_recorded", message)))

    async def close(self) -> None:
        self._alarm.close()

    def _run(self) -> None:
        now_ns = clock_ns()
        while self._due and self._due[0][0] <= now_ns:
            playing = heapq.heappop(self._due)[2]
            if not playing.gone and not playing.play():
                self._schedule(playing)
        self._arm()

    def _schedule(self, playing: _Playing) -> None:
        self._sequence += 1
        heapq.heappush(self._due, (playing.due_ns, self._sequence, playing))

    def _arm(self) -> None:
        if self._due:
            self._alarm.set(self._due[0][0])


def _headers(recorded: Recorded) -> Headers:
    kept = [(name.encode(), value.encode("latin-1", "replace")) for name, value in recorded.headers.items()]
    return [*[pair for pair in MARK if pair[0].decode() not in recorded.headers], *kept]


def _body(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
