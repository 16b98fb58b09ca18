"""Arrival times from a file: JSONL or CSV with a timestamp per arrival, as `plimsoll workload` writes and traces come."""

import csv
import json
from datetime import datetime
from math import isfinite
from pathlib import Path

from measurements.errors import UsageError

KEYS = ("at_s", "timestamp", "TIMESTAMP", "Timestamp", "time", "ts")


def read_times(path: Path, speed: float = 1.0) -> list[float]:
    """Seconds from the first arrival, ascending, divided by `speed`.

    JSON lines or CSV with a header; the column is one of at_s, timestamp, TIMESTAMP, Timestamp, time, ts. Integers
    under `timestamp` in JSON lines are milliseconds (Mooncake); ISO 8601 dates are taken too (Azure LLM traces).
    """
    times: list[float] = []
    with path.open(encoding="utf-8", newline="") as file:
        rows = map(json.loads, filter(str.strip, file)) if path.suffix in (".jsonl", ".json") else csv.DictReader(file)
        try:
            for row in rows:
                key = next(key for key in KEYS if key in row)
                times.append(_finite(_seconds(row[key], key, path)))
        except StopIteration:
            raise UsageError(
                f"{path}: a row has none of the columns {', '.join(KEYS)}; name the arrival time so"
            ) from None
        except (ValueError, TypeError) as error:
            raise UsageError(f"{path}: line {len(times) + 1} holds no usable timestamp ({error})") from error
    if not times:
        raise UsageError(f"{path} holds no arrivals; give a file with one timestamp per line")
    times.sort()
    return [(at - times[0]) / speed for at in times]


def _finite(seconds: float) -> float:
    if not isfinite(seconds):
        raise ValueError(f"{seconds} is no time")
    return seconds


def _seconds(value: object, key: str, path: Path) -> float:
    if isinstance(value, int | float):
        return (
            value / 1000 if key == "timestamp" and path.suffix == ".jsonl" and isinstance(value, int) else float(value)
        )
    text = str(value)
    try:
        return float(text)
    except ValueError:
        if "." in text:  # Azure writes seven digits of a second; datetime takes six
            head, _, fractional = text.partition(".")
            text = f"{head}.{fractional[:6]}"
        return datetime.fromisoformat(text).timestamp()
