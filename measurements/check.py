"""One check of a run's validity: what was found, the limit, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OK, NOTE, INVALID = "ok", "note", "invalid"
LATENESS_MS, LATENESS_SHARE = 1.0, 0.05  # what a generator may add to a quantile: the larger of the two


@dataclass(frozen=True)
class Check:
    """`scope` is run, stage:NAME or endpoint:NAME; `sentence` says what was found, `remedy` what to do."""

    check: str
    scope: str
    state: str
    measured: float
    limit: float
    sentence: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        return self.__dict__.copy()
