"""What stands behind "2 % failed": texts of errors, the first five examples of each outcome, the ten slowest.

Written as JSON lines while the run goes on, so that a killed process leaves them; secrets are cut out of every excerpt.
"""

from __future__ import annotations

import heapq
import json
import re
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, quote_plus
from zlib import crc32

from measurements.sample import OUTCOMES

FIRST, SLOWEST, EXCERPT_BYTES, MAX_ERRORS = 5, 10, 2_048, 1_000
MORE = "(more kinds of errors)"
VOLATILE = re.compile(r"(\bstatus \d{3}\b)|0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8,}\b|\d+")
CREDENTIAL = re.compile(
    r"(?i)\b((?:(?:api[-_]?key|token|secret|password|authorization)\"?\s*[:=]\s*\"?)?(?:bearer\s+|basic\s+)"
    r"|(?:api[-_]?key|token|secret|password|authorization)\"?\s*[:=]\s*\"?)[^\s\",}&]{4,}"
)
SHORTEST = 4


class Redactor:
    """Cuts known secret values, also as URLs, JSON and Basic carry them, and whatever looks like a credential."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._secrets = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return CREDENTIAL.sub(r"\1***", text)

    def beginning(self, body: bytes) -> str:
        """The first 2 KiB as text; a secret that the cut would halve goes too."""
        text = self(body[:EXCERPT_BYTES].decode("utf-8", "replace"))
        for secret in self._secrets:
            for length in range(len(secret) - 1, SHORTEST - 1, -1):
                if text.endswith(secret[:length]):
                    return f"{text[:-length]}***"
        return text


def _forms(secret: str) -> set[str]:
    return {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        b64encode(secret.encode()).decode(),
    }


class Evidence:
    """`error` gives an id for a text; `wants` is asked on the hot path, `example` only when it said yes."""

    def __init__(self, errors: Path, examples: Path, redact: Redactor) -> None:
        self._redact = redact
        self._errors_path, self._examples_path = errors, examples
        self._errors_file: IO[str] | None = None
        self._examples_file: IO[str] | None = None
        self._ids: dict[str, int] = {}
        self._kinds: set[int] = set()
        self.first = [FIRST] * len(OUTCOMES)
        self.slow_ns = -1
        self._slowest: list[tuple[int, int, dict[str, Any]]] = []

    def error(self, text: str) -> int:
        """The fingerprint of an error: numbers and addresses in the text do not tell errors apart."""
        known = self._ids.get(text)
        if known is not None:
            return known
        excerpt = self._redact(text)
        pattern = VOLATILE.sub(lambda found: found.group(1) or "#", excerpt)
        found = _fingerprint(pattern)
        if found not in self._kinds and len(self._kinds) >= MAX_ERRORS:
            pattern, found = MORE, _fingerprint(MORE)
        if found not in self._kinds:
            self._kinds.add(found)
            if self._errors_file is None:
                self._errors_file = self._errors_path.open("a", encoding="utf-8")
            line = {"error_id": found, "pattern": pattern[:EXCERPT_BYTES], "excerpt": excerpt[:EXCERPT_BYTES]}
            self._errors_file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._errors_file.flush()
        if len(self._ids) < 10 * MAX_ERRORS:
            self._ids[text] = found
        return found

    def wants(self, outcome: int, response_ns: int) -> bool:
        return response_ns > self.slow_ns or self.first[outcome] > 0

    def example(self, outcome: int, response_ns: int, document: dict[str, Any], body: bytes) -> None:
        document = {
            **document,
            "outcome": OUTCOMES[outcome],
            "body": self._redact.beginning(body),
        }
        if self.first[outcome] > 0:
            self.first[outcome] -= 1
            self._write({"why": f"first {FIRST} {OUTCOMES[outcome]}", **document})
        if response_ns > self.slow_ns:
            heapq.heappush(self._slowest, (response_ns, document["seq"], document))
            if len(self._slowest) > SLOWEST:
                heapq.heappop(self._slowest)
                self.slow_ns = self._slowest[0][0]

    def _write(self, document: dict[str, Any]) -> None:
        if self._examples_file is None:
            self._examples_file = self._examples_path.open("a", encoding="utf-8")
        self._examples_file.write(json.dumps(document, ensure_ascii=False) + "\n")
        self._examples_file.flush()

    def close(self) -> None:
        for _, _, document in sorted(self._slowest, key=lambda entry: -entry[0]):
            self._write({"why": f"slowest {SLOWEST}", **document})
        self._slowest.clear()
        for file in (self._errors_file, self._examples_file):
            if file is not None:
                file.close()


def _fingerprint(pattern: str) -> int:
    return crc32(pattern.encode("utf-8", "replace")) & 0x7FFFFFFF
