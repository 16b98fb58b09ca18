"""Limits recognised as limits: which of those that a contract states refused how many requests of a run. Pure.

A refusal (429, 503, a queue's 504) is a policy that works, not an error of the service; whose policy it was is read from
the answer's words where it has some, else from what the contract states.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from targets.contract import Contract, Front, Limits, Queue

SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
FULL_SHARE, FULL_WAITING = 0.05, 4
FRONT = re.compile(r"page of nginx")
UPSTREAM = re.compile(r"upstream|provider|openai|anthropic", re.IGNORECASE)
TOKEN_QUOTA = re.compile(r"tokens? per (?:min|day|hour)|\b[IO]?TPM\b", re.IGNORECASE)
REQUEST_QUOTA = re.compile(r"requests? per (?:min|day|hour)|\bRP[MD]\b", re.IGNORECASE)
POOL = re.compile(
    r"QueuePool|connection pool|pool (?:limit|timeout|is (?:full|exhausted))|too many (?:connections|clients)"
    r"|remaining connection slots",
    re.IGNORECASE,
)
NO_REFUSAL = {("upstream", 504), ("front", 502), ("front", 504)}  # too late, or gone
FAULT = re.compile(r"database|disk|internal|exception|traceback|broken|locked", re.IGNORECASE)
QUEUE = re.compile(r"queue|overload|busy|capacity|concurren|not done within|given up|waiting", re.IGNORECASE)
CLIENT = re.compile(
    r"rate limit|too many requests|quota|requests in \S+ ?s\b|per \S* ?(?:second|minute|hour)", re.IGNORECASE
)


@dataclass(frozen=True)
class Refusal:
    """How often an endpoint answered with one status and one reason (its words, "" where it gave none)."""

    endpoint: str
    status: int
    reason: str
    count: int


@dataclass(frozen=True)
class Engine:
    """An LLM engine's own gauges over the measured stages: the most that ran, the most that waited for a place, and the
    share of the looks at which its places were taken while others waited."""

    running: int
    waiting: int
    full_share: float

    @property
    def was_full(self) -> bool:
        """Somebody waits for a moment at any load, until the step that runs has ended."""
        return self.full_share >= FULL_SHARE and self.waiting >= FULL_WAITING


@dataclass(frozen=True)
class Load:
    """What was sent in the measured stages. `requests`: endpoint → number. `clients`: as how many it came.

    `processes`: of the service, all replicas together. `front`: whether the contract's proxy stood in front; None: not
    known. `engine`: None where no engine's gauges were seen.
    """

    seconds: float
    requests: Mapping[str, int]
    clients: int = 1
    processes: int = 1
    front: bool | None = None
    engine: Engine | None = None


@dataclass(frozen=True)
class LimitFound:
    """`limit` as the contract writes it. `share`: of the endpoint's requests. `binds` False: stated, and not reached."""

    endpoint: str
    limit: str
    kind: str  # client, queue, front, upstream, pool, fault, unstated
    binds: bool
    refused: int
    share: float
    sentence: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def rate_rps(text: str) -> float:
    """ "10/minute" or "5/10 seconds" as requests per second."""
    amount, seconds = amount_and_window(text)
    return amount / seconds


def amount_and_window(text: str) -> tuple[int, float]:
    """ "10/minute" as (10, 60.0)."""
    amount, period = text.split("/", 1)
    words = period.split()
    count, unit = (float(words[0]), words[1]) if len(words) == 2 else (1.0, words[0])
    return int(amount), count * SECONDS[unit.rstrip("s")]


def find(contract: Contract, load: Load, refusals: Iterable[Refusal]) -> list[LimitFound]:
    """What binds, most refusals first, then the stated limits that did not."""
    limits = contract.limits
    summed: dict[tuple[str, str, str], list[Refusal]] = {}
    for refusal in refusals:
        kind = _kind(refusal, limits)
        if kind is not None:
            summed.setdefault((refusal.endpoint, kind, _name(kind, refusal, limits, load)), []).append(refusal)
    found = [_binding(endpoint, kind, name, own, limits, load) for (endpoint, kind, name), own in summed.items()]
    found.sort(key=lambda one: -one.refused)
    found += _full_engine(contract, load, {one.limit for one in found})
    return found + _not_reached(limits, load, {one.limit for one in found})


def _kind(refusal: Refusal, limits: Limits) -> str | None:
    """Whose refusal it is; None for a 502 or 504 that no limit explains, as that of a proxy whose service has gone."""
    words, status = refusal.reason, refusal.status
    for kind, pattern in (("front", FRONT), ("pool", POOL), ("upstream", UPSTREAM)):
        if pattern.search(words) and (kind, status) not in NO_REFUSAL:
            return kind
    if status in (502, 504):
        return "queue" if status == 504 and limits.queue and QUEUE.search(words) else None
    if FAULT.search(words):
        return "fault"
    stated = {"queue": bool(limits.queue), "client": bool(limits.per_client), "front": limits.front is not None}
    for kind, pattern in (("queue", QUEUE), ("client", CLIENT)):
        if pattern.search(words):
            return kind if stated[kind] else "unstated"
    order = ("client", "queue", "front") if status == 429 else ("queue", "front")
    return next((kind for kind in order if stated[kind]), "unstated")


def _name(kind: str, refusal: Refusal, limits: Limits, load: Load) -> str:
    if kind == "client":
        return _binding_rate(refusal, limits, load) or "rate limit"
    if kind == "queue":
        return queue_of(refusal.endpoint, limits.queue) or "queue"
    if kind == "front" and limits.front:
        return limits.front.rate
    return kind


def _binding_rate(refusal: Refusal, limits: Limits, load: Load) -> str | None:
    """The rate whose number the refusal names; else the one that the load asked most of."""
    numbers = set(re.findall(r"\d+", refusal.reason))
    named = [rate for rate in limits.per_client if rate.split("/")[0] in numbers]
    asked = load.requests.get(refusal.endpoint, 0) / max(1, load.clients)

    def pressure(rate: str) -> float:
        amount, window_s = amount_and_window(rate)
        return asked / (amount * max(1.0, load.seconds / window_s))

    return max(named or limits.per_client, key=pressure, default=None)


def queue_of(endpoint: str, queues: Mapping[str, Queue]) -> str | None:
    """The queue of an endpoint: by its name, by a part of it, or the only one."""
    if endpoint in queues:
        return endpoint
    alike = [name for name in queues if endpoint in name or name in endpoint]
    return alike[0] if len(alike) == 1 else next(iter(queues)) if len(queues) == 1 else None


def _binding(
    endpoint: str, kind: str, name: str, refusals: Sequence[Refusal], limits: Limits, load: Load
) -> LimitFound:
    refused = sum(refusal.count for refusal in refusals)
    requests = max(load.requests.get(endpoint, refused), refused)
    statuses = " and ".join(str(status) for status in sorted({refusal.status for refusal in refusals}))
    said = f"{refused:,} of {requests:,} requests to {endpoint} were refused with {statuses}"
    words = next((f' ("{refusal.reason}")' for refusal in refusals if refusal.reason), "")
    sentence = {
        "client": f"rate limit {name} per client binds: {said}{_clients(name, limits, load)}",
        "queue": f"queue {_queue_words(name, limits.queue)} binds: {said}",
        "front": f"{_front_words(limits.front)} binds: {said} before they reached the service",
        "upstream": f"the upstream's {_quota(words)} binds, not your CPU: {said}{words}",
        "pool": f"the connection pool binds: {said}{words}",
        "fault": f"a fault, no limit: {said.replace('refused', 'answered')}{words}",
        "unstated": f"{said}{words}, and the contract states no limit that explains it",
    }[kind]
    binds = kind not in ("fault", "unstated")
    return LimitFound(endpoint, name, kind, binds, refused, refused / requests if requests else 0.0, sentence)


def _quota(words: str) -> str:
    """Which of a provider's quotas its words tell of, as OpenAI and Anthropic write them; else only that there is one."""
    if TOKEN_QUOTA.search(words):
        return "token quota"
    return "request quota" if REQUEST_QUOTA.search(words) else "limit"


def _full_engine(contract: Contract, load: Load, bound: set[str]) -> list[LimitFound]:
    """An engine that refuses nothing binds all the same: who finds it full waits."""
    engine, queues = load.engine, contract.limits.queue
    if engine is None or not engine.was_full:
        return []
    share = f"{engine.full_share * 100:.0f} % of the run"
    full = f"{engine.running} requests ran in it and up to {engine.waiting:,} waited for a place, in {share}"
    if contract.upstream is not None:
        said = f"the upstream's engine was full: {full}; more of this service would only wait with them"
        return [LimitFound("all", "upstream", "upstream", True, 0, 0.0, said)]
    names = [name for name, q in queues.items() if name not in bound and engine.running >= 0.9 * q.max_concurrent]
    sentences = [f"queue {_queue_words(name, queues)} binds, refusing nothing: {full}" for name in names]
    return [
        LimitFound(name, name, "queue", True, 0, 0.0, sentence) for name, sentence in zip(names, sentences, strict=True)
    ]


def _clients(name: str, limits: Limits, load: Load) -> str:
    scope = f", counted in each of {load.processes} processes" if _per_process(limits, load) else ""
    who = "one client" if load.clients == 1 else f"{load.clients:,} clients"
    allowed = f" that may send {in_words(allowed_rps(name, limits, load))}" if "/" in name else ""
    return f", to {who}{allowed}{scope}"


def allowed_rps(rate: str, limits: Limits, load: Load) -> float:
    """What a rate per client lets through in all: × clients, and × processes where each counts for itself."""
    return rate_rps(rate) * load.clients * (load.processes if _per_process(limits, load) else 1)


def _per_process(limits: Limits, load: Load) -> bool:
    return limits.per_client_scope == "process" and load.processes > 1


def _queue_words(name: str, queues: Mapping[str, Queue]) -> str:
    queue = queues.get(name)
    if queue is None:
        return name
    return f"{name} ({queue.max_concurrent} at a time, {queue.max_queue_size} waiting, {queue.timeout_s:g} s)"


def _front_words(front: Front | None) -> str:
    if front is None:
        return "a proxy in front (the contract states none)"
    return f"{front.proxy} in front ({front.rate}, burst {front.burst}, on {front.paths})"


def in_words(rps: float) -> str:
    """ "1,667 requests/s", "6.5 requests/s" or "10 requests/min"."""
    if rps < 1:
        return f"{rps * 60:.3g} requests/min"
    return f"{rps:,.0f} requests/s" if rps >= 100 else f"{rps:.3g} requests/s"


def _room(rate: str, limits: Limits, load: Load) -> str:
    """What the clients may send together; and whether a run shorter than the limit's window would have met it later."""
    window_s, allowed = amount_and_window(rate)[1], allowed_rps(rate, limits, load)
    who = "one client" if load.clients == 1 else f"{load.clients:,} clients"
    room = f"{who} may send {in_words(allowed)}"
    sent = sum(load.requests.values()) / load.seconds if load.seconds else 0.0
    if load.seconds < window_s and sent > allowed:
        return f"{room}; this run sent {in_words(sent)} for {load.seconds:.0f} s, kept up for {window_s:.0f} s it would"
    return room


def _not_reached(limits: Limits, load: Load, bound: set[str]) -> list[LimitFound]:
    found: list[tuple[str, str, str]] = []
    for rate in limits.per_client:
        found.append((rate, "client", f"rate limit {rate} per client did not bind: {_room(rate, limits, load)}"))
    for name in limits.queue:
        found.append((name, "queue", f"queue {_queue_words(name, limits.queue)} did not bind: it refused nothing"))
    if limits.front:
        why = (
            "did not bind"
            if load.front
            else "stood not in front of this run"
            if load.front is False
            else "was not seen"
        )
        found.append((limits.front.rate, "front", f"{_front_words(limits.front)} {why}"))
    return [
        LimitFound("all", name, kind, False, 0, 0.0, sentence) for name, kind, sentence in found if name not in bound
    ]
