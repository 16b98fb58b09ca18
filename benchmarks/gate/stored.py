"""Two stored runs against each other: pure, unpaired, closed when anything but the version differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any

import numpy as np
from scipy.stats import t

from benchmarks.gate.judging import Verdict
from benchmarks.gate.paired import holm
from benchmarks.gate.rules import Pair, Rules

FEWEST_RUNS = 5
SAME_HOST = ("cpu_model", "cores", "memory_mib", "architecture", "cpu_quota_cores")
SAME_RUN = (("schedule", "loop"), ("schedule", "process"), ("schedule", "stages"), ("schedule", "workers"))
TIMES = ("mean_ms", "p50_ms", "p95_ms", "p99_ms")


@dataclass(frozen=True)
class Stored:
    """A run's run.json and summary.json."""

    run: Mapping[str, Any]
    summary: Mapping[str, Any]


def mismatches(base: Stored, new: Stored) -> list[str]:
    """Sentences on why these two cannot be compared; [] when they can."""
    found = []
    for side, one in (("baseline", base), ("candidate", new)):
        if not one.summary.get("valid"):
            found.append(f"the {side} {one.run.get('run')} is INVALID; measure it again")
    hosts = [one.run.get("host") or {} for one in (base, new)]
    for key in SAME_HOST:
        if hosts[0].get(key) != hosts[1].get(key):
            found.append(
                f"other host: {key} is {hosts[0].get(key)} and {hosts[1].get(key)}; measure both on one machine"
            )
    for path in SAME_RUN:
        left, right = (_at(one.run, path) for one in (base, new))
        if left != right:
            found.append(f"other schedule: {path[-1]} differs; run both with the same words")
    contracts = [_load_of(one.run.get("contract") or {}) for one in (base, new)]
    if contracts[0] != contracts[1]:
        differing = sorted(
            key for key in contracts[0].keys() | contracts[1].keys() if contracts[0].get(key) != contracts[1].get(key)
        )
        found.append(f"other contract: {', '.join(differing)} differ; the load would not be the same")
    missing = sorted(set(base.summary.get("endpoints") or {}) - set(new.summary.get("endpoints") or {}))
    if missing:
        found.append(f"the candidate has no {', '.join(missing)}, which the baseline had")
    return found


def compare_stored(
    base: Stored, new: Stored, rules: Rules, spread: Mapping[Pair, Sequence[float]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """(comparisons, why it is INVALID). The spread between earlier runs of one version is the unit of doubt: the
    difference of two runs has a standard error of s·√2, where s is the standard deviation of the logarithms."""
    rows, invalid = [], []
    endpoints = list(base.summary.get("endpoints") or {})
    for endpoint in endpoints:
        for metric in TIMES:
            values = [_value(one, endpoint, metric) for one in (base, new)]
            primary = (endpoint, metric) in rules.primaries
            if None in values:
                if primary:
                    invalid.append(f"{endpoint} {metric} is missing in a run, and it is a primary")
                continue
            rows.append(_row((endpoint, metric), values, primary, spread.get((endpoint, metric), ()), rules))
    present = {(row["endpoint"], row["metric"]) for row in rows}
    unmeasured = [
        pair for pair in rules.primaries if pair not in present and pair[1] in TIMES and pair[0] not in endpoints
    ]
    invalid += [f"{endpoint} {metric} is a primary, but no run has that endpoint" for endpoint, metric in unmeasured]
    primaries = [row for row in rows if row["primary"]]
    for row, p in zip(primaries, holm([row["p_value"] for row in primaries]), strict=True):
        row["p_value"] = p
        row["verdict"], row["why"] = _state(row, p, rules)
    return rows, invalid


def _row(pair: Pair, values: list[Any], primary: bool, earlier: Sequence[float], rules: Rules) -> dict[str, Any]:
    row: dict[str, Any] = {
        "endpoint": pair[0], "metric": pair[1], "primary": primary, "verdict": None, "why": "", "baseline": values[0],
        "candidate": values[1], "ratio": values[1] / values[0], "difference": None, "ci95": None, "p_value": 1.0,
        "minimum_detectable": None, "floor": rules.floor, "blocks": 0, "earlier_runs": len(earlier),
    }  # fmt: skip
    if len(earlier) < FEWEST_RUNS:
        return row
    freedom = len(earlier) - 1
    error = float(np.std(np.log(earlier), ddof=1)) * sqrt(2)
    change = log(row["ratio"])
    half = float(t.ppf(0.975, freedom)) * error
    row["ci95"] = [exp(change - half), exp(change + half)]
    row["p_value"] = float(t.sf(change / error, freedom)) if error else float(change <= 0)
    row["minimum_detectable"] = exp(float(t.ppf(0.95, freedom) + t.ppf(0.80, freedom)) * error) - 1
    return row


def _state(row: Mapping[str, Any], p: float, rules: Rules) -> tuple[str, str]:
    if row["ci95"] is None:
        why = f"the history has {row['earlier_runs']} runs of this service on such a machine, {FEWEST_RUNS} are needed"
        return str(Verdict.BLIND), f"{why} to know the spread; add them with: plimsoll history --add RUN_DIR"
    low, high = row["ci95"]
    if p <= rules.alpha and low > 1 + rules.floor:
        return str(Verdict.FAIL), ""
    if row["minimum_detectable"] > rules.floor:
        return str(Verdict.BLIND), f"runs differ so much that only {row['minimum_detectable']:.1%} would be noticed"
    if high < 1 + rules.floor:
        return str(Verdict.PASS), ""
    return str(Verdict.WARN if p <= rules.alpha else Verdict.INCONCLUSIVE), ""


def _value(one: Stored, endpoint: str, metric: str) -> float | None:
    times = ((one.summary.get("endpoints") or {}).get(endpoint) or {}).get("response_ms") or {}
    value = times.get(metric.removesuffix("_ms"))
    return float(value) if value else None


def _load_of(contract: Mapping[str, Any]) -> dict[str, Any]:
    """What of a contract shapes the load; where the service is and what is judged may differ."""
    target = {k: v for k, v in (contract.get("target") or {}).items() if k == "locustfile"}
    return {"target.locustfile": target, **{key: contract.get(key) for key in ("endpoint", "data", "users")}}


def _at(document: Mapping[str, Any], path: Sequence[str]) -> Any:
    found: Any = document
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
