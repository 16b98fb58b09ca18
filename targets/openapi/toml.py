"""JSON values as TOML, for contracts that people read and edit."""

from __future__ import annotations

import json
import re
from typing import Any

from measurements.plain import ACTING

BARE = re.compile(r"[A-Za-z0-9_-]+")


def value(given: Any) -> str:
    """One line; a table is written inline. None has no place in TOML and must not come here."""
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, str):
        return ACTING.sub(lambda found: f"\\U{ord(found[0]):08x}", json.dumps(given, ensure_ascii=False))
    if isinstance(given, dict):
        inner = ", ".join(f"{key(name)} = {value(one)}" for name, one in given.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(given, list):
        return f"[{', '.join(map(value, given))}]"
    return json.dumps(given)


def key(name: str) -> str:
    return name if BARE.fullmatch(name) else value(name)


def assigned(name: str, given: Any, comment: str = "") -> str:
    """`name = value`, the comment where it stands under the ones above."""
    line = f"{key(name)} = {value(given)}"
    return f"{line:<40}  # {comment}" if comment else line


def off(lines: list[str]) -> list[str]:
    """Commented out: without the "# " they are what they were."""
    return [f"# {line}".rstrip() for line in lines]
