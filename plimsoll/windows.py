"""A run's rows and observations cut into seconds: what the regression on the mix reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from measurements.rundir import RunDirectory, read_parquet
from measurements.sample import NEVER_SENT
from plimsoll.told import FILE as TIMING
from profiles.usage import cpu_rises

if TYPE_CHECKING:
    from capacity.documents import Stage
    from capacity.mix import Windows

LENGTH_S = 1.0
MOST_ROWS = 2_000_000  # beyond, the columns would need more memory than the answer is worth
COUNTED = ("bytes_in", "bytes_out", "tokens_in", "tokens_out")
KEY = ["worker", "seq", "step"]


def of(directory: RunDirectory, stages: list[Stage]) -> Windows | None:
    """Of the stages given, in whole seconds; None without rows or observation, or with too many rows."""
    from capacity.mix import Windows

    if not stages or not directory.has("resources.parquet") or sum(stage.count for stage in stages) > MOST_ROWS:
        return None
    rows = _rows(directory)
    if not len(rows):
        return None
    starts, numbers = _starts(stages)
    endpoints = sorted(rows["endpoint"].unique())
    ends = starts + LENGTH_S
    work = np.empty((len(starts), len(endpoints)))
    done = np.empty_like(work)
    counted = {name: np.zeros_like(work) for name in (*COUNTED, "upstream_s") if name in rows}
    for k, name in enumerate(endpoints):
        mine = rows[rows["endpoint"] == name]
        sent, ended = mine["sent_s"].to_numpy(), mine["done_s"].to_numpy()
        work[:, k] = _worked(sent, ended, ends) - _worked(sent, ended, starts)
        order = np.argsort(ended)
        first, last = np.searchsorted(ended[order], starts), np.searchsorted(ended[order], ends)
        done[:, k] = last - first
        for what, sums in counted.items():
            total = np.concatenate([[0.0], np.cumsum(mine[what].fillna(0).to_numpy()[order])])
            sums[:, k] = total[last] - total[first]
    used = cpu_rises(read_parquet(directory.path / "resources.parquet"), starts, ends)
    named = {"cpu_s": used.pop("target", None), **{f"{role}_cpu_s": values for role, values in used.items()}}
    return Windows(
        LENGTH_S, endpoints, numbers, work, done, {k: v for k, v in named.items() if v is not None},
        {what: sums for what, sums in counted.items() if sums.sum() > 0},
    )  # fmt: skip


def _rows(directory: RunDirectory) -> pd.DataFrame:
    columns = [*KEY, "endpoint", "outcome", "sent_ns", "done_ns", *COUNTED]
    rows = directory.table("samples", columns).to_pandas()
    rows = rows[
        (rows["seq"] >= 0) & ~rows["outcome"].isin(NEVER_SENT) & rows["sent_ns"].notna() & rows["done_ns"].notna()
    ]
    rows = rows.assign(
        sent_s=rows["sent_ns"] / 1e9, done_s=rows["done_ns"] / 1e9, endpoint=rows["endpoint"].astype(str)
    )
    if not directory.has(TIMING):
        return rows
    parts = read_parquet(directory.path / TIMING).to_pandas()
    upstream = parts[parts["name"].astype(str) == "upstream"].groupby(KEY, as_index=False)["ms"].sum()
    return rows.merge(upstream.assign(upstream_s=upstream["ms"] / 1000)[[*KEY, "upstream_s"]], on=KEY, how="left")


def _starts(stages: list[Stage]) -> tuple[np.ndarray, np.ndarray]:
    """(starts, number of the stage) of every whole window inside a stage, in the order of time."""
    found, numbers = [], []
    for number, stage in enumerate(sorted(stages, key=lambda one: one.start_s)):
        inside = stage.start_s + LENGTH_S * np.arange(int(stage.duration_s / LENGTH_S))
        found.append(inside)
        numbers.append(np.full(len(inside), number))
    return np.concatenate(found), np.concatenate(numbers)


def _worked(sent: np.ndarray, ended: np.ndarray, until: np.ndarray) -> np.ndarray:
    """Requests' worth of work done up to each time, a request being worked on evenly from sent to ended."""
    slope = 1 / np.maximum(ended - sent, 1e-6)
    begin, end = np.argsort(sent), np.argsort(ended)
    rate = np.concatenate([[0.0], np.cumsum(slope[begin])])
    offset = np.concatenate([[0.0], np.cumsum((slope * sent)[begin])])
    rate_over = np.concatenate([[0.0], np.cumsum(slope[end])])
    offset_over = np.concatenate([[0.0], np.cumsum((slope * sent)[end])])
    a, b = np.searchsorted(sent[begin], until), np.searchsorted(ended[end], until)
    return (rate[a] - rate_over[b]) * until - (offset[a] - offset_over[b]) + b
