"""Access logs as JSON lines: nginx, Caddy, Traefik, pino-http, structlog and whoever names the keys alike.

A key is looked for as it is written here, and with a dot as an object in an object. The first that a line has counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
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
MOST_PLANS = 1_000
REMEMBERED_BYTES = 8_192  # the keys of longer lines are looked up anew: what is remembered stays small
QUERY = re.compile(rb"\?[^\n]*+")

Getter = Callable[[dict[str, Any]], Any]


class _Keys:
    """Where objects with these keys have time, method, path, status and duration.

    `path`, `method`, `status`, `time` and `duration` are keys of the object itself, None where there is none such; the
    getters also find what lies deeper, and are asked where the key's value is of the wrong type.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        have = set(keys)

        def found(names: Iterable[str]) -> list[str]:
            return [name for name in names if name in have or ("." in name and name.split(".")[0] in have)]

        paths, methods, statuses, times, durations = map(found, (PATH, METHOD, STATUS, TIME, DURATION_S))
        self.path, self.method, self.status, self.time, self.duration = (
            next((name for name in names[:1] if name in have), None)
            for names in (paths, methods, statuses, times, durations)
        )
        self.paths, self.methods, self.statuses = (
            [_getter(name) for name in names] for names in (paths, methods, statuses)
        )
        self.requests = [_getter(name) for name in found(REQUEST)]
        self.started = self.time in STARTED
        self.unit_s = DURATION_S[self.duration] if self.duration else 0.0


def _getter(name: str) -> Getter:
    parts = name.split(".")

    def nested(row: Any) -> Any:
        if name in row:
            return row[name]
        for part in parts:
            row = row.get(part) if type(row) is dict else None
        return row

    return nested


class _Plans:
    """`_Keys` by the keys of an object, remembered within bounds."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], _Keys] = {}

    def of(self, names: tuple[str, ...], size: int) -> _Keys:
        keys = self._known.get(names)
        if keys is None:
            keys = _Keys(names)
            if len(self._known) < MOST_PLANS and size < REMEMBERED_BYTES:
                self._known[names] = keys
        return keys


_PLANS = _Plans()


def read(block: bytes, header: tuple[str, ...] = ()) -> Columns:
    """Columns of a block of whole lines; a line without path or status is skipped, one without method is a GET."""
    heads, statuses, moments, durations = list[str](), list[int](), list[Moment](), list[float]()
    started, skipped, examples = False, 0, list[Skipped]()
    number, plans = 1, _PLANS
    for number, line in enumerate(block.split(b"\n"), 1):
        if not line or line.isspace():
            continue
        try:
            row = orjson.loads(line)
            keys = plans.of(tuple(row), len(line))
            path, status = row.get(keys.path), row.get(keys.status)
            head = (
                f"{method} {path}"
                if type(path) is str and type(method := row.get(keys.method)) is str
                else _head(row, keys)
            )
            status = status if type(status) is int and 0 <= status <= 999 else _status(row, keys)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            skipped += 1
            if len(examples) < KEPT_EXAMPLES:
                examples.append(skipped_line(number, _reason(error), line))
            continue
        heads.append(head)
        statuses.append(status)
        moments.append(_moment(row.get(keys.time)))
        took = row.get(keys.duration)
        durations.append(took * keys.unit_s if type(took) is float else _duration_s(took, keys.unit_s))
        started = started or keys.started
    if not heads:
        return nothing(number - 1, skipped, examples)
    at_us, offset_s = np.array(moments, np.int64).T
    duration_s = np.array(durations)
    duration_s[~((duration_s >= 0) & (duration_s <= LONGEST_S))] = np.nan
    return Columns(
        number - 1,
        len(heads) + skipped,
        _without_queries(heads),
        np.array(statuses, np.int16),
        at_us if started else arrived_us(at_us, duration_s),
        offset_s.astype(np.int32),
        duration_s,
        finer_than_s=bool(((at_us % 1_000_000 != 0) & (at_us != NO_TIME)).any()),
        skipped=skipped,
        examples=examples,
    )


def _without_queries(heads: list[str]) -> list[bytes]:
    """ "METHOD /path?query" to b"METHOD /path", without line breaks."""
    whole = "\n".join(heads).encode("utf-8", "replace")
    if whole.count(b"\n") != len(heads) - 1:
        whole = "\n".join(head.replace("\n", "%0A") for head in heads).encode("utf-8", "replace")
    return QUERY.sub(b"", whole).split(b"\n")


def _head(row: dict[str, Any], keys: _Keys) -> str:
    path = next((p for get in keys.paths if isinstance(p := get(row), str)), None)
    if path is not None:
        method = next((m for get in keys.methods if isinstance(m := get(row), str)), "GET")
        return f"{method} {path}"
    request = next((r for get in keys.requests if isinstance(r := get(row), str)), None)
    if request is None:
        raise ValueError("no path")
    return request.rpartition(" HTTP/")[0] or request


def _status(row: dict[str, Any], keys: _Keys) -> int:
    given = next((s for get in keys.statuses if isinstance(s := get(row), int | float | str)), None)
    if given is None:
        raise ValueError("no status")
    status = int(given)
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
    return float(value) * unit_s


def _reason(error: Exception) -> str:
    if isinstance(error, orjson.JSONDecodeError):
        return "not JSON"
    return "no path" if "no path" in str(error) else "no status" if isinstance(error, ValueError) else "no request"
