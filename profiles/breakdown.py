"""Where the time of requests went: what was told of them, joined to the rows by (worker, seq, step). Pure.

A part is what the service named (retrieval, prompt, upstream, rest), or what a proxy before its upstream saw. What is
left of the service time as the client saw it is `outside`: the way there and back, waiting before the handler began and,
of streams whose header told, what came after it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from profiles.timing import server_timing

MOST_PARTS = 8
OTHER = "other"
KEY = ["worker", "seq", "step"]
PARTS = pa.schema(
    [
        ("worker", pa.int16()),
        ("seq", pa.int64()),
        ("step", pa.int32()),
        ("name", pa.dictionary(pa.int32(), pa.string())),
        ("ms", pa.float64()),
    ]
)
REMEDY = (
    "send a Server-Timing header; or name a port in [target.observe] otlp and export OpenTelemetry spans to it, joined "
    "by traceparent; or put plimsoll serve llm --record in front of the upstream and name its file in [target.observe] "
    "recording"
)


def of_headers(noted: Iterable[tuple[int, int, int, str]]) -> pa.Table:
    """`noted`: (worker, seq, step, Server-Timing header). A row per part of a request; schema `PARTS`."""
    rows = [
        {"worker": worker, "seq": seq, "step": step, "name": name, "ms": ms}
        for worker, seq, step, header in noted
        for name, ms in server_timing(header).items()
    ]
    return pa.Table.from_pylist(rows, PARTS)


def of_spans(spans: pa.Table, workers: int) -> pa.Table:
    """Of `spans.breakdown`: a request's spans of one name are added up; arrival k was sent by worker k mod `workers`."""
    frame = spans.to_pandas()
    frame["name"] = frame["name"].astype(str)
    whole = frame.groupby(["seq", "step", "name"], as_index=False)["self_ms"].sum()
    whole["worker"] = whole["seq"] % max(1, workers)
    ordered = whole.rename(columns={"self_ms": "ms"})[[*KEY, "name", "ms"]]
    return pa.Table.from_pandas(ordered, PARTS, preserve_index=False)


def from_source(table: pa.Table, source: str) -> pa.Table:
    """The same with a column that names who told."""
    return table.append_column("source", pa.array([source] * table.num_rows, pa.string()).dictionary_encode())


def summarise(
    samples: pd.DataFrame, tables: Mapping[str, pa.Table], why_not: str | None = None
) -> dict[str, dict[str, Any]]:
    """`samples`: worker, seq, step, stage, endpoint, service_ms of the answers that were as expected; `tables`: source
    → rows of `PARTS`, the preferred first.

    Returns endpoint → {source, n, answers, service_ms_mean, outside_ms_mean, outside_share, parts: [{name, ms_mean,
    ms_p50, ms_p95, share}] by falling mean, stages: {stage: {n, service_ms_mean, outside_ms_mean, parts: {name:
    ms_mean}}}, why_not}. `share` is of the mean service time; an endpoint that nothing was said about has `why_not`.
    """
    found: dict[str, dict[str, Any]] = {}
    for endpoint, rows in samples.groupby("endpoint", observed=True, sort=False):
        told = next((one for source, table in tables.items() if (one := _told(rows, source, table))), None)
        absent = why_not or f"the service did not say where its time went: {REMEDY}"
        found[str(endpoint)] = told or {"why_not": absent}
    return found


def _told(rows: pd.DataFrame, source: str, table: pa.Table) -> dict[str, Any] | None:
    parts = table.to_pandas()
    parts["name"] = parts["name"].astype(str)
    joined = rows.merge(parts, on=KEY)
    if joined.empty:
        return None
    kept = joined.groupby("name")["ms"].sum().nlargest(MOST_PARTS).index
    joined["name"] = joined["name"].where(joined["name"].isin(kept), OTHER)
    wide = joined.pivot_table(index=KEY, columns="name", values="ms", aggfunc="sum", fill_value=0.0)
    whole = rows.set_index(KEY)[["stage", "service_ms"]].loc[wide.index]
    outside_ms = whole["service_ms"] - wide.sum(axis=1)
    mean_ms = float(whole["service_ms"].mean())
    by_mean = sorted(wide.columns, key=lambda name: (name == OTHER, -wide[name].mean()))
    return {
        "source": source,
        "n": len(wide),
        "answers": len(rows),
        "service_ms_mean": mean_ms,
        "outside_ms_mean": float(outside_ms.mean()),
        "outside_share": float(outside_ms.mean()) / mean_ms if mean_ms else None,
        "parts": [_part(str(name), wide[name].to_numpy(), mean_ms) for name in by_mean],
        "stages": {
            str(stage): {
                "n": len(own),
                "service_ms_mean": float(own.mean()),
                "outside_ms_mean": float(outside_ms.loc[own.index].mean()),
                "parts": {str(name): float(wide.loc[own.index, name].mean()) for name in by_mean},
            }
            for stage, own in whole.groupby("stage", observed=True, sort=False)["service_ms"]
        },
        "why_not": None,
    }


def _part(name: str, ms: np.ndarray, service_ms_mean: float) -> dict[str, Any]:
    p50, p95 = np.quantile(ms, [0.5, 0.95])
    share = float(ms.mean()) / service_ms_mean if service_ms_mean else None
    return {"name": name, "ms_mean": float(ms.mean()), "ms_p50": float(p50), "ms_p95": float(p95), "share": share}
