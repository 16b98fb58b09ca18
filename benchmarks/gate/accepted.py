"""Slowdowns that somebody accepted on purpose: a file beside the contract, committed with it, each entry with an end."""

from __future__ import annotations

import getpass
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from measurements.errors import UsageError

HEAD = "# Slowdowns accepted on purpose: plimsoll gate accept RUN_DIR --reason TEXT --until DATE. Commit this file.\n"
MOST_DAYS = 366


@dataclass(frozen=True)
class Accepted:
    """`up_to`: the largest ratio that is accepted, the upper end of the interval it was accepted with."""

    endpoint: str
    metric: str
    up_to: float
    until: str
    reason: str
    by: str
    run: str

    def covers(self, comparison: Mapping[str, Any]) -> bool:
        ratio = comparison.get("ratio")
        same = (self.endpoint, self.metric) == (comparison["endpoint"], comparison["metric"])
        return same and ratio is not None and ratio <= self.up_to

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def path_beside(contract: Path) -> Path:
    return contract.with_name(f"{contract.stem}.accepted.toml")


def in_force(path: Path, today: date) -> list[Accepted]:
    """Entries that have not expired; UsageError for a file that cannot be read, so that a typo never hides a slowdown."""
    return [one for one in _read(path) if date.fromisoformat(one.until) >= today]


def accept(verdict: Mapping[str, Any], path: Path, reason: str, until: str, today: date) -> list[Accepted]:
    """Adds what this verdict calls FAIL. UsageError when there is nothing to accept, or the words do not do."""
    if not reason.strip():
        raise UsageError("--reason must say why the slowdown is accepted: it is shown in every report until it expires")
    try:
        end = date.fromisoformat(until)
    except ValueError as error:
        raise UsageError(
            f"--until {until}: write a date, e.g. {today.replace(year=today.year + 1).isoformat()}"
        ) from error
    if not today <= end or (end - today).days > MOST_DAYS:
        raise UsageError(f"--until {until}: give a date from today on, at most a year ahead")
    failed = [c for c in verdict.get("comparisons", []) if c.get("verdict") == "FAIL" and c.get("ratio")]
    if not failed:
        raise UsageError(f"run {verdict.get('run')} has no slowdown to accept: its verdict is {verdict.get('verdict')}")
    new = [
        Accepted(c["endpoint"], c["metric"], round(c["ci95"][1], 4), end.isoformat(), " ".join(reason.split()),
                 getpass.getuser(), str(verdict.get("run")))
        for c in failed
    ]  # fmt: skip
    replaced = {(one.endpoint, one.metric) for one in new}
    kept = [one for one in _read(path) if (one.endpoint, one.metric) not in replaced]
    path.write_text(HEAD + "".join(_entry(one) for one in kept + new), encoding="utf-8")
    return new


def _entry(one: Accepted) -> str:
    """JSON's strings and numbers are TOML's too."""
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in one.as_json().items())
    return "\n[[accepted]]\n" + "".join(f"{line}\n" for line in lines)


def _read(path: Path) -> list[Accepted]:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("accepted", [])
        found = [Accepted(**entry) for entry in entries]
        for one in found:
            date.fromisoformat(one.until)
            float(one.up_to)
    except FileNotFoundError:
        return []
    except (OSError, tomllib.TOMLDecodeError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}); mend the entry, or write it anew with: plimsoll gate accept"
        ) from error
    return found
