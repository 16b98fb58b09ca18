"""Access logs as JSON lines: nginx, Caddy, Traefik, pino-http, structlog and whoever names the keys alike.

A key is looked for as it is written here, and with a dot as an object in an object. The first that a line has counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from targets.workload.columns import KEPT_EXAMPLES, NO_TIME, Columns, Skipped, arrived_us, skipped_line
from targets.workload.moments import Moment, any_moment
from targets.workload.nginx import nothing

STARTED = ("StartUTC", "start_time", "started_at")  # when the request came; every other time is when it was logged
TIME = (
    *STARTED, "@timestamp", "timestamp", "time", "ts", "time_iso8601", "time_local", "datetime", "date", "asctime",
    "msec",
)  # fmt: skip
METHOD = (
    "method", "request_method", "http_method", "verb", "RequestMethod", "request.method", "req.method",
    "http.request.method", "http.method",
)  # fmt: skip
PATH = (
    "path", "uri", "request_uri", "request_path", "RequestPath", "http_path", "url", "request.uri", "request.path",
    "request.url", "req.url", "url.path", "http.target", "http.url", "endpoint",
)  # fmt: skip
REQUEST = ("request", "request_line")  # "GET /path HTTP/1.1", where no key holds the path alone
STATUS = (
    "status", "status_code", "statusCode", "http_status", "response_status", "DownstreamStatus", "res.statusCode",
    "response.status", "response.status_code", "http.response.status_code", "http.status_code", "code",
)  # fmt: skip
DURATION_S = {  # key: what one of its unit is in seconds; a text may carry its own unit ("12ms")
    **dict.fromkeys(("request_time", "duration", "duration_s", "duration_seconds", "latency", "latency_s"), 1.0),
    **dict.fromkeys(("response_time", "elapsed", "elapsed_s", "process_time", "upstream_response_time"), 1.0),
    **dict.fromkeys(("duration_ms", "latency_ms", "response_time_ms", "request_time_ms", "elapsed_ms"), 1e-3),
    **dict.fromkeys(("process_time_ms", "took_ms", "responseTime"), 1e-3),
    **dict.fromkeys(("duration_us", "latency_us"), 1e-6),
    **dict.fromkeys(("duration_ns", "latency_ns", "Duration"), 1e-9),
}
UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "": 0.0}
WITH_UNIT = re.compile(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*(ns|us|µs|μs|ms|s|)\s*", re.ASCII)
LONGEST_S = 604_800.0
CACHED_BYTES = 8_192  # keys of longer lines are looked up anew: what is kept stays small

Get = Callable[[dict[str, Any]], Any]


def read(block: bytes, header: tuple[str, ...] = ()) -> Columns:
    """Columns of a block of whole lines; a line without path or status is skipped, one without method is a GET."""
    heads: list[bytes] = []
    statuses: list[int] = []
    moments: list[Moment] = []
    durations: list[float] = []
    started = False
    number, skipped, examples = 1, 0, list[Skipped]()
    for number, line in enumerate(block.split(b"\n"), 1):
        if not line or line.isspace():
            continue
        try:
            row = orjson.loads(line)
            named = tuple(row), tuple(k for k, v in row.items() if type(v) is dict)
            keys = _keys(*named) if len(line) < CACHED_BYTES else _Keys(*named)
            head, status = _head(row, keys), _status(keys.status(row))
        except (ValueError, TypeError, AttributeError) as error:
            skipped += 1
            if len(examples) < KEPT_EXAMPLES:
                examples.append(skipped_line(number, _reason(error), line))
            continue
        heads.append(head)
        statuses.append(status)
        moments.append(_moment(keys.time(row)))
        durations.append(_duration_s(keys.duration(row), keys.duration_unit_s))
        started = started or keys.started
    if not heads:
        return nothing(number - 1, skipped, examples)
    at_us = np.fromiter((moment[0] for moment in moments), np.int64, len(moments))
    duration_s = np.array(durations)
    return Columns(
        number - 1,
        len(heads) + skipped,
        heads,
        np.array(statuses, np.int16),
        at_us if started else arrived_us(at_us, duration_s),
        np.fromiter((moment[1] for moment in moments), np.int32, len(moments)),
        duration_s,
        finer_than_s=bool(((at_us % 1_000_000 != 0) & (at_us != NO_TIME)).any()),
        skipped=skipped,
        examples=examples,
    )


class _Keys:
    """How to get at time, method, path, status and duration of an object with these keys."""

    def __init__(self, flat: tuple[str, ...], objects: tuple[str, ...]) -> None:
        plain, nests = set(flat) - set(objects), set(objects)

        def first(names: tuple[str, ...]) -> str | None:
            return next((n for n in names if n in plain or ("." in n and n.split(".")[0] in nests)), None)

        time = first(TIME)
        self.started = time in STARTED
        self.time = _get(time)
        self.status = _get(first(STATUS))
        self.method = [_get(name) for name in METHOD if first((name,))]
        self.path = [_get(name) for name in PATH if first((name,))]
        self.request = _get(first(REQUEST))
        duration = first(tuple(DURATION_S))
        self.duration = _get(duration)
        self.duration_unit_s = DURATION_S[duration] if duration else 0.0


@lru_cache(1024)
def _keys(flat: tuple[str, ...], objects: tuple[str, ...]) -> _Keys:
    return _Keys(flat, objects)


def _get(name: str | None) -> Get:
    if name is None:
        return lambda row: None
    if "." not in name:
        return lambda row: row.get(name)
    parts = name.split(".")

    def nested(row: Any) -> Any:
        if name in row:
            return row[name]
        for part in parts:
            row = row.get(part) if type(row) is dict else None
        return row

    return nested


def _head(row: dict[str, Any], keys: _Keys) -> bytes:
    path = next((p for get in keys.path if isinstance(p := get(row), str)), None)
    if path is None:
        request = keys.request(row)
        if not isinstance(request, str):
            raise ValueError("no path")
        method, _, path = request.partition(" ")
        path = path.rpartition(" HTTP/")[0] or path
    else:
        method = next((m for get in keys.method if isinstance(m := get(row), str)), "GET")
    head = f"{method} {path.partition('?')[0]}"
    return head.replace("\n", "%0A").encode("utf-8", "replace")


def _status(value: Any) -> int:
    status = int(value)
    if not 0 <= status <= 999:
        raise ValueError("no status")
    return status


def _moment(value: Any) -> Moment:
    try:
        return any_moment(value)
    except (ValueError, OverflowError):
        return NO_TIME, 0


def _duration_s(value: Any, unit_s: float) -> float:
    if isinstance(value, str):
        match = WITH_UNIT.fullmatch(value)
        if match is None:
            return np.nan
        value, unit_s = float(match[1]), UNITS_S[match[2]] or unit_s
    if isinstance(value, bool) or not isinstance(value, int | float):
        return np.nan
    return value * unit_s if 0 <= value * unit_s <= LONGEST_S else np.nan


def _reason(error: Exception) -> str:
    if isinstance(error, orjson.JSONDecodeError):
        return "not JSON"
    return "no path" if "no path" in str(error) else "no status" if isinstance(error, ValueError) else "no request"
