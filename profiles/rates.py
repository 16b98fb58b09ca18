"""The service's own metrics per window: counters as rates, histograms as quantiles, and what has a known meaning.

Pure. A restart sets a counter to zero, which is taken up as Prometheus does; one that falls again and again is no
counter of the service but of whichever worker answered, and is refused.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from measurements.interval import Refusal

NANOSECONDS = 1e9
MOST_RESTARTS = 2
RATE, QUANTILE, RATIO = DERIVED = ("rate", "quantile", "ratio")  # kinds of rows that were worked out (profiles.derived)
MOST_FALL = 0.5  # of a page's counters: one that falls alone is a metric with a fault
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
RUNNING = re.compile(r"(num_requests_running|requests_running|num_running_reqs|slots?_busy)$")
WAITING = re.compile(r"(num_requests_waiting|requests_waiting|num_queue_reqs|requests_deferred)$")
HIT_OR_MISS = re.compile(r"hits?|miss(es)?")
CACHE_COUNTER = re.compile(r"(?<=cache)_(hits?|miss(?:es)?|queries)$")
Window = tuple[str, float, float]


def per_window(table: pa.Table, windows: Sequence[Window]) -> dict[str, dict[str, Any]]:
    """window name → {"counters", "gauges", "histograms", "cache_hit_ratio", "upstream", "refusals"}.

    counters: [{source, name, labels, increase, per_s}] · gauges: [{source, name, labels, mean, max, last}] ·
    histograms: [{source, name, labels, count, per_s, mean, p50, p95, p99, bounds}], in the service's own unit: a
    quantile is interpolated inside its bucket, `bounds` says how wide that is, above the last bucket it is None with
    `at_least` · cache_hit_ratio: [{source, name, labels, ratio, lookups}] · upstream: {running_mean, running_max,
    waiting_mean, waiting_max} where an engine's gauges were scraped, else None · refusals: what was not to be had.
    """
    frame = table.to_pandas()
    frame = frame[~frame["kind"].isin(DERIVED)].reset_index(drop=True)
    frame["at_s"] = frame["at_ns"] / NANOSECONDS
    for column in ("source", "name", "labels", "kind"):
        frame[column] = frame[column].astype(str)
    return {name: _window(frame, start_s, end_s) for name, start_s, end_s in windows}


def _window(frame: pd.DataFrame, start_s: float, end_s: float) -> dict[str, Any]:
    found: dict[str, Any] = {"counters": [], "gauges": [], "histograms": [], "refusals": []}
    buckets: dict[tuple[str, str, str], dict[float, float]] = {}
    parts: dict[tuple[str, str, str], dict[str, float]] = {}
    length_s = end_s - start_s
    if not frame.empty and length_s > 0:
        scrapes = {str(source): np.unique(own["at_s"].to_numpy()) for source, own in frame.groupby("source")}
        for (source, name, labels_text, kind), series in frame.groupby(["source", "name", "labels", "kind"], sort=True):
            times, values = series["at_s"].to_numpy(), series["value"].to_numpy()
            labels = json.loads(str(labels_text))
            who = {"source": source, "name": name, "labels": labels}
            counted = cumulative(str(kind), labels, times, values, scrapes[str(source)])
            times, values = counted or (times, values)
            if len(times) < 2 or end_s <= times[0] or start_s >= times[-1]:
                continue
            if counted is None:
                found["gauges"].append({**who, **_gauge(times, values, start_s, end_s)})
                continue
            increase = _increase(times, values, start_s, end_s)
            if increase is None:
                found["refusals"].append(_several_workers(str(name)))
            elif kind == "counter":
                found["counters"].append({**who, "increase": increase, "per_s": increase / length_s})
            else:
                named, bound = family(str(name), labels)
                key = (str(source), named, json.dumps(labels, sort_keys=True))
                if bound is not None:
                    buckets.setdefault(key, {})[bound] = increase
                else:
                    parts.setdefault(key, {})[str(name)[len(named) :]] = increase
    for key, own in parts.items():
        found["histograms"].append(_histogram(key, own, buckets.get(key, {}), length_s))
    found["refusals"] = [refusal.as_json() for refusal in dict.fromkeys(found["refusals"])]
    found["cache_hit_ratio"] = _hit_ratios(found["counters"])
    found["upstream"] = _upstream(found["gauges"])
    return found


def cumulative(
    kind: str, labels: dict[str, str], times: np.ndarray, values: np.ndarray, scrapes: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Times and values of a series that only counts up, from 0 where the service named it with its first event; None
    for gauges. `scrapes`: when its page was read."""
    if kind != "counter" and (kind not in ("histogram", "summary") or "quantile" in labels):
        return None
    earlier = scrapes[scrapes < times[0]]
    return (np.append(earlier[-1:], times), np.append(0.0, values)) if len(earlier) else (times, values)


def _increase(times: np.ndarray, values: np.ndarray, start_s: float, end_s: float) -> float | None:
    """How much a counter rose in the window, restarts taken up; None when it fell more often than services restart."""
    around = slice(max(0, int(np.searchsorted(times, start_s, "right")) - 1), int(np.searchsorted(times, end_s)) + 1)
    total = risen(values[around])
    if total is None:
        return None
    low, high = np.interp([start_s, end_s], times[around], total)
    return float(high - low)


def risen(values: np.ndarray) -> np.ndarray | None:
    """A counter's rise since its first reading, restarts taken up; None when it fell more often than services restart."""
    steps = np.diff(values)
    fell = steps < 0
    if np.count_nonzero(fell) > MOST_RESTARTS or not np.isfinite(values).all():
        return None
    return np.concatenate([[0.0], np.cumsum(np.where(fell, values[1:], steps))])


def restarts(table: pa.Table) -> list[float]:
    """When a service began anew, in seconds into the run: most counters of one page fell from one scrape to the next.

    [] where they fell more often than services restart: then several workers answer in turn.
    """
    frame = table.to_pandas()
    counters = frame[frame["kind"].astype(str) == "counter"].sort_values("at_ns")
    found: list[float] = []
    for _, page in counters.groupby("source", observed=True):
        before = page.groupby(["name", "labels"], observed=True)["value"].shift()
        known = page.assign(fell=page["value"] < before)[before > 0]
        share = known.groupby("at_ns")["fell"].mean()
        found += [float(at_ns) / NANOSECONDS for at_ns in share.index[share > MOST_FALL]]
    return sorted(found) if len(found) <= MOST_RESTARTS else []


def _gauge(times: np.ndarray, values: np.ndarray, start_s: float, end_s: float) -> dict[str, float | None]:
    inside = values[(times >= start_s) & (times <= end_s) & np.isfinite(values)]
    if len(inside) == 0:
        return {"mean": None, "max": None, "last": None}
    return {"mean": float(inside.mean()), "max": float(inside.max()), "last": float(inside[-1])}


def family(name: str, labels: dict[str, str]) -> tuple[str, float | None]:
    """Family name and, for a bucket, its upper bound (taken out of `labels`)."""
    if name.endswith("_bucket") and "le" in labels:
        try:
            return name.removesuffix("_bucket"), float(labels.pop("le"))
        except ValueError:
            return name, None
    return re.sub(r"_(sum|count)$", "", name), None


def _histogram(
    key: tuple[str, str, str], parts: dict[str, float], buckets: dict[float, float], length_s: float
) -> dict[str, Any]:
    source, family, labels = key
    count = parts.get("_count", buckets.get(math.inf, 0.0))
    figures: dict[str, Any] = {"source": source, "name": family, "labels": json.loads(labels), "bounds": {}}
    figures |= {
        "count": count,
        "per_s": count / length_s,
        "mean": parts["_sum"] / count if count and "_sum" in parts else None,
    }
    for label, q in QUANTILES.items():
        figures[label], figures["bounds"][label] = quantile(buckets, q)
    return figures


def quantile(buckets: dict[float, float], q: float) -> tuple[float | None, dict[str, float] | None]:
    """The q-quantile of a histogram of cumulative counts {upper bound: count}, and the bucket it lies in.

    Linear inside the bucket, the first one from 0, as Prometheus' histogram_quantile. In the open last bucket there
    is only {"at_least": its lower bound}. (None, None) without counts.
    """
    bounds = sorted(buckets)
    counts = np.maximum.accumulate([buckets[bound] for bound in bounds]) if bounds else np.array([])
    if len(counts) == 0 or counts[-1] <= 0:
        return None, None
    rank = q * counts[-1]
    at = int(np.searchsorted(counts, rank, side="left"))
    low = bounds[at - 1] if at else min(0.0, bounds[0])
    if math.isinf(bounds[at]):
        return None, {"at_least": float(low)}
    below = counts[at - 1] if at else 0.0
    inside = counts[at] - below
    share = (rank - below) / inside if inside else 1.0
    return float(low + (bounds[at] - low) * share), {"at_least": float(low), "at_most": float(bounds[at])}


def _hit_ratios(counters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ratios of counters told apart by a label (result="hit" | "miss") or by name (…_hits, …_misses, …_queries)."""
    caches: dict[tuple[str, str, str], dict[str, float]] = {}
    for counter in counters:
        side, name, labels = cache_side(str(counter["name"]), counter["labels"])
        if side is not None:
            cache = caches.setdefault((counter["source"], name, json.dumps(labels, sort_keys=True)), {})
            cache[side] = cache.get(side, 0.0) + counter["increase"]
    ratios = []
    for (source, name, labels_text), cache in caches.items():
        lookups = cache.get("que", cache.get("hit", 0.0) + cache.get("mis", 0.0))
        if lookups > 0:
            ratio = cache["hit"] / lookups if "hit" in cache else 1 - cache["mis"] / lookups if "mis" in cache else None
            if ratio is not None:
                labels = json.loads(labels_text)
                ratios.append({"source": source, "name": name, "labels": labels, "ratio": ratio, "lookups": lookups})
    return ratios


def cache_side(name: str, labels: dict[str, str]) -> tuple[str | None, str, dict[str, str]]:
    """Which side of a cache a counter counts ("hit", "mis", "que"; None: it counts no cache), the cache's name, and the
    labels that tell caches apart."""
    rest, name, side = dict(labels), name.removesuffix("_total"), None
    for label, value in labels.items():
        if match := HIT_OR_MISS.fullmatch(value):
            side = match[0][:3]
            del rest[label]
    if side is None and (match := CACHE_COUNTER.search(name)):
        side, name = match[1][:3], name[: match.start()]
    return side, name, rest


def _upstream(gauges: list[dict[str, Any]]) -> dict[str, float | None] | None:
    running = [gauge for gauge in gauges if RUNNING.search(gauge["name"]) and gauge["mean"] is not None]
    waiting = [gauge for gauge in gauges if WAITING.search(gauge["name"]) and gauge["mean"] is not None]
    if not running and not waiting:
        return None
    found: dict[str, float | None] = {}
    for name, own in (("running", running), ("waiting", waiting)):
        found[f"{name}_mean"] = sum(gauge["mean"] for gauge in own) if own else None
        found[f"{name}_max"] = sum(gauge["max"] for gauge in own) if own else None
    return found


def _several_workers(name: str) -> Refusal:
    return Refusal(
        name,
        "the counter falls again and again: each scrape reaches another worker, and none tells of all of them",
        "set PROMETHEUS_MULTIPROC_DIR for the service (prometheus_client's multiprocess mode), or run one worker",
    )
