"""Readings out of what a service tells about itself: Prometheus text and JSON status, bounded."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

MOST_SERIES = 2_000  # per document
MOST_LINES = 20_000
MOST_LINE_CHARS = 8_192
MOST_NAME_CHARS = 200
MOST_LABELS_CHARS = 1_000


class Reading(NamedTuple):
    """One series at one moment; `labels` is a JSON object with sorted keys, so that equal labels are equal text."""

    name: str
    labels: str
    kind: str  # counter, gauge, histogram, summary, unknown
    value: float


def prometheus(document: bytes) -> tuple[list[Reading], str | None]:
    """Readings of a text exposition, and a sentence where some were left out or the text broke off."""
    text = document.decode("utf-8", errors="replace")
    lines = text.split("\n")
    kept = [line for line in lines[:MOST_LINES] if len(line) <= MOST_LINE_CHARS]
    wrong = None if len(kept) == len(lines) else f"{len(lines) - len(kept)} lines beyond the bounds were left out"
    readings: list[Reading] = []
    try:
        for reading in _families("\n".join(kept)):
            if len(reading.name) > MOST_NAME_CHARS or len(reading.labels) > MOST_LABELS_CHARS:
                wrong = "series with names or labels beyond the bounds were left out"
                continue
            if len(readings) == MOST_SERIES:
                return readings, f"only the first {MOST_SERIES} series are kept"
            readings.append(reading)
    except Exception as error:  # the parser raises whatever a hostile text leads it to
        wrong = f"the text is no Prometheus exposition ({type(error).__name__})"
    return readings, wrong


def _families(text: str) -> Iterator[Reading]:
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            kind = family.type
            if sample.name.endswith("_created"):
                continue  # when a series began, not what it counts
            if kind == "unknown" and sample.name.endswith("_total"):
                kind = "counter"
            labels = json.dumps(sample.labels, sort_keys=True, ensure_ascii=False) if sample.labels else "{}"
            yield Reading(sample.name, labels, kind, float(sample.value))


def status_json(document: bytes, keys: Sequence[str]) -> tuple[list[Reading], str | None]:
    """Numbers at dotted keys (`queue_stats.search.pending`, `workers.0.busy`); a sentence names what was not there."""
    try:
        root = orjson.loads(document)
    except orjson.JSONDecodeError:
        return [], "the document is no JSON"
    readings, missing = [], []
    for key in keys:
        value = _at(root, key)
        if isinstance(value, bool | int | float) and math.isfinite(value):
            readings.append(Reading(key, "{}", "gauge", float(value)))
        else:
            missing.append(key)
    return readings, f"no number at {', '.join(missing[:5])}" if missing else None


def _at(value: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and len(key) < 9 and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
