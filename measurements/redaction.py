"""Secrets are cut out of whatever is written: known values in every form that they travel in, and what looks like one."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from html import escape
from urllib.parse import quote, quote_plus

import pyarrow as pa

CREDENTIAL = re.compile(
    r"(?i)\b(?=[abpst])((?:(?:api[-_]?key|token|secret|password|authorization)\"?\s*[:=]\s*\"?)?(?:bearer\s+|basic\s+)"
    r"|(?:api[-_]?key|token|secret|password|authorization)\"?\s*[:=]\s*\"?)[^\s\",}&]{4,}"
)
CREDENTIAL_WORDS = ("bearer", "basic", "key", "token", "secret", "password", "authorization")
SECRET_VARIABLE = re.compile(r"(?i)(key|token|secret|password|passwd|credential)s?$")
FEW = 50
SHORTEST, SHORTEST_OF_ENVIRONMENT = 4, 12  # a password like "postgres" would blank the word everywhere


class Redactor:
    """Cuts known secret values, also as URLs, JSON, HTML and Basic carry them, and whatever looks like a credential."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._secrets = sorted(forms, key=len, reverse=True)
        self._longest = max(map(len, forms), default=0)
        # there may be thousands of clients' tokens: only those whose beginning occurs are tried
        self._begin: dict[str, list[str]] = {}
        for form in forms:
            self._begin.setdefault(form[:SHORTEST], []).append(form)

    def __call__(self, text: str) -> str:
        text = self.known(text)
        # most texts have none of the pattern's words, and looking for those takes a tenth of it
        folded = text.casefold()
        return CREDENTIAL.sub(r"\1***", text) if any(word in folded for word in CREDENTIAL_WORDS) else text

    def known(self, text: str) -> str:
        """Only the values that are known: a document stays the document that it is."""
        for secret in self._occurring(text) if len(self._secrets) > FEW else self._secrets:
            text = text.replace(secret, "***")
        return text

    def _occurring(self, text: str) -> list[str]:
        """Those of which at least the beginning occurs, the longest first."""
        places = {text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)}
        begun = [secret for beginning in places & self._begin.keys() for secret in self._begin[beginning]]
        return sorted(begun, key=len, reverse=True)

    def beginning(self, body: bytes, most_bytes: int) -> str:
        """The first bytes as text; a secret that the cut would halve goes too."""
        text = self(body[:most_bytes].decode("utf-8", "replace"))
        for at in range(max(0, len(text) - self._longest + 1), len(text) - SHORTEST + 1):
            if any(secret.startswith(text[at:]) for secret in self._begin.get(text[at : at + SHORTEST], ())):
                return f"{text[:at]}***"
        return text


def of_environment(environment: Mapping[str, str] | None = None) -> list[str]:
    """Values of variables that are named like secrets (API_KEY, DB_PASSWORD): a locustfile may send them anywhere."""
    found = os.environ if environment is None else environment
    return [
        value
        for name, value in found.items()
        if SECRET_VARIABLE.search(name) and len(value) >= SHORTEST_OF_ENVIRONMENT and not value.startswith("/")
    ]


def redacted(table: pa.Table, redact: Callable[[str], str]) -> pa.Table:
    """The table with every text of its dictionary columns redacted; each differing text is looked at once."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(place).unify_dictionaries()
            chunks = [
                pa.DictionaryArray.from_arrays(
                    chunk.indices, pa.array(map(redact, chunk.dictionary.to_pylist()), pa.string())
                )
                for chunk in column.chunks
            ]
            table = table.set_column(place, field, pa.chunked_array(chunks, field.type))
    return table


def _forms(secret: str) -> set[str]:
    return {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        escape(secret),
        b64encode(secret.encode()).decode(),
    }
