"""plimsoll serve"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
from collections.abc import Mapping
from types import ModuleType

from measurements.errors import UsageError
from targets.urls import base_url

NAMES = ("kakao", "alaw", "encar", "saju", "llm")


def serve(name: str, port: int, workers: int, words: Mapping[str, object], settings: list[str]) -> None:
    """Hands over to the service's own `serve`, with those of our words that it knows."""
    module = _service(name)
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port {port}: ports are 1 to 65535, and 0 takes a free one")
    if words.get("upstream"):
        _url(str(words["upstream"]))
    accepted = inspect.signature(module.serve).parameters
    words = {**words, "options": dict(_pair(text) for text in settings)}
    given = {key: value for key, value in words.items() if value or (value == 0.0 and value is not False)}
    unknown = [key.replace("_", "-") for key in given if key not in accepted]
    if unknown:
        raise UsageError(f"{name} takes no --{unknown[0]}; leave it out")
    try:
        module.serve(port, workers, **given)
    except ModuleNotFoundError as error:
        raise _missing(name, error) from error


def _url(upstream: str) -> None:
    try:
        base_url(upstream)
    except ValueError as error:
        raise UsageError(f"--upstream: {error}") from None


def show(name: str, listed: bool, as_json: bool) -> None:
    """What --set can change, with the value that it has if nobody does; then the traps that are built in."""
    if not listed:
        raise UsageError("a service that runs has no result document: --json goes with --list")
    module = _service(name)
    try:
        from targets.reference.listing import settings_of

        rows = settings_of(name)
    except ModuleNotFoundError as error:
        raise _missing(name, error) from error
    traps: Mapping[str, str] = getattr(module, "TRAPS", {})
    if as_json:
        settings = [{"name": row[0], "value": row[1], "meaning": row[2]} for row in rows]
        print(json.dumps({"service": name, "settings": settings, "traps": dict(traps)}, ensure_ascii=False))
        return
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    print(f"plimsoll serve {name} --set NAME=VALUE")
    for row in rows:
        print(f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip())
    if traps:
        print("\nTraps, as its team has them; --set NAME=false switches one off:")
    for trap, text in traps.items():
        print(f"  {trap}: {text}")


def _service(name: str) -> ModuleType:
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UsageError(f"there is no service {name!r}; there are {', '.join(NAMES)}{hint}")
    try:
        return importlib.import_module(f"targets.reference.{name}")
    except ModuleNotFoundError as error:
        raise _missing(name, error) from error


def _missing(name: str, error: ModuleNotFoundError) -> UsageError:
    return UsageError(
        f"{name} needs {error.name}, which is not installed; install the reference services with: "
        "uv tool install '.[reference]' in the repository's folder (in a clone: make setup)"
    )


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {text}: write NAME=VALUE")
    return key, value
