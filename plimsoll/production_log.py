"""Access logs cut into windows: how fast requests came, how many failed, how long they took, per SLO of the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from capacity.production import Window
from measurements.errors import UsageError
from targets.contract import Contract, Endpoint
from targets.workload.blocks import LogFile
from targets.workload.columns import NO_TIME
from targets.workload.formats import detect

QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99, "p99_9_ms": 0.999}
FIELD = re.compile(r"\{\{.*?\}\}")


@dataclass(frozen=True)
class Rows:
    """(n,) each: arrival in s since the epoch, index of the contract's endpoint, failed or not, seconds taken (NaN: not
    logged)."""

    at_s: np.ndarray
    endpoint: np.ndarray
    failed: np.ndarray
    duration_s: np.ndarray


def read(paths: Sequence[Path], contract: Contract, since_s: float) -> Rows:
    """Requests to the contract's loaded endpoints that came after `since_s`. UsageError for what is no access log."""
    endpoints = _loaded(contract)
    parts: list[Rows] = []
    for path in paths:
        found = None
        for block in LogFile(path).blocks():
            found = found or detect(block.data, path)
            if found is None:
                continue
            if found.trace:
                raise UsageError(f"{path} is a trace without answers; ledger observe reads access logs")
            columns = found.read(block.data)
            if columns.requests:
                parts.append(
                    _rows(columns.heads, columns.at_us, columns.status, columns.duration_s, endpoints, since_s)
                )
    if not parts:
        raise UsageError(f"{', '.join(map(str, paths))}: no line is a request")
    joined = [
        np.concatenate(columns)
        for columns in zip(*((p.at_s, p.endpoint, p.failed, p.duration_s) for p in parts), strict=True)
    ]
    return Rows(*joined)


def windows(rows: Rows, contract: Contract, window_s: float, requests_per_arrival: float) -> dict[str, list[Window]]:
    """SLO's name ("all" or an endpoint) → windows; each has the whole mix's rate in arrivals per second, and the failures
    and times of what that SLO speaks of."""
    names = [endpoint.name for endpoint, _ in _loaded(contract)]
    wanted = [name for name, slo in contract.slo.items() if slo.limits() and (name == "all" or name in names)] or [
        "all"
    ]
    if not len(rows.at_s):
        return {name: [] for name in wanted}
    place = ((rows.at_s - rows.at_s.min()) // window_s).astype(np.int64)
    found: dict[str, list[Window]] = {name: [] for name in wanted}
    for number in np.unique(place).tolist():
        inside = place == number
        rate = float(inside.sum()) / window_s / requests_per_arrival
        for name in wanted:
            mine = inside if name == "all" else inside & (rows.endpoint == names.index(name))
            if mine.any():
                found[name].append(_window(rate, rows.failed[mine], rows.duration_s[mine]))
    return found


def _window(rate_rps: float, failed: np.ndarray, duration_s: np.ndarray) -> Window:
    """A percentile needs as many requests as leave one beyond it: 20 for the 95th."""
    known = duration_s[~np.isnan(duration_s)] * 1000
    times = {name: float(np.quantile(known, q)) for name, q in QUANTILES.items() if len(known) * (1 - q) >= 1 - 1e-9}
    if len(known):
        times["mean_ms"] = float(known.mean())
    return Window(rate_rps, float(failed.mean()), times)


def _rows(
    heads: list[bytes], at_us: np.ndarray, status: np.ndarray, duration_s: np.ndarray,
    endpoints: Sequence[tuple[Endpoint, re.Pattern[bytes]]], since_s: float,
) -> Rows:  # fmt: skip
    known: Mapping[bytes, int] = {head: _which(head, endpoints) for head in set(heads)}
    endpoint = np.fromiter((known[head] for head in heads), np.int64, len(heads))
    kept = (endpoint >= 0) & (at_us != NO_TIME) & (at_us >= since_s * 1e6)
    return Rows(at_us[kept] / 1e6, endpoint[kept], status[kept] >= 400, duration_s[kept])


def _loaded(contract: Contract) -> list[tuple[Endpoint, re.Pattern[bytes]]]:
    """Endpoints that the load was made of, each with the request line's beginning that it has in a log."""
    found = []
    for endpoint in contract.endpoint:
        if endpoint.enabled and endpoint.weight > 0:
            path = "[^/ ?]+".join(re.escape(part) for part in FIELD.split(endpoint.path.partition("?")[0]))
            found.append((endpoint, re.compile(f"{endpoint.method} {path}/?$".encode())))
    return found


def _which(head: bytes, endpoints: Sequence[tuple[Endpoint, re.Pattern[bytes]]]) -> int:
    return next((k for k, (_, pattern) in enumerate(endpoints) if pattern.match(head)), -1)
