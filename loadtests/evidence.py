"""What stands behind "2 % failed": texts of errors, the first five examples of each outcome, the ten slowest.

Written as JSON lines while the run goes on, so that a killed process leaves them; secrets are cut out of every excerpt.
"""

from __future__ import annotations

import heapq
import json
import re
from pathlib import Path
from typing import IO, Any
from zlib import crc32

from measurements.plain import plain
from measurements.redaction import Redactor
from measurements.sample import OUTCOMES

FIRST, SLOWEST, EXCERPT_BYTES, MAX_ERRORS = 5, 10, 2_048, 1_000
LONGEST_ERROR = 4_096
MORE = "(more kinds of errors)"
VOLATILE = re.compile(r"(\bstatus \d{3}\b)|0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8,}\b|\d+")


class Evidence:
    """`error` gives an id for a text; `wants` is asked on the hot path, `example` only when it said yes.

    Of the slowest, which are many as long as answers get slower, a body is looked at for secrets when all is over:
    meanwhile the requests of other users would wait for it.
    """

    def __init__(self, errors: Path, examples: Path, redact: Redactor) -> None:
        self.redact = redact
        self._errors_path, self._examples_path = errors, examples
        self._errors_file: IO[bytes] | None = None
        self._examples_file: IO[bytes] | None = None
        self._ids: dict[str, int] = {}
        self._kinds: set[int] = set()
        self.first = [FIRST] * len(OUTCOMES)
        self.slow_ns = -1
        self._slowest: list[tuple[int, int, int, int, dict[str, Any], bytes]] = []

    def error(self, text: str) -> int:
        """The fingerprint of an error: numbers and addresses in the text do not tell errors apart."""
        known = self._ids.get(text)
        if known is not None:
            return known
        excerpt = self.redact(plain(text[:LONGEST_ERROR]))
        pattern = VOLATILE.sub(lambda found: found.group(1) or "#", excerpt)
        found = _fingerprint(pattern)
        if found not in self._kinds and len(self._kinds) >= MAX_ERRORS:
            pattern, found = MORE, _fingerprint(MORE)
        if found not in self._kinds:
            self._kinds.add(found)
            line = {"error_id": found, "pattern": pattern[:EXCERPT_BYTES], "excerpt": excerpt[:EXCERPT_BYTES]}
            self._errors_file = _append(self._errors_file, self._errors_path, line)
        if len(self._ids) < 10 * MAX_ERRORS:
            self._ids[text] = found
        return found

    def wants(self, outcome: int, response_ns: int) -> bool:
        return response_ns > self.slow_ns or self.first[outcome] > 0

    def example(self, outcome: int, response_ns: int, document: dict[str, Any], body: bytes) -> None:
        if self.first[outcome] > 0:
            self.first[outcome] -= 1
            self._write(f"first {FIRST} {OUTCOMES[outcome]}", outcome, document, body)
        if response_ns > self.slow_ns:
            kept = body[:EXCERPT_BYTES]
            heapq.heappush(
                self._slowest, (response_ns, document["seq"], document.get("step", 0), outcome, document, kept)
            )
            if len(self._slowest) > SLOWEST:
                heapq.heappop(self._slowest)
                self.slow_ns = self._slowest[0][0]

    def _write(self, why: str, outcome: int, document: dict[str, Any], body: bytes) -> None:
        shown = {
            "why": why,
            **document,
            "outcome": OUTCOMES[outcome],
            "error": self.redact(plain(str(document.get("error", ""))[:LONGEST_ERROR])),
            "body": plain(self.redact.beginning(body, EXCERPT_BYTES))[:EXCERPT_BYTES],
        }
        self._examples_file = _append(self._examples_file, self._examples_path, shown)

    def close(self) -> None:
        for *_, outcome, document, body in sorted(self._slowest, key=lambda entry: -entry[0]):
            self._write(f"slowest {SLOWEST}", outcome, document, body)
        self._slowest.clear()
        for file in (self._errors_file, self._examples_file):
            if file is not None:
                file.close()


def _append(file: IO[bytes] | None, path: Path, document: dict[str, Any]) -> IO[bytes] | None:
    """One line, at once. A full disk or missing descriptors cost this text; the row that it belongs to has its own way to
    the disk, and says so itself where that is full."""
    try:
        file = file or path.open("ab", buffering=0)
        file.write(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    except OSError:
        pass
    return file


def _fingerprint(pattern: str) -> int:
    return crc32(pattern.encode("utf-8", "replace")) & 0x7FFFFFFF
