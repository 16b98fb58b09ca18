"""A first look at a running service: its description, health, metrics and process. GET only, bounded, nothing changed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from targets import pinned
from targets.urls import base_url

DESCRIPTIONS = ("/openapi.json", "/api/openapi.json", "/api/v1/openapi.json", "/v1/openapi.json")
HEALTH = ("/health", "/healthz", "/health/ready", "/readiness", "/ready", "/livez", "/ping")
METRICS = ("/metrics",)
MOST_BYTES = 8 << 20
PATIENCE_S = 5.0
SERVERS = ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "fastapi")
APPLICATION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?|[\w./-]+\.py")


@dataclass(frozen=True)
class Look:
    """`openapi`: the parsed JSON, None where there is none. `process`: a sentence on who serves it. `why`: not reached."""

    reached: bool
    why: str = ""
    openapi: Any = None
    openapi_path: str = ""
    health: str = ""
    prometheus: str = ""
    metrics: str = ""
    port: int | None = None
    process: str = ""
    start: str = ""
    workers: int = 1


def look(base: str) -> Look:
    with pinned.client(base, PATIENCE_S) as client:
        try:
            found, path = _description(client)
        except httpx.TransportError as error:
            return Look(False, pinned.in_words(error))
        health = next((path for path in HEALTH if _answers(client, path)), "")
        prometheus, metrics = _metrics(client)
    return Look(True, "", found, path, health, prometheus, metrics, *_process(base))


def _description(client: httpx.Client) -> tuple[Any, str]:
    for number, path in enumerate(DESCRIPTIONS):
        try:
            status, body = _get(client, path)
        except httpx.TransportError:
            if number == 0:
                raise
            continue
        try:
            document = json.loads(body) if status == 200 else None
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict) and ("openapi" in document or "swagger" in document):
            return document, path
    return None, ""


def _get(client: httpx.Client, path: str) -> tuple[int, bytes]:
    """Status and body, b"" where it is over `MOST_BYTES`, packed, or takes longer than three times the patience."""
    until_s = time.monotonic() + 3 * PATIENCE_S
    with client.stream("GET", path) as response:
        try:
            return response.status_code, pinned.bounded(response, MOST_BYTES, until_s)
        except pinned.TooMuch:
            return response.status_code, b""


def _answers(client: httpx.Client, path: str) -> bool:
    try:
        return _get(client, path)[0] in (200, 204)
    except httpx.HTTPError:
        return False


def _metrics(client: httpx.Client) -> tuple[str, str]:
    from profiles.exposition import prometheus

    for path in METRICS:
        try:
            status, body = _get(client, path)
        except httpx.HTTPError:
            continue
        readings, _ = prometheus(body) if status == 200 else ([], None)
        if readings:
            return path, f"answered with {len(readings)} series"
    return "", ""


def _process(base: str) -> tuple[int | None, str, str, int]:
    """(port, who serves it, how to start one, worker processes). Of a command line only what names the application is
    told: the rest may hold secrets."""
    import psutil

    from profiles.ports import listening

    found = listening(base)
    if not found.roots:
        return None, found.why_not or "", "", 1
    parts = base_url(base)
    root = found.roots[0]
    try:
        process = psutil.Process(root)
        words, workers = process.cmdline(), max(1, _workers(process))
    except psutil.Error:
        words, workers = [], 1
    command = _command(words)
    said = (" ".join(command) or f"pid {root}") + (f", {workers} workers" if workers > 1 else "")
    return parts.port or 80, found.note or said, _start(command), workers


def _workers(process: Any) -> int:
    """Children that serve: those that uvicorn and gunicorn fork or spawn, without multiprocessing's own helpers."""
    own = [child for child in process.children() if "resource_tracker" not in " ".join(child.cmdline())]
    names = {child.name() for child in own}
    return len(own) if len(names) == 1 and names == {process.name()} else 1


def _command(words: Sequence[str]) -> list[str]:
    """`uvicorn app:app`, `python service.py`: the program and its application, nothing else of the command line."""
    names = [Path(word).name for word in words]
    server = next((name for name in names if name in SERVERS), "")
    after = words[names.index(server) + 1 :] if server else words[1:]
    application = next((word for word in after if APPLICATION.fullmatch(word) and Path(word).name not in SERVERS), "")
    program = server or (names[0] if names else "")
    verb = ["run"] if server == "fastapi" else []
    return [word for word in [program, *verb, application] if word]


def _start(command: Sequence[str]) -> str:
    if len(command) < 2 or command[0] not in ("uvicorn", "gunicorn", "fastapi", "hypercorn", "granian"):
        return ""
    if command[0] in ("gunicorn", "hypercorn"):
        worker = " -k uvicorn.workers.UvicornWorker" if command[0] == "gunicorn" else ""
        return f"{' '.join(command)}{worker} --bind 127.0.0.1:{{port}} --workers {{workers}}"
    return f"{' '.join(command)} --port {{port}} --workers {{workers}}"
