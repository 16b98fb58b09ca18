"""From a duet's rows to one figure per block, version, endpoint and metric, and from there to differences.

A duet is one run over two replicas, 0 the baseline and 1 the candidate, whose stages are the blocks. Requests come in
pairs: both versions get the same request within the same moment, and who is asked first is swapped from block to block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.gate.judging import Series
from benchmarks.gate.metrics import METRICS, QUANTILES
from benchmarks.gate.rules import Pair
from measurements.rundir import RunDirectory
from measurements.sample import CENSORED, TIMED

SIDES = ("baseline", "candidate")
COLUMNS = [
    "worker", "seq", "step", "stage", "endpoint", "replica", "intended_ns", "sent_ns", "first_token_ns", "done_ns",
    "outcome", "tokens_out",
]  # fmt: skip
LATE_MS, LATE_SHARE = 1.0, 0.05  # as the validity check of a run: what the generator may add

Figures = dict[Pair, float]


@dataclass(frozen=True)
class Side:
    """One version in one block."""

    figures: Figures
    counts: dict[str, int]


@dataclass(frozen=True)
class Block:
    """`figures`: per version (endpoint, metric) → value. `voided`: why this block is no evidence, for either version.
    `counts`: requests per version and endpoint. `order`: the version that was asked first in each pair."""

    name: str
    figures: tuple[Figures, Figures]
    counts: tuple[dict[str, int], dict[str, int]]
    order: int = 0
    voided: str = ""
    duet: int = 1
    beside: dict[str, Any] = field(default_factory=dict)  # shown with it, e.g. cache hit ratios

    def difference(self, pair: Pair) -> float:
        """ln(candidate / baseline), or candidate − baseline; NaN where a version has no such figure."""
        metric = METRICS[pair[1]]
        base, new = (figures.get(pair, np.nan) for figures in self.figures)
        if any(counts.get(pair[0], 0) < metric.needs for counts in self.counts):
            return float("nan")
        if not metric.ratio:
            return new - base
        return float(np.log(new / base)) if base > 0 and new > 0 else float("nan")


def read(run: RunDirectory, timeouts_s: Mapping[str, float], duet: int = 1) -> list[Block]:
    """The blocks of one recording of a baseline and a candidate; a warm-up is none."""
    found = versions(run, SIDES, timeouts_s)
    return [
        Block(name, (base.figures, new.figures), (base.counts, new.counts), order, voided, duet)
        for name, order, voided, (base, new) in found
    ]


def versions(
    run: RunDirectory, labels: Sequence[str], timeouts_s: Mapping[str, float]
) -> list[tuple[str, int, str, list[Side]]]:
    """(block, who was asked first, why it is void, a Side per version) of a recording of any number of versions.

    duet.json has what their process trees had used at each block's end: {"block", "side", "cpu_s", "rss_peak_mib",
    "rss_rise_mib"}; a version without that has no CPU or memory figures.
    """
    rows = run.table("samples", COLUMNS).to_pandas()
    rows = rows[rows["seq"] >= 0]
    stages = run.read_json("run.json")["schedule"]["stages"]
    names = [stage["name"] for stage in stages]
    rows["stage"], rows["endpoint"] = rows["stage"].astype(str), rows["endpoint"].astype(str)
    rows["side"] = side_of(rows["seq"].to_numpy(), rows["stage"].map(names.index).to_numpy(), len(labels))
    for name in ("intended_ns", "sent_ns", "first_token_ns", "done_ns"):
        rows[name] = rows[name].astype("float64")
    readings = run.read_json("duet.json")["readings"] if run.has("duet.json") else []
    found = []
    for index, stage in enumerate(stages):
        if stage["warmup"]:
            continue
        mine = rows[rows["stage"] == stage["name"]]
        used = {one["side"]: one for one in readings if one["block"] == stage["name"]}
        sides = [_side(mine[mine["side"] == k], used.get(label), timeouts_s) for k, label in enumerate(labels)]
        found.append((stage["name"], (-index) % len(labels), _voided(mine), sides))
    return found


def side_of(seq: np.ndarray, block: np.ndarray, versions: int = 2) -> np.ndarray:
    """Which version arrival `seq` of the recording's block number `block` goes to: loadtests' lane does the same."""
    strides = np.array([stride for stride in range(1, versions) if gcd(stride, versions) == 1] or [1])
    return (seq + block) * strides[seq // versions % len(strides)] % versions


def series(blocks: Iterable[Block], endpoints: Sequence[str]) -> dict[Pair, Series]:
    """Every pair that at least one block has a figure for, with the differences of the blocks that are not voided."""
    kept = [block for block in blocks if not block.voided]
    found: dict[Pair, Series] = {}
    for endpoint in ("all", *endpoints):
        for name, metric in METRICS.items():
            pair = endpoint, name
            if len(endpoints) == 1 and (endpoint == "all") != (metric.whole or name == "error_rate"):
                continue  # the whole is that endpoint
            values = [[figures.get(pair, np.nan) for figures in block.figures] for block in kept]
            if not values or not np.isfinite(values).any():
                continue
            base, new = (_typical(column) for column in np.array(values).T)
            differences = np.array([block.difference(pair) for block in kept])
            found[pair] = Series(differences, base, new, _why_not(pair, kept))
    return found


def _typical(values: np.ndarray) -> float | None:
    """The median block."""
    return float(np.nanmedian(values)) if np.isfinite(values).any() else None


def _why_not(pair: Pair, kept: Sequence[Block]) -> str:
    needs = METRICS[pair[1]].needs
    fewest = min(counts.get(pair[0], 0) for block in kept for counts in block.counts)
    return f"needs {needs} requests a block, has {fewest}" if fewest < needs else ""


def _side(rows: pd.DataFrame, used: Mapping[str, Any] | None, timeouts_s: Mapping[str, float]) -> Side:
    counts = {"all": len(rows)} | {str(name): int(n) for name, n in rows["endpoint"].value_counts().items()}
    figures: Figures = {}
    for endpoint, own in [("all", rows), *((str(name), own) for name, own in rows.groupby("endpoint"))]:
        figures |= {(endpoint, metric): value for metric, value in _times(own, timeouts_s).items()}
    if used and len(rows):
        if used["cpu_s"] is not None:
            figures["all", "cpu_s_per_request"] = used["cpu_s"] / len(rows)
        if used["rss_peak_mib"]:
            figures["all", "peak_memory_mib"] = used["rss_peak_mib"]
            figures["all", "leak_kib_per_request"] = used["rss_rise_mib"] * 1024 / len(rows)
    return Side(figures, counts)


def _times(rows: pd.DataFrame, timeouts_s: Mapping[str, float]) -> dict[str, float]:
    """Milliseconds over ok, timed out and abandoned requests, the last two at no less than the timeout."""
    if rows.empty:
        return {}
    found = {"error_rate": 1 - float((rows["outcome"] == "ok").mean())}
    timed = rows[rows["outcome"].isin(TIMED) & rows["done_ns"].notna()]
    if timed.empty:
        return found
    floor_ms = timed["endpoint"].map(lambda name: timeouts_s.get(name, 30.0) * 1e3).to_numpy(dtype=float)
    floor_ms = np.where(timed["outcome"].isin(CENSORED), floor_ms, 0.0)
    response = np.maximum((timed["done_ns"] - timed["intended_ns"]).to_numpy() / 1e6, floor_ms)
    service = np.maximum((timed["done_ns"] - timed["sent_ns"]).to_numpy() / 1e6, floor_ms)
    for prefix, values, names in (
        ("", response, ("mean", "p50", "p95", "p99")),
        ("service_", service, ("mean", "p50", "p95")),
    ):
        found |= {f"{prefix}{name}_ms": _quantile(values, name) for name in names}
    streamed = timed[timed["first_token_ns"].notna()]
    if len(streamed):
        ttft = ((streamed["first_token_ns"] - streamed["intended_ns"]) / 1e6).to_numpy()
        found |= {"ttft_p50_ms": _quantile(ttft, "p50"), "ttft_p95_ms": _quantile(ttft, "p95")}
        several = streamed[streamed["tokens_out"] > 1]
        if len(several):
            gaps = (several["done_ns"] - several["first_token_ns"]) / 1e6 / (several["tokens_out"] - 1)
            found["tpot_p50_ms"] = _quantile(gaps.to_numpy(), "p50")
    return found


def _quantile(values: np.ndarray, name: str) -> float:
    p = QUANTILES[name]
    return float(values.mean()) if p is None else float(np.quantile(values, p))


def _voided(rows: pd.DataFrame) -> str:
    """A block in which the generator itself was late says nothing about either version."""
    if rows.empty:
        return "no request was sent in it"
    if (rows["outcome"] == "lost").any():
        return "a load process was lost"
    sent = rows[rows["sent_ns"].notna()]
    if sent.empty:
        return ""
    late = np.quantile((sent["sent_ns"] - sent["intended_ns"]) / 1e6, 0.95)
    response = float(((sent["done_ns"] - sent["intended_ns"]) / 1e6).median())
    limit = max(LATE_MS, LATE_SHARE * response)
    return f"the generator was {late:.1f} ms late at p95 (limit {limit:.1f} ms)" if late > limit else ""
