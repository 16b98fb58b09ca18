"""What a service's own counters and histograms say second by second: rates, quantiles, hit ratios, as rows of their own.

They stand in server.parquet beside what was scraped, with kinds that Prometheus does not have, so that whoever reads
the file (the report, a notebook) sees causes line up with effects without knowing how counters work. Pure.
"""

import json
import math
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa

from profiles.rates import NANOSECONDS, QUANTILE, RATE, RATIO, cache_side, cumulative, family, quantile, risen
from profiles.scrape import SERVER

SHARES = (0.5, 0.95, 0.99)
MOST_STEPS, LEAST_STEP_S = 300, 1.0
Key = tuple[str, str, str]  # source, name, labels as JSON


def derived(table: pa.Table) -> pa.Table:
    """Rows of the scraper's schema, each at the end of a step (a second, or a 300th of the run):

    rate: a counter's increase per second · quantile: of a histogram's new observations, the label `quantile` says
    which, in the service's own unit · ratio: a cache's hits over its lookups. A step without observations or lookups
    has no row, nor has a counter that never rose; one that falls again and again (several workers behind one port) has none at all.
    """
    frame = table.to_pandas()
    if frame.empty:
        return SERVER.empty_table()
    at_s = frame["at_ns"].to_numpy() / NANOSECONDS
    first_s, last_s = float(at_s.min()), float(at_s.max())
    steps = max(1, min(MOST_STEPS, int((last_s - first_s) / LEAST_STEP_S)))
    edges_s = np.linspace(first_s, last_s, steps + 1)
    rows = _Rows(edges_s)
    buckets: dict[Key, dict[float, np.ndarray]] = defaultdict(dict)
    caches: dict[Key, dict[str, np.ndarray]] = defaultdict(dict)
    frame = frame.assign(at_s=at_s, **{name: frame[name].astype(str) for name in ("source", "name", "labels", "kind")})
    scrapes = {str(source): np.unique(own["at_s"].to_numpy()) for source, own in frame.groupby("source")}
    for (source, name, labels_text, kind), series in frame.groupby(["source", "name", "labels", "kind"], sort=True):
        labels = json.loads(str(labels_text))
        found = cumulative(
            str(kind), labels, series["at_s"].to_numpy(), series["value"].to_numpy(), scrapes[str(source)]
        )
        if found is None or (grown := _grown(*found, edges_s)) is None:
            continue
        if kind == "counter":
            if grown.any():
                rows.add((str(source), str(name), str(labels_text)), RATE, grown / np.diff(edges_s))
            side, cache, rest = cache_side(str(name), labels)
            if side is not None:
                sums = caches[str(source), cache, json.dumps(rest, sort_keys=True)]
                sums[side] = sums.get(side, 0.0) + grown
        else:
            named, bound = family(str(name), labels)
            if bound is not None:
                buckets[str(source), named, json.dumps(labels, sort_keys=True)][bound] = grown
    for key, counts in buckets.items():
        rows.quantiles(key, counts)
    for (source, name, labels_text), sums in caches.items():
        rows.add((source, f"{name}:hit_ratio", labels_text), RATIO, _hit_ratio(sums, steps))
    return rows.table()


def _grown(times: np.ndarray, values: np.ndarray, edges_s: np.ndarray) -> np.ndarray | None:
    """Increase within each step; None for what is no counter of the whole service."""
    total = risen(values)
    return None if total is None or len(times) < 2 else np.diff(np.interp(edges_s, times, total))


def _hit_ratio(sums: dict[str, np.ndarray], steps: int) -> np.ndarray:
    """Not a number in steps without a lookup."""
    nothing = np.zeros(steps)
    lookups = sums["que"] if "que" in sums else sums.get("hit", nothing) + sums.get("mis", nothing)
    hits = sums["hit"] if "hit" in sums else lookups - sums.get("mis", lookups)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lookups > 1e-9, hits / lookups, math.nan)


class _Rows:
    """Rows by column; NaN gives none."""

    def __init__(self, edges_s: np.ndarray) -> None:
        self._at_ns = np.rint(edges_s[1:] * NANOSECONDS).astype(np.int64)
        self._rows: list[dict[str, Any]] = []

    def add(self, key: Key, kind: str, values: np.ndarray) -> None:
        source, name, labels = key
        self._rows += [
            {"at_ns": int(at_ns), "source": source, "name": name, "labels": labels, "kind": kind, "value": float(value)}
            for at_ns, value in zip(self._at_ns, values, strict=True)
            if math.isfinite(value)
        ]

    def quantiles(self, key: Key, counts: dict[float, np.ndarray]) -> None:
        """A step whose quantile lies in the open last bucket has the bucket's lower bound, which it is at least."""
        source, name, labels = key
        for q in SHARES:
            values = np.full(len(self._at_ns), math.nan)
            for step in range(len(values)):
                value, bounds = quantile({bound: float(grown[step]) for bound, grown in counts.items()}, q)
                if value is None and bounds is not None:
                    value = bounds["at_least"]
                values[step] = math.nan if value is None else value
            labelled = json.dumps({**json.loads(labels), "quantile": f"{q:g}"}, sort_keys=True, ensure_ascii=False)
            self.add((source, name, labelled), QUANTILE, values)

    def table(self) -> pa.Table:
        return pa.Table.from_pylist(self._rows, SERVER)
