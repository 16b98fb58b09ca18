"""plimsoll serve"""

from __future__ import annotations

import difflib
import importlib
import inspect

from measurements.errors import UsageError

NAMES = ("kakao", "alaw", "encar", "saju", "llm")


def serve(name: str, port: int, workers: int, upstream: str | None, front: str | None, settings: list[str]) -> None:
    """Hands over to the service's own `serve`, with those of our words that it knows."""
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UsageError(f"there is no service {name!r}; there are {', '.join(NAMES)}{hint}")
    try:
        module = importlib.import_module(f"targets.reference.{name}")
        accepted = inspect.signature(module.serve).parameters
        words = {"upstream": upstream, "front": front, "options": dict(_pair(text) for text in settings)}
        given = {key: value for key, value in words.items() if value}
        unknown = [key for key in given if key not in accepted]
        if unknown:
            raise UsageError(
                f"{name} takes no {'--set' if unknown[0] == 'options' else '--' + unknown[0]}; leave it out"
            )
        module.serve(port, workers, **given)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{name} needs {error.name}, which is not installed; install the reference services with: "
            "pip install 'plimsoll[reference]' (or make setup in a clone)"
        ) from error


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {text}: write NAME=VALUE")
    return key, value
