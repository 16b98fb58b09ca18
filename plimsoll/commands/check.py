"""plimsoll check: what will happen, before it happens."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import httpx

from loadtests.bounds import MAX_BODY_BYTES
from loadtests.judge import Judge
from measurements.errors import Exit, TargetUnreachable, UsageError
from measurements.plain import plain
from measurements.redaction import Redactor, of_environment
from measurements.sample import Outcome
from plimsoll import ahead, permission
from targets import clients, pinned
from targets.contract import Contract, Endpoint
from targets.contract_file import load, secret_values
from targets.payload import Payloads
from targets.urls import resolve

MOST_SAID = 200


def check(path: Path, as_json: bool, rate_rps: float | None = None, duration_s: float | None = None) -> None:
    if rate_rps is not None and not 0 < rate_rps <= 1_000_000:
        raise UsageError(f"--rate {rate_rps:g}: give a rate above 0 and up to 1,000,000 per second")
    if duration_s is not None and not 0 < duration_s <= 604_800:
        raise UsageError(f"--duration {duration_s:g}: give seconds above 0 and up to a week")
    contract = load(path)
    document: dict[str, Any] = {"contract": str(path), "target": contract.target.name, "problems": [], "notes": []}
    for url in contract.target.base_urls:
        permission.check(url, resolve(url), 0.0)
    document["endpoints"] = _ask_each(contract, document)
    document["watched"] = ahead.watched(contract)
    document["machine"] = ahead.machine()
    document["limits"] = _limits(contract, document, rate_rps)
    document["run"] = ahead.run(contract, duration_s, rate_rps)
    requests = document["run"]["requests"] or 1000
    estimate, note = ahead.cost(contract, requests)
    document["estimate"] = {
        "requests": requests,
        "sentence": estimate or None,
        "priced": contract.upstream is not None,
    }
    document["notes"] += [note] if note else []
    print(json.dumps(document, ensure_ascii=False) if as_json else "\n".join(_lines(document)))
    raise SystemExit(int(Exit.SLO_MISSED if document["problems"] else Exit.OK))


def _ask_each(contract: Contract, document: dict[str, Any]) -> list[dict[str, Any]]:
    """One request per enabled endpoint and replica, judged as a run would."""
    payloads = Payloads(contract, seed=int(time.time()), nonce=f"c{os.getpid():x}")
    found = []
    for url in contract.target.base_urls:
        with pinned.client(url, 30.0, contract.target.verify_tls) as client:
            for number, endpoint in enumerate(contract.endpoint):
                if endpoint.enabled:
                    entry = _ask(client, endpoint, payloads, number, url, contract)
                    found.append(entry)
                    document["notes"] += [note] if (note := _streamed(endpoint, entry)) else []
                    if entry["problem"]:
                        document["problems"].append(f"{endpoint.name}: {entry['problem']}")
    return found


def _ask(
    client: httpx.Client, endpoint: Endpoint, payloads: Payloads, number: int, url: str, contract: Contract
) -> dict[str, Any]:
    request = payloads.request(endpoint, number)
    began = time.perf_counter()
    try:
        with client.stream(
            request.method, request.path, headers=request.header, content=request.body, timeout=endpoint.timeout_s
        ) as answer:
            body = pinned.bounded(answer, MAX_BODY_BYTES, time.monotonic() + endpoint.timeout_s)
    except httpx.ConnectError as error:
        start = ", or let a run start it: plimsoll run … --start" if contract.target.control else ""
        raise TargetUnreachable(
            f"{url} does not answer ({pinned.in_words(error)}); start the service{start}"
        ) from error
    except pinned.TooMuch as error:
        return _entry(endpoint, url, answer.status_code, began, str(error))
    except httpx.HTTPError as error:
        timed_out = isinstance(error, httpx.TimeoutException)
        why = f"no answer within {endpoint.timeout_s:g} s" if timed_out else f"no answer: {pinned.in_words(error)}"
        return _entry(endpoint, url, None, began, why)
    tokens = body.count(b"data:") if endpoint.stream else 0
    outcome, why = Judge(endpoint.expect)(answer.status_code, b"", [body], tokens)
    if answer.next_request is not None or answer.is_redirect:
        why = f"redirects to {answer.headers.get('location', '?')}, which is not followed to another host"
    problem = "" if outcome is Outcome.ok else why
    if outcome is Outcome.rejected:
        problem = f"{why}: a limit refused already this one request; wait, or spread the load with [users] identities"
    if problem and answer.status_code >= 400:
        problem += _what_it_says(body, contract)
    entry = _entry(endpoint, url, answer.status_code, began, problem, answer.headers.get("server", ""))
    return entry | {"content_type": answer.headers.get("content-type", "")[:80]}


def _what_it_says(body: bytes, contract: Contract) -> str:
    """The service's own words about what is wrong, without secrets and on one line; FastAPI names the field."""
    redact = Redactor([*secret_values(contract), *of_environment()])
    said = " ".join(plain(redact.beginning(body, MOST_SAID)).split())[:MOST_SAID]
    return f": {said}" if said and not said.startswith("<") else ""


def _streamed(endpoint: Endpoint, entry: dict[str, Any]) -> str:
    """What a description cannot tell: FastAPI's streams are in none."""
    if endpoint.stream or not str(entry.get("content_type", "")).startswith("text/event-stream"):
        return ""
    return f'{endpoint.name} answers with a stream of events: add stream = "sse" to its [[endpoint]], and its tokens are timed too'


def _entry(
    endpoint: Endpoint, url: str, status: int | None, began: float, problem: str, server: str = ""
) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "url": f"{url}{endpoint.path}",
        "method": endpoint.method,
        "status": status,
        "ms": (time.perf_counter() - began) * 1000,
        "weight": endpoint.weight,
        "server": server[:80],
        "problem": problem,
    }


def _limits(contract: Contract, document: dict[str, Any], rate_rps: float | None) -> list[str]:
    """Each stated limit, how many clients it needs, and why the load cannot come as so many where it cannot."""
    limits = contract.limits
    front = _front(contract, document["endpoints"])
    spread = clients.spread(contract, front)
    found = [clients.sentence(contract, rate, spread, rate_rps) for rate in limits.per_client]
    for name, queue in limits.queue.items():
        found.append(
            f"queue {name}: {queue.max_concurrent} at a time, {queue.max_queue_size} waiting, {queue.timeout_s:g} s each"
        )
    if limits.database:
        pool, most = limits.database.pool_size, limits.database.max_connections
        found.append(
            f"database: a pool of {pool} connections per process, {most} in all ({limits.database.reserved} reserved)"
        )
    if limits.front:
        stated = f"{limits.front.rate}, burst {limits.front.burst}, on {limits.front.paths}"
        seen = {True: "", False: "; it does not stand in front here", None: "; whether it stands in front was not seen"}
        found.append(f"{limits.front.proxy} in front: {stated}{seen[front]}")
    return found


def _front(contract: Contract, endpoints: list[dict[str, Any]]) -> bool | None:
    """Whether the answers are signed by the contract's proxy."""
    servers = [entry["server"].lower() for entry in endpoints if entry["server"]]
    if contract.limits.front is None or not servers:
        return None
    return any(server.startswith(contract.limits.front.proxy.lower()) for server in servers)


def _lines(document: dict[str, Any]) -> list[str]:
    lines = [f"{document['target']} ({document['contract']})"]
    total = sum(entry["weight"] for entry in document["endpoints"]) or 1
    for entry in document["endpoints"]:
        mark = "ok  " if not entry["problem"] else "FAIL"
        status = entry["status"] if entry["status"] is not None else "-"
        asked = f"{entry['name']:<12} {entry['method']:<5} {entry['url']}"
        share = f"{entry['weight'] / total:.0%} of the load" if entry["weight"] else "not loaded"
        lines.append(f"  {mark}  {asked}  {status}  {entry['ms']:.0f} ms  {entry['problem'] or share}")
    lines += [f"  limit: {sentence}" for sentence in document["limits"]]
    machine, run = document["machine"], document["run"]
    bounds = f"{machine['open_files']:,} open files, {machine['local_ports']:,} local ports"
    lines.append(f"  watched: {document['watched']}")
    lines.append(f"  this machine: {machine['cores']} cores, {bounds}: {machine['most_in_flight']:,} requests at once")
    lines.append(f"  a run: {ahead.run_sentence(run, machine['most_in_flight'])}")
    if document["estimate"]["sentence"] and (run["requests"] or document["estimate"]["priced"]):
        of = "this run" if run["requests"] else "per 1,000 requests"
        lines.append(f"  {of}: {document['estimate']['sentence']}")
    lines += [f"  note: {note}" for note in document["notes"]]
    mend = f"correct the endpoint or the service, then: plimsoll check {document['contract']}"
    lines.append(f"{len(document['problems'])} problem(s); {mend}" if document["problems"] else "ready to run")
    return lines
