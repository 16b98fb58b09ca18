"""The reports' words: TOML files per language (templates/*_en.toml), the same keys in each (a test compares them)."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from measurements.errors import UsageError

LANGUAGES = ("en", "ko")


@cache
def _texts(lang: str) -> dict[str, str]:
    if lang not in LANGUAGES:
        raise UsageError(f"there is no report in language {lang!r}; choose one of: {', '.join(LANGUAGES)}")
    sources = [f for f in files("reports").joinpath("templates").iterdir() if f.name.endswith(f"_{lang}.toml")]
    return {k: v for f in sources for k, v in _flat(tomllib.loads(f.read_text(encoding="utf-8")), "")}


def _flat(table: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in table.items():
        pairs += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, str(value))]
    return pairs


class Words:
    """`words("verdict.invalid", name=…)` is the sentence in that language; a missing key is a programming error."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self._texts = _texts(lang)

    def __call__(self, key: str, **fields: Any) -> str:
        return self._texts[key].format(**fields)

    def known(self, section: str, name: str) -> str:
        """The word for a name from a document (an outcome, a role, a field), or the name itself, made readable."""
        return self._texts.get(f"{section}.{name}", name.replace("_", " "))

    def keys(self) -> set[str]:
        return set(self._texts)
