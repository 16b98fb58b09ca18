"""What the emulator writes: a seeded text in the prompt's language, or a JSON document when the prompt asks for one."""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from itertools import cycle
from json.encoder import encode_basestring
from statistics import NormalDist
from typing import Any

from targets.reference.embedding import tokenize
from targets.reference.llm.parameters import Output
from targets.reference.llm.phrases import ENGLISH, KOREAN, TEMPLATES

_HANGUL = re.compile(r"[가-힣]")
_LATIN = re.compile(r"[A-Za-z]")
_ASKS_JSON = re.compile(r"(?<![A-Za-z])JSON(?![A-Za-z])", re.IGNORECASE)
_NORMAL = NormalDist()
_SUBJECT_WITHIN = 200  # characters of the prompt in which a subject is looked for
_SUBJECT = re.compile(r"[가-힣A-Za-z0-9]{2,}")
_EMPTY: dict[str, Any] = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}, "null": None}
_TEMPLATE_KEYS = ("title", "body", "buttons", "variables")


@dataclass(frozen=True)
class Ask:
    """What the text depends on; two equal asks get the same answer."""

    messages: tuple[tuple[str, str], ...]  # (role, text)
    max_tokens: int  # 0: as many as the engine's default allows
    min_tokens: int = 1
    exact_length: bool = False  # ignore_eos: exactly max_tokens
    json_keys: tuple[tuple[str, str], ...] | None = (
        None  # (key, type); (): keys by the prompt; None: if the prompt asks
    )

    @property
    def last(self) -> str:
        """The newest message of the user."""
        return next((text for role, text in reversed(self.messages) if role == "user"), self.messages[-1][1])


@dataclass(frozen=True)
class Answer:
    """`pieces`: one JSON string literal per token, quotes included, UTF-8; `cut`: max_tokens ended it."""

    pieces: list[bytes]
    cut: bool

    @property
    def literal(self) -> bytes:
        """The whole text as one JSON string literal."""
        return b'"%b"' % b"".join(piece[1:-1] for piece in self.pieces)


class Writer:
    """Draws lengths and texts from (seed, ask); keeps the stock of sentences tokenized and encoded."""

    def __init__(self, output: Output, seed: int) -> None:
        self._output, self._seed = output, seed
        self._korean = [_encode(f" {sentence}") for sentence in KOREAN]
        self._english = [_encode(f" {sentence}") for sentence in ENGLISH]

    def write(self, ask: Ask) -> Answer:
        """The answer to an ask; the same for the same seed in every process."""
        draws = hashlib.blake2b(repr((self._seed, ask)).encode()).digest()
        document = None if ask.exact_length else _document(ask)
        if document is not None:
            pieces = _encode(document)
            return Answer(pieces[: ask.max_tokens], cut=len(pieces) > ask.max_tokens)
        wanted = ask.max_tokens
        if not ask.exact_length:
            uniform = (int.from_bytes(draws[:8]) + 0.5) / 2**64
            drawn = self._output.median_tokens * math.exp(self._output.sigma * _NORMAL.inv_cdf(uniform))
            wanted = max(1, ask.min_tokens, round(drawn))
        length = min(wanted, ask.max_tokens)
        cut = wanted > ask.max_tokens or ask.exact_length
        return Answer(self._prose(ask, length, draws[8:], ends=not cut), cut)

    def _prose(self, ask: Ask, length: int, draws: bytes, ends: bool) -> list[bytes]:
        korean = is_korean(ask.last)
        subject = " ".join(_SUBJECT.findall(ask.last, 0, _SUBJECT_WITHIN)[:4])
        pieces = _encode((f"'{subject}'에 대해 말씀드리겠습니다." if korean else f"On {subject}:") if subject else "")
        stock = self._korean if korean else self._english
        for draw in cycle(draws):
            if len(pieces) >= length:
                break
            pieces += stock[draw % len(stock)]
        pieces = pieces[:length]
        if ends:
            pieces[-1] = b'"."'
        return pieces


def is_korean(text: str) -> bool:
    """Whether more than a fifth of the letters are Hangul."""
    hangul = len(_HANGUL.findall(text))
    return hangul > 0.2 * (hangul + len(_LATIN.findall(text)))


def _encode(text: str) -> list[bytes]:
    return [encode_basestring(piece).encode(errors="replace") for piece in tokenize(text)]


def _document(ask: Ask) -> str | None:
    everything = "\n".join(text for _, text in ask.messages)
    if ask.json_keys is None and not _ASKS_JSON.search(everything):
        return None
    named = tuple((key, "") for key in _TEMPLATE_KEYS if re.search(rf"(?<![A-Za-z]){key}(?![A-Za-z])", everything))
    content = _template(ask.last)
    answer = {
        key: content[key] if key in content else _EMPTY.get(kind, f"{key}: {ask.last[:40]}")
        for key, kind in ask.json_keys or named or (("answer", "string"),)
    }
    return json.dumps(answer, ensure_ascii=False)


def _template(prompt: str) -> dict[str, Any]:
    lowered = prompt.lower()
    title, body, button, variables = next(
        template for words, template in TEMPLATES if not words or any(word in lowered for word in words)
    )
    return {
        "title": title,
        "body": body,
        "buttons": [{"name": button, "type": "WL", "url": "https://example.com/#{링크}"}],
        "variables": [*variables, "링크"],
    }
