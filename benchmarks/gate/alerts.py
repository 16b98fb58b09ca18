"""The contract's [[alert.rule]] over what a run measured: thresholds over windows, breached so many times running. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from targets.contract import AlertRule

GIB, MIB = 2**30, 2**20


@dataclass(frozen=True)
class Breach:
    """`value`: the worst of the windows that breached; `from_s`: when the first of them began; `seen_s`: how long each
    was, less than the rule's where the run was shorter."""

    rule: AlertRule
    value: float
    from_s: float
    windows: int
    seen_s: float

    @property
    def sentence(self) -> str:
        limit, word = (self.rule.above, "above") if self.rule.above is not None else (self.rule.below, "below")
        running = f", {self.windows} windows running" if self.rule.times > 1 else ""
        over = f"over {self.rule.window_s:g} s{running}, from {self.from_s:.0f} s on"
        if self.seen_s < self.rule.window_s:
            over = f"over all its {self.seen_s:.0f} s (the rule looks at {self.rule.window_s:g} s)"
        return f"{self.rule.metric} {self.value:.4g} was {word} {limit:g} {over}"


@dataclass(frozen=True)
class Measured:
    """`rows`: intended_ns, done_ns, outcome. `resources`: profiles' rows. `health_failed_s`: when a
    health check failed; None: none was asked while the load ran."""

    rows: pd.DataFrame
    resources: pd.DataFrame
    duration_s: float
    role: str = "target"
    health_failed_s: Sequence[float] | None = None


def breaches(rules: Sequence[AlertRule], measured: Measured) -> list[Breach]:
    """A metric that was not measured breaches nothing."""
    return [breach for rule in rules if (breach := _breach(rule, measured))]


def _breach(rule: AlertRule, measured: Measured) -> Breach | None:
    count = max(1, int(measured.duration_s / rule.window_s))
    length_s = min(rule.window_s, measured.duration_s) or rule.window_s
    values = [READERS[rule.metric](measured, k * length_s, (k + 1) * length_s) for k in range(count)]
    running, first = 0, 0.0
    for k, value in enumerate(values):
        breached = value is not None and (value > rule.above if rule.above is not None else value < (rule.below or 0.0))
        if not breached:
            running = 0
            continue
        first = k * length_s if running == 0 else first
        running += 1
        if running >= rule.times:
            inside = [v for v in values[k - running + 1 :] if v is not None]
            worst = max(inside) if rule.above is not None else min(inside)
            return Breach(rule, float(worst), first, running, length_s)
    return None


Reader = Callable[[Measured, float, float], float | None]


def _times(quantile: float | None) -> Reader:
    def read(measured: Measured, begin_s: float, end_s: float) -> float | None:
        rows = _window(measured.rows, "intended_ns", begin_s, end_s)
        times = ((rows["done_ns"] - rows["intended_ns"]) / 1e6)[
            rows["outcome"].isin(["ok", "timeout", "abandoned"])
        ].dropna()
        if times.empty:
            return None
        return float(times.mean() if quantile is None else np.quantile(times, quantile))

    return read


def _errors(measured: Measured, begin_s: float, end_s: float) -> float | None:
    rows = _window(measured.rows, "intended_ns", begin_s, end_s)
    return None if rows.empty else float((rows["outcome"] != "ok").mean())


def _health(measured: Measured, begin_s: float, end_s: float) -> float | None:
    if measured.health_failed_s is None:
        return None
    return float(sum(begin_s <= at_s < end_s for at_s in measured.health_failed_s))


def _cpu(measured: Measured, begin_s: float, end_s: float) -> float | None:
    """Of all cores of the host, percent."""
    host = _of_host(measured, begin_s, end_s)
    if len(host) < 2:
        return None
    seconds = (host["at_ns"].iloc[-1] - host["at_ns"].iloc[0]) / 1e9
    busy = host["host_cpu_busy_s"].iloc[-1] - host["host_cpu_busy_s"].iloc[0]
    return float(100 * busy / seconds / host["host_cores"].iloc[-1]) if seconds else None


def _memory_share(measured: Measured, begin_s: float, end_s: float) -> float | None:
    host = _of_host(measured, begin_s, end_s)
    return float(100 * (host["host_memory_used_bytes"] / host["host_memory_total_bytes"]).max()) if len(host) else None


def _memory(measured: Measured, begin_s: float, end_s: float) -> float | None:
    """Resident memory of the service's processes together, MiB."""
    rows = _window(measured.resources, "at_ns", begin_s, end_s)
    mine = rows[rows["role"].astype(str) == measured.role]
    return float(mine.groupby("at_ns")["rss_bytes"].sum().max() / MIB) if len(mine) else None


def _host_column(column: str, unit: float, worst: str) -> Reader:
    def read(measured: Measured, begin_s: float, end_s: float) -> float | None:
        values = _of_host(measured, begin_s, end_s)[column].dropna()
        return float(getattr(values, worst)() / unit) if len(values) else None

    return read


READERS: Mapping[str, Reader] = {
    "response_ms": _times(None),
    **{f"response_{name}_ms": _times(p) for name, p in (("mean", None), ("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
    "error_rate": _errors,
    "health_failed": _health,
    "cpu_percent": _cpu,
    "memory_percent": _memory_share,
    "memory_mib": _memory,
    "disk_percent": _host_column("host_disk_used_share", 0.01, "max"),
    "disk_free_gib": _host_column("host_disk_free_bytes", GIB, "min"),
}


def _window(rows: pd.DataFrame, column: str, begin_s: float, end_s: float) -> pd.DataFrame:
    return rows[(rows[column] >= begin_s * 1e9) & (rows[column] < end_s * 1e9)]


def _of_host(measured: Measured, begin_s: float, end_s: float) -> pd.DataFrame:
    rows = _window(measured.resources, "at_ns", begin_s, end_s)
    return rows[rows["role"].astype(str) == "host"]
