"""Sentences that documents carry in English, said in the page's language.

The rooms that measure write English; their sentences are templates filled with figures. `templates/said.<lang>.toml` has
each template once more in another language. What is not in it stays English, and the page marks it so.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

HOLE = "{}"
DEEPEST = 4


@cache
def sentences(lang: str) -> dict[str, str]:
    """English template → the other language's, with its holes by number."""
    source = files("reports").joinpath("templates").joinpath(f"said.{lang}.toml")
    return tomllib.loads(source.read_text(encoding="utf-8")) if source.is_file() else {}


@cache
def _patterns(lang: str) -> list[tuple[re.Pattern[str], str]]:
    """Those with the most words of their own first: "{}: {}" would take everything."""
    ordered = sorted(sentences(lang).items(), key=lambda item: -len(item[0].replace(HOLE, "")))
    return [
        (re.compile("(.*?)".join(map(re.escape, english.split(HOLE))), re.DOTALL), said) for english, said in ordered
    ]


@cache
def said(text: str, lang: str, deep: int = 0) -> str | None:
    """None where there are no other words for it."""
    for pattern, other in _patterns(lang):
        if found := pattern.fullmatch(text):
            parts = [part if deep >= DEEPEST else said(part, lang, deep + 1) or part for part in found.groups()]
            return other.format("", *parts)
    if "; " in text:
        pieces = [said(piece, lang, deep + 1) for piece in text.split("; ")]
        if all(pieces):
            return "; ".join(piece for piece in pieces if piece)
    return None


def say(text: str, lang: str) -> str:
    """The same for a text that goes on into a sentence: it stays English where there are no other words for it."""
    return text if lang == "en" else said(text, lang) or text
