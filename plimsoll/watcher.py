"""What a person or a log sees while a measurement goes on."""

from __future__ import annotations

from typing import Any

from loadtests.plan import LoadPlan
from measurements.rundir import RunDirectory


class Watcher:
    """What a person or a log sees meanwhile; the default says nothing. See `plimsoll.display`."""

    redraws = False  # whether a sentence replaces the one before it

    def phase(self, sentence: str) -> None: ...
    def page(self, url: str) -> None: ...
    def begin(self, plan: LoadPlan, run: RunDirectory) -> None: ...
    def progress(self, worker: int, news: dict[str, Any]) -> None: ...
    def end(self) -> None: ...
