"""A service's health checks before the load: whose they are, what each costs at the upstream, who stands in front.

A health check that asks a paid LLM is cheap to write and dear to run. It is found by asking each once on an idle
service and seeing which counters move: those of engines that were started with it, else the service's own.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from profiles.exposition import Reading
from profiles.health import HealthCheck
from profiles.scrape import Scraper
from targets import pinned
from targets.contract import Contract, Endpoint
from targets.payload import Payloads

MOST_CHECKS = 6
PATIENCE_S = 10.0
IDLE_S = 0.3
READY, LIVE, HEALTH = (re.compile(word, re.IGNORECASE) for word in ("read(y|iness)", "live|alive", "health"))
UPSTREAM = re.compile(r"llm|upstream|openai|anthropic|completion|request_success", re.IGNORECASE)
CALLS = re.compile(r"(calls|requests|request_success)(_total)?$")
TOKENS_IN = re.compile(r"prompt_tokens|input_tokens|tokens_in")
TOKENS_OUT = re.compile(r"generation_tokens|completion_tokens|output_tokens|tokens_out")
DIRECTION_IN, DIRECTION_OUT = {"in", "input", "prompt"}, {"out", "output", "completion", "generation"}


@dataclass(frozen=True)
class Asked:
    """One health check, asked once. `calls` of the upstream and tokens: None where nothing counts them.

    `purpose`: readiness or liveness where an orchestrator would use this one for it, else None.
    """

    endpoint: str
    path: str
    purpose: str | None
    status: int | None
    ms: float
    calls: float | None = None
    tokens_in: float | None = None
    tokens_out: float | None = None
    server: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def of(contract: Contract) -> list[Endpoint]:
    """The health checks that can be asked, readiness and liveness first."""
    known = [e for e in contract.endpoint if e.kind == "health" and e.enabled and e.method == "GET"]
    chosen = purposes(contract)
    return sorted(known, key=lambda endpoint: endpoint.name not in chosen)[:MOST_CHECKS]


def purposes(contract: Contract) -> dict[str, str]:
    """endpoint → readiness or liveness, by their names and paths; a service with one check uses it for both."""
    known = [e for e in contract.endpoint if e.kind == "health" and e.enabled and e.method == "GET"]
    found: dict[str, str] = {}
    for purpose, word in (("readiness", READY), ("liveness", LIVE)):
        named = [e for e in known if word.search(f"{e.name} {e.path}")]
        general = [e for e in known if HEALTH.search(e.path) and not READY.search(e.path) and not LIVE.search(e.path)]
        chosen = next(iter([*named, *general, *known]), None)
        if chosen is not None:
            found.setdefault(chosen.name, purpose)
    return found


def ask(contract: Contract, url: str, engines: Sequence[str]) -> list[Asked]:
    """Each health check once, on a service without other load. Never raises for what the service does.

    `engines`: base URLs of LLM engines that were started with the service and have a Prometheus page.
    """
    endpoints = of(contract)
    observe, verify = contract.target.observe, contract.target.verify_tls
    pages = [Scraper(engine, "/metrics", {}, 0) for engine in engines]
    own = [Scraper(url, observe.prometheus, {}, 0, verify_tls=verify)] if observe.prometheus else []
    payloads = Payloads(contract, seed=1, nonce="health")
    chosen = purposes(contract)
    found = []
    with pinned.client(url, PATIENCE_S, verify) as client:
        idle = _counted(pages, own)
        time.sleep(IDLE_S if endpoints else 0.0)
        before = _counted(pages, own)
        quiet = idle == before
        for endpoint in endpoints:
            asked = _ask(client, endpoint, payloads, chosen.get(endpoint.name))
            after = _counted(pages, own)
            found.append(Asked(**{**asked.as_json(), **(_moved(before, after) if quiet else {})}))
            before = after
    for scraper in (*pages, *own):
        scraper.close()
    return found


def _ask(client: httpx.Client, endpoint: Endpoint, payloads: Payloads, purpose: str | None) -> Asked:
    request = payloads.request(endpoint, 0)
    began_s = time.perf_counter()
    status, server = None, ""
    try:
        with client.stream("GET", request.path, headers=request.header) as response:
            status, server = response.status_code, response.headers.get("server", "")[:80]
    except Exception:  # what a service does to its health check is told by the run, not here
        status = None
    return Asked(
        endpoint.name, endpoint.path, purpose, status, (time.perf_counter() - began_s) * 1000, server=server
    )  # fmt: skip


def _counted(engines: Sequence[Scraper], own: Sequence[Scraper]) -> dict[str, float]:
    """calls, tokens_in, tokens_out as counted so far; the engines' word goes before the service's."""
    return _upstream([r for scraper in engines for r in scraper.once()]) or _upstream(
        [r for scraper in own for r in scraper.once()]
    )


def _upstream(readings: Sequence[tuple[str, Reading]]) -> dict[str, float]:
    """Sums of the counters that tell of calls of an upstream and their tokens; {} where there are none."""
    found: dict[str, float] = {}
    for _, reading in readings:
        said = set(map(str, json.loads(reading.labels).values())) if reading.kind == "counter" else set()
        key = _counts(reading.name, said) if reading.kind == "counter" else None
        if key:
            found[key] = found.get(key, 0.0) + reading.value
    return found


def _counts(name: str, said: set[str]) -> str | None:
    if TOKENS_IN.search(name) or ("token" in name and said & DIRECTION_IN):
        return "tokens_in"
    if TOKENS_OUT.search(name) or ("token" in name and said & DIRECTION_OUT):
        return "tokens_out"
    return "calls" if UPSTREAM.search(name) and CALLS.search(name) else None


def _moved(before: dict[str, float], after: dict[str, float]) -> dict[str, float | None]:
    """A counter that appears with its first event stood at 0 before."""
    if not after:
        return {}
    return {key: after.get(key, 0.0) - before.get(key, 0.0) for key in ("calls", "tokens_in", "tokens_out")}


def watched(contract: Contract, url: str, asked: Sequence[Asked]) -> list[HealthCheck]:
    """Those that an orchestrator would ask all along; none that somebody would be charged for."""
    if url.startswith("unix:"):
        return []
    paid = bool(contract.upstream and contract.upstream.paid)
    payloads = Payloads(contract, seed=1, nonce="health")
    found = []
    for one in asked:
        endpoint = contract.endpoint_named(one.endpoint)
        if one.purpose is None or endpoint is None or (paid and one.calls != 0):
            continue
        request = payloads.request(endpoint, 0)
        expected = frozenset(endpoint.expect.status) if endpoint.expect.status else None
        found.append(HealthCheck(one.endpoint, one.purpose, url.rstrip("/") + request.path, request.header, expected))
    return found
