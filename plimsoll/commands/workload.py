"""plimsoll workload"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from targets.workload.document import document
from targets.workload.reading import read
from targets.workload.tables import lines
from targets.workload.writing import check_out, write

EVERY_S = 5.0


def workload(logs: list[Path], out: Path | None, as_json: bool, quiet: bool) -> None:
    if out is not None:
        check_out(out, logs)
    reading = read(logs, (lambda *_: None) if quiet or as_json else progress())
    found = document(reading)
    if out is not None:
        found["written"] = write(reading, found, out)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        print("\n".join(lines(found)))


def progress() -> Callable[[int, int, int], None]:
    """On standard error: a line that is redrawn on a terminal, one every five seconds elsewhere."""
    redrawn = sys.stderr.isatty()
    began = said = time.monotonic()

    def tell(read_bytes: int, total_bytes: int, read_lines: int) -> None:
        nonlocal said
        now = time.monotonic()
        done = read_bytes >= total_bytes > 0
        if now - said < (0.2 if redrawn else EVERY_S) and not (redrawn and done):
            return
        said = now
        share = f"{read_bytes / total_bytes:4.0%}, " if total_bytes else ""
        text = f"reading: {share}{read_lines:,} lines, {read_lines / max(now - began, 1e-3):,.0f} a second"
        print(
            f"\r\x1b[2K{'' if done else text}" if redrawn else text,
            end="" if redrawn else "\n",
            file=getattr(sys.stderr, "unfiltered", sys.stderr),
            flush=True,
        )

    return tell
