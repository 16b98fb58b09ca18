"""Before the duet: which pairs it can judge in the given time, and the smallest change that it would notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.gate.metrics import METRICS, QUANTILES, as_change, floor_of
from benchmarks.gate.paired import minimum_detectable
from benchmarks.gate.rules import Pair, Rules

DRAWS = 200


@dataclass(frozen=True)
class Sight:
    """`smallest`: the change noticed in 80 of 100 gates at best, from the pilot's spread of requests alone (the host adds
    to it); None: not known before. `why_not`: why the pair is only reported."""

    endpoint: str
    metric: str
    primary: bool
    requests_per_block: float
    smallest: float | None
    why_not: str = ""

    def as_json(self) -> dict[str, Any]:
        return self.__dict__.copy()


def sight(
    pilot: Mapping[str, np.ndarray], requests: Mapping[str, float], blocks: int, rules: Rules, seed: int = 1
) -> list[Sight]:
    """`pilot`: endpoint → response times in ms, either version; they stand for service times too.
    `requests`: endpoint (and "all") → per version and block."""
    found = []
    for endpoint, times in pilot.items():
        for metric in ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "service_mean_ms"):
            found.append(_times((endpoint, metric), times, requests.get(endpoint, 0.0), blocks, rules, seed))
    known = {(one.endpoint, one.metric) for one in found}
    for pair in rules.primaries:
        if pair not in known:
            found.append(Sight(*pair, True, requests.get(pair[0], 0.0), None))
    return found


def judged(found: Sequence[Sight], rules: Rules) -> tuple[Pair, ...]:
    """The primaries; of those that nobody declared, only what can be seen, but one time at least: a gate that sees only
    CPU must not be green for a version that waits longer."""
    if rules.declared:
        return rules.primaries
    blind = {(one.endpoint, one.metric) for one in found if one.why_not}
    kept = tuple(pair for pair in rules.primaries if pair not in blind)
    times = [pair for pair in rules.primaries if pair[1].endswith("_ms")]
    if times and not {*times} & {*kept}:
        kept = (times[0], *kept)
    return kept


def _times(pair: Pair, times: np.ndarray, per_block: float, blocks: int, rules: Rules, seed: int) -> Sight:
    metric, primary = METRICS[pair[1]], pair in rules.primaries
    n = round(per_block)
    if n < metric.needs:
        return Sight(*pair, primary, per_block, None, f"needs {metric.needs} requests a block, has {n}")
    if len(times) < 20:
        return Sight(*pair, primary, per_block, None)
    random = np.random.default_rng(seed)
    drawn = random.choice(times, (DRAWS, n))
    p = QUANTILES[pair[1].removesuffix("_ms").removeprefix("service_")]
    values = drawn.mean(axis=1) if p is None else np.quantile(drawn, p, axis=1)
    scale = float(np.log(values).std(ddof=1)) * 2**0.5  # of a difference of two such values
    smallest = minimum_detectable(scale, blocks)
    blind = smallest > floor_of(pair[1], rules.floor)
    change = as_change(pair[1], smallest)
    return Sight(*pair, primary, per_block, change, f"would notice {change:.1%} at best" if blind else "")
