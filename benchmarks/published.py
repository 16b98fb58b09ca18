"""Figures on their way into a page of the documentation, with the machine and the day they were made on."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path


def written(page: Path, name: str, text: str) -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- /name -->`. ValueError where a mark is missing."""
    marks = re.compile(rf"<!-- {name} -->.*<!-- /{name} -->", re.DOTALL)
    before = page.read_text(encoding="utf-8")
    if not marks.search(before):
        raise ValueError(f"{page} has no marks <!-- {name} --> and <!-- /{name} -->")
    made = f"<!-- {name} -->\n{where()}\n\n{text}\n<!-- /{name} -->"
    page.write_text(marks.sub(lambda _: made, before), encoding="utf-8")


def between(page: Path, name: str) -> str:
    """What stands between the marks now."""
    found = re.search(rf"<!-- {name} -->(.*)<!-- /{name} -->", page.read_text(encoding="utf-8"), re.DOTALL)
    return found[1] if found else ""


def where() -> str:
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    cores = len(os.sched_getaffinity(0))
    return (
        f"Made on {datetime.now(UTC):%Y-%m-%d}, {cores} cores of {model[1] if model else platform.machine()}, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}."
    )
