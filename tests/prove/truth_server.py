"""A server whose truth is known: it answers when a seeded queue says so, to some 50 µs, and stamps what it did (its
`log`, written on SIGTERM: number, received, planned and sent, in ns of CLOCK_MONOTONIC).

    python truth_server.py '{"port": 9000, "kind": "queue", "servers": 1, "service_s": 0.01, "law": "exponential", "seed": 1}'

kinds: `queue` (c servers, one line, first come first served; servers 0: unlimited), `bucket` (`rate` tokens a second,
`burst` at most; without one 429 at once), `stall` (a fixed time, and nothing
leaves during the pauses), `sse` (first token after a, then one every d). The service time of a request is a pure
function of (seed, arrival number), the number being read from the client's traceparent. Stamps are CLOCK_MONOTONIC.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import json
import math
import os
import select
import signal
import socket
import sys
from pathlib import Path
from time import monotonic_ns as now

MODELS = b'{"object": "list", "data": [{"id": "truth", "object": "model", "created": 1, "owned_by": "us"}]}'
MODELS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(MODELS), MODELS)
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\nno"


def uniform(seed: int, number: int) -> float:
    """SplitMix64 in (0, 1]: the client's side of the comparison calls the same function."""
    mask = (1 << 64) - 1
    state = (seed * 0x9E3779B97F4A7C15 + number + 1) & mask
    for _ in range(2):
        state = (state + 0x9E3779B97F4A7C15) & mask
        state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ state >> 27) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return ((state >> 11) + 1) / (1 << 53)


def service_s(config: dict, number: int) -> float:
    mean = config["service_s"]
    return -mean * math.log(uniform(config["seed"], number)) if config["law"] == "exponential" else mean


class Queue:
    """Departure times of c servers with one line; `servers` 0 means one for everybody."""

    def __init__(self, config: dict) -> None:
        self.config = config
        self.free = [0] * config["servers"]

    def plan(self, number: int, at_ns: int) -> list[tuple[int, bytes]]:
        work_ns = round(service_s(self.config, number) * 1e9)
        if not self.free:
            return [(at_ns + work_ns, b"")]
        begin = max(at_ns, heapq.heappop(self.free))
        heapq.heappush(self.free, begin + work_ns)
        return [(begin + work_ns, b"")]


class Bucket:
    """A token bucket in front of unlimited servers; None for a refusal."""

    def __init__(self, config: dict) -> None:
        self.config, self.tokens, self.last_ns = config, float(config["burst"]), 0

    def plan(self, number: int, at_ns: int) -> list[tuple[int, bytes]]:
        c = self.config
        grown = (at_ns - (self.last_ns or at_ns)) / 1e9 * c["rate"]
        self.tokens, self.last_ns = min(c["burst"], self.tokens + grown), at_ns
        if self.tokens < 1:
            return [(at_ns, REFUSED)]
        self.tokens -= 1
        return [(at_ns + round(c["service_s"] * 1e9), b"")]


class Stall:
    """Everything takes `service_s`; from `first_s` after the first request on, nothing begins for `pause_s` each `every_s`."""

    def __init__(self, config: dict) -> None:
        self.config, self.origin = config, 0

    def plan(self, number: int, at_ns: int) -> list[tuple[int, bytes]]:
        c = self.config
        self.origin = self.origin or at_ns
        phase = (at_ns - self.origin - round(c["first_s"] * 1e9)) % round(c["every_s"] * 1e9)
        waiting = at_ns - self.origin >= c["first_s"] * 1e9 and phase < c["pause_s"] * 1e9
        begin = at_ns + (round(c["pause_s"] * 1e9) - phase if waiting else 0)
        return [(begin + round(c["service_s"] * 1e9), b"")]


class Sse:
    """OpenAI-shaped: a role-only event at once, then `tokens` events, usage, [DONE]."""

    def __init__(self, config: dict) -> None:
        self.config = config
        self.role, self.word = _event({"role": "assistant"}), _event({"content": "word "})
        usage = {"prompt_tokens": 7, "completion_tokens": config["tokens"], "total_tokens": 7 + config["tokens"]}
        self.end = _event({}, "stop") + _event(None, usage=usage) + b"data: [DONE]\n\n"

    def plan(self, number: int, at_ns: int) -> list[tuple[int, bytes]]:
        c = self.config
        first, gap, count = round(c["first_s"] * 1e9), round(c["gap_s"] * 1e9), c["tokens"]
        planned = [(at_ns, self.role)]
        planned += [(at_ns + first + k * gap, self.word) for k in range(count)]
        return [*planned, (planned[-1][0], self.end)]


def _event(delta: dict | None, finish: str | None = None, **more: object) -> bytes:
    """As an OpenAI-compatible server sends it; the usage comes with no choice."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "truth", "choices": choices, **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def arrival_number(head: bytes) -> int:
    at = head.find(b"traceparent: 00-")
    return int(head[at + 32 : at + 48], 16) if at >= 0 else 0


class Timer:
    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.timerfd_create(1, os.O_NONBLOCK)
        self._settime, self._spec = libc.timerfd_settime, (ctypes.c_long * 4)()

    def wake_at(self, at_ns: int) -> None:
        self._spec[2], self._spec[3] = divmod(max(at_ns, 1), 1_000_000_000)
        self._settime(self.fd, 1, ctypes.byref(self._spec), None)

    def heard(self) -> None:
        """Clears the descriptor: else epoll would return at once for as long as nothing is due."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)


def serve(config: dict) -> None:
    model = {"queue": Queue, "bucket": Bucket, "stall": Stall, "sse": Sse}[config["kind"]](config)
    listener = socket.create_server((config.get("host", "127.0.0.1"), config["port"]), backlog=4096)
    listener.setblocking(False)
    epoll, timer = select.epoll(), Timer()
    epoll.register(listener.fileno(), select.EPOLLIN)
    epoll.register(timer.fd, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    rest: dict[int, bytes] = {}
    due: list[tuple[int, int, int, bytes, bool, int, int, int]] = []
    order = 0
    done: list[tuple[int, int, int, int]] = []

    def end(*_: object) -> None:
        with Path(config["log"]).open("w", encoding="ascii") as log:
            log.writelines(f"{a},{b},{c},{d}\n" for a, b, c, d in done)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                client, _ = listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()], rest[client.fileno()] = client, b""
                epoll.register(client.fileno(), select.EPOLLIN)
                continue
            if fd == timer.fd:
                timer.heard()
                continue
            at_ns = now()
            try:
                data = clients[fd].recv(65_536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                epoll.unregister(fd)
                clients.pop(fd).close()
                continue
            rest[fd] += data
            head, found, _ = rest[fd].partition(b"\r\n\r\n")
            if not found:
                continue
            rest[fd] = b""
            if b" /v1/models" in head[:40] or b" /health" in head[:40]:  # other generators look who is there
                clients[fd].send(MODELS)
                continue
            number = arrival_number(head)
            planned = model.plan(number, at_ns)
            for k, (when_ns, body) in enumerate(planned):
                order += 1
                heapq.heappush(due, (when_ns, order, fd, body, k == 0, len(planned) - 1 - k, at_ns, number))
        while due and due[0][0] <= now():
            when_ns, _, fd, body, first, left, received_ns, number = heapq.heappop(due)
            if fd not in clients:
                continue
            if config["kind"] == "sse":
                text = b"%x\r\n%b\r\n" % (len(body), body) + (b"" if left else b"0\r\n\r\n")
                if first:
                    text = (
                        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + text
                    )
            else:
                text = body or b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            done.append((number, received_ns, when_ns, now()))
            try:
                clients[fd].send(text)
            except OSError:
                continue
        if due:
            timer.wake_at(due[0][0])


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    serve(settings)
