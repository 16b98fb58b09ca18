"""The rules an AlimTalk template is held to before it may be submitted: length, words, variables, buttons."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from targets.reference.kakao.corpus import PROMOTIONAL_WORDS

MAX_LENGTH = 1000
MAX_VARIABLES = 40
MAX_BUTTONS = 5
MAX_BUTTON_NAME = 14
BUTTON_TYPES = ("WL", "AL", "DS", "BK", "MD", "AC")

_VARIABLE = re.compile(r"#\{([^{}#]{1,30})\}")
_BROKEN_VARIABLE = re.compile(r"#\{[^}]*(?:$|\{)|(?<!#)\{[^{}]*\}|#\{\s*\}")
_FORBIDDEN = re.compile("|".join(re.escape(word) for word in sorted(PROMOTIONAL_WORDS, key=len, reverse=True)))
_EXCLAMATIONS = re.compile(r"[!★☆♥♡]{2,}")
_URL = re.compile(r"https?://\S+")
_LETTERS = re.compile(r"[가-힣A-Za-z]")


class Button(NamedTuple):
    name: str
    type: str
    url: str


class Check(NamedTuple):
    name: str
    passed: bool
    detail: str


def variables(text: str) -> list[str]:
    """Names of the #{…} of a template, in order, each once."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def check_template(
    text: str, buttons: Sequence[Button], required: Sequence[str], policy_texts: Sequence[str]
) -> list[Check]:
    """Every rule with its outcome. `policy_texts`: the policies that were retrieved for the request."""
    return [_length(text), _words(text), _variables(text, required), _buttons(buttons), _policies(text, policy_texts)]


def _length(text: str) -> Check:
    return Check("length", 0 < len(text) <= MAX_LENGTH, f"{len(text)} of {MAX_LENGTH} characters")


def _words(text: str) -> Check:
    found = sorted(set(_FORBIDDEN.findall(text)) | set(_EXCLAMATIONS.findall(text)))
    return Check("forbidden_words", not found, ", ".join(found) or "none")


def _variables(text: str, required: Sequence[str]) -> Check:
    names = variables(text)
    broken = _BROKEN_VARIABLE.findall(text)
    missing = [name for name in required if name not in names]
    fixed = len(_LETTERS.findall(_VARIABLE.sub("", text)))
    problems = [
        *(f"broken {found!r}" for found in broken),
        *(f"missing #{{{name}}}" for name in missing),
        *(["more than 40 variables"] if len(names) > MAX_VARIABLES else []),
        *(["hardly any fixed text"] if fixed < 10 else []),
    ]
    return Check("variables", not problems, "; ".join(problems) or f"{len(names)} variables")


def _buttons(buttons: Sequence[Button]) -> Check:
    problems = [f"more than {MAX_BUTTONS} buttons"] if len(buttons) > MAX_BUTTONS else []
    for button in buttons:
        if button.type not in BUTTON_TYPES:
            problems.append(f"type {button.type} of {button.name}")
        if not 0 < len(button.name) <= MAX_BUTTON_NAME:
            problems.append(f"name {button.name!r} is longer than {MAX_BUTTON_NAME}")
        if button.type == "WL" and not button.url.startswith("https://"):
            problems.append(f"{button.name} does not lead to https")
    return Check("buttons", not problems, "; ".join(problems) or f"{len(buttons)} buttons")


def _policies(text: str, policy_texts: Sequence[str]) -> Check:
    """A template that repeats a rule instead of following it is refused: its words cover more than 60 % of one."""
    own = _bigrams(text)
    worst = max((len(own & rule) / len(rule) for rule in map(_bigrams, policy_texts) if rule), default=0.0)
    return Check("copied_policy", worst <= 0.6, f"covers {worst:.0%} of a policy")


def _bigrams(text: str) -> set[str]:
    dense = "".join(text.split())
    return {dense[i : i + 2] for i in range(len(dense) - 1)}


def repair(text: str) -> str:
    """What the service mends itself: forbidden words, broken variables, and length (cut at a sentence's end)."""
    text = _EXCLAMATIONS.sub("!", _FORBIDDEN.sub("", text))
    text = _BROKEN_VARIABLE.sub(" ", text)
    text = _URL.sub("", text)
    if len(text) <= MAX_LENGTH:
        return text.strip()
    cut = max(text.rfind(mark, 0, MAX_LENGTH) for mark in (".", "!", "?", "\n"))
    return text[: cut + 1 if cut > MAX_LENGTH // 2 else MAX_LENGTH].strip()
