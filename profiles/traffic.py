"""A simple bounded load for a profile pass: the contract's requests at a rate, from threads of this process.

Not the load engine: it serves to keep a service busy while it is looked into, in a process that may not import the
engine. Whoever has a better one passes it to `passes.profile` as `load`.
"""

import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import httpx
import numpy as np

from targets import pinned
from targets.contract import Contract, Endpoint
from targets.payload import Payloads

MOST_THREADS = 64
MOST_REQUESTS = 2_000_000


@dataclass
class Done:
    """What a load did; all moments on `time.monotonic`. `took_ms` of the requests that were answered as expected,
    by their place in the load."""

    began_s: float
    ended_s: float = 0.0  # the last request was answered; connections may be held on
    sent: int = 0
    ok: int = 0
    done_s: list[float] = field(default_factory=list)
    took_ms: dict[int, float] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    @property
    def mean_ms(self) -> float | None:
        return float(np.mean(list(self.took_ms.values()))) if self.took_ms else None


class Load(Protocol):
    """Loads the service at `rate_rps` for `duration_s`, then keeps its connections open without a request for
    `hold_s` (0: lets them go at once). `again`: the very requests of the load before. Returns when all is over.
    """

    def __call__(self, rate_rps: float, duration_s: float, hold_s: float = 0.0, again: bool = False) -> Done: ...


class ContractLoad:
    """Requests of a contract, one endpoint or the mix by weight, evenly spaced; each thread is a user on a connection.

    The endpoint follows from a request's place in the load, so that passes compare like with like; its payload is new
    each time. Never more than 64 requests in flight, and twice as many users as the requests before had in flight: a
    service that is slower than the rate gets what it can take.
    """

    def __init__(self, contract: Contract, endpoint: str | None = None, seed: int = 1, nonce: str = "") -> None:
        self._base_url = contract.target.base_urls[0]
        self._tls = tls_context(self._base_url, contract.target.verify_tls)
        self._payloads = Payloads(contract, seed, nonce or f"{time.time_ns():x}")
        self._only = next((e for e in contract.endpoint if e.name == endpoint), None) if endpoint else None
        self._timeout_s = max(e.timeout_s for e in contract.endpoint)
        self._next_seq = self._last_first = 0
        self._mean_s = 0.0
        self._lock = threading.Lock()

    def __call__(self, rate_rps: float, duration_s: float, hold_s: float = 0.0, again: bool = False) -> Done:
        count = min(MOST_REQUESTS, max(1, round(rate_rps * duration_s)))
        first = self._last_first if again else self._next_seq
        self._last_first, self._next_seq = first, max(self._next_seq, first + count)
        users = users_for(rate_rps, count, self._mean_s)
        todo = iter(range(count))
        done = Done(began_s=0.0, connections=users)
        ready, idle = threading.Barrier(users + 1), threading.Barrier(users + 1)

        def use() -> None:
            with client(self._base_url, self._timeout_s, self._tls) as own:
                ready.wait()
                while True:
                    with self._lock:
                        place = next(todo, None)
                    due_s = done.began_s + (place or 0) / rate_rps
                    if place is None or time.monotonic() > done.began_s + duration_s:
                        break
                    time.sleep(max(0.0, due_s - time.monotonic()))
                    self._one(own, place, first + place, done)
                idle.wait()
                time.sleep(hold_s)

        threads = [threading.Thread(target=use, daemon=True, name=f"user-{n}") for n in range(users)]
        for thread in threads:
            thread.start()
        done.began_s = time.monotonic()
        ready.wait()
        idle.wait()
        done.ended_s = time.monotonic()
        for thread in threads:
            thread.join()
        self._mean_s = (done.mean_ms or 0.0) / 1e3
        return done

    def _one(self, own: httpx.Client, place: int, seq: int, done: Done) -> None:
        endpoint = self._only or self._payloads.endpoint(place)
        request = self._payloads.request(endpoint, seq)
        sent_s = time.perf_counter()
        try:
            answer = own.request(request.method, request.path, content=request.body, headers=request.header)
            problem = (
                None if _expected(endpoint, answer.status_code) else f"{endpoint.name} answered {answer.status_code}"
            )
        except httpx.HTTPError as error:
            problem = f"{endpoint.name}: {type(error).__name__}"
        took_ms = (time.perf_counter() - sent_s) * 1e3
        with self._lock:
            done.sent += 1
            done.done_s.append(time.monotonic())
            if problem is None:
                done.ok += 1
                done.took_ms[place] = took_ms
            elif problem in done.problems or len(done.problems) < 20:
                done.problems[problem] += 1


def users_for(rate_rps: float, count: int, mean_s: float) -> int:
    """Four seconds of requests, or twice what is in flight where a request takes `mean_s`; bounded."""
    return min(MOST_THREADS, count, max(4, round(rate_rps * max(4.0, 2 * mean_s))))


def tls_context(base_url: str, verify: bool) -> ssl.SSLContext | bool:
    """One context for all clients of a service: making one reads the certificate bundle, 20 ms of CPU each time."""
    return ssl.create_default_context() if verify and base_url.startswith("https:") else False


def client(base_url: str, timeout_s: float, tls: ssl.SSLContext | bool) -> httpx.Client:
    """A client without proxies, over TCP or a Unix socket (unix:/path)."""
    unix = base_url.startswith("unix:")
    return httpx.Client(
        base_url="http://localhost" if unix else base_url,
        transport=pinned.transport(base_url, verify=tls),
        timeout=timeout_s,
        trust_env=False,
        headers={"User-Agent": "plimsoll/profile"},
    )


def _expected(endpoint: Endpoint, status: int) -> bool:
    wanted = endpoint.expect.status
    return status in wanted if wanted else 200 <= status < 300
