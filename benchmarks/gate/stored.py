"""Two stored runs against each other: pure, unpaired, closed when anything but the version differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any

import numpy as np
from scipy.stats import fisher_exact, t

from benchmarks.gate.judging import Verdict
from benchmarks.gate.metrics import FLOORS
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
    errors = _errors(base.summary.get("all") or {}, new.summary.get("all") or {})
    if errors is None:
        return rows, [*invalid, "a run does not say how many of its requests failed"]
    primaries = [row for row in [*rows, errors] if row["primary"]]
    for row, p in zip(primaries, holm([row["p_value"] for row in primaries]), strict=True):
        row["p_value"] = p
        row["verdict"], row["why"] = _state(row, p, rules) if row is not errors else _state_of_errors(row, p, rules)
    elsewhere = [pair for pair in rules.primaries if pair[1] not in TIMES and pair[1] != "error_rate"]
    return [*rows, errors, *([_blind(pair) for pair in elsewhere] if rules.declared else [])], invalid


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


def _errors(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    """Errors are always judged: a candidate that answers fast because it fails is not faster. Fisher's exact test, and
    the interval of Agresti and Caffo (2000)."""
    if any(one.get(key) is None for one in (base, new) for key in ("count", "ok")) or not base["count"] * new["count"]:
        return None
    failed = [(int(one["count"]) - int(one["ok"]), int(one["count"])) for one in (base, new)]
    shares = [(x + 1) / (n + 2) for x, n in failed]
    half = 1.96 * sqrt(sum(p * (1 - p) / (n + 2) for p, (_, n) in zip(shares, failed, strict=True)))
    middle = shares[1] - shares[0]
    rates = [x / n for x, n in failed]
    table = np.array([[x, n - x] for x, n in reversed(failed)])
    return {
        "endpoint": "all", "metric": "error_rate", "primary": True, "verdict": None, "why": "", "baseline": rates[0],
        "candidate": rates[1], "ratio": None, "difference": rates[1] - rates[0], "ci95": [middle - half, middle + half],
        "p_value": float(fisher_exact(table, "greater").pvalue), "minimum_detectable": None,
        "floor": FLOORS["error_rate"], "blocks": 0,
    }  # fmt: skip


def _state_of_errors(row: Mapping[str, Any], p: float, rules: Rules) -> tuple[str, str]:
    low, high = row["ci95"]
    if p <= rules.alpha and low > row["floor"]:
        return str(Verdict.FAIL), "more of its requests failed"
    if row["difference"] <= 0 or high < row["floor"]:
        return str(Verdict.PASS), ""
    return str(Verdict.WARN if p <= rules.alpha else Verdict.INCONCLUSIVE), ""


def _blind(pair: Pair) -> dict[str, Any]:
    return {
        "endpoint": pair[0], "metric": pair[1], "primary": True, "verdict": str(Verdict.BLIND), "baseline": None,
        "why": "stored runs are compared by response times and errors only; compare two running versions for it",
        "candidate": None, "ratio": None, "difference": None, "ci95": None, "p_value": None, "minimum_detectable": None,
        "floor": None, "blocks": 0,
    }  # fmt: skip


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
