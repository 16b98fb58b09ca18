"""What could make a duet misleading, read from its own rows: shared state, and versions that slow each other down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.gate.paired import compare
from measurements.rundir import RunDirectory

SHARED_FROM = float(np.log(1.2))
PARTS = 12
ENOUGH = 20


@dataclass(frozen=True)
class Overlap:
    """`share` of requests were in service while one of the other version was, and took `stretch` longer for it.

    Where B's time grows by x, the part s·share·stretch that A spends waiting for B grows too, so that the ratio shows
    only x / (1 + share·stretch): `attenuation` is what is lost of x. On cores of their own it is near 0.
    """

    share: float
    stretch: float

    @property
    def attenuation(self) -> float:
        grown = max(0.0, self.share * self.stretch)
        return grown / (1 + grown)


def overlap(rows: pd.DataFrame) -> Overlap | None:
    """`rows` with side, endpoint, sent_ns, done_ns; None where too few did or did not overlap to tell."""
    done = rows[rows["sent_ns"].notna() & rows["done_ns"].notna() & (rows["outcome"] == "ok")]
    parts = []
    for side in (0, 1):
        mine, other = done[done["side"] == side], done[done["side"] != side]
        began = np.searchsorted(np.sort(other["sent_ns"].to_numpy()), mine["done_ns"].to_numpy(), side="left")
        ended = np.searchsorted(np.sort(other["done_ns"].to_numpy()), mine["sent_ns"].to_numpy(), side="right")
        parts.append(mine.assign(together=began > ended, service_ms=(mine["done_ns"] - mine["sent_ns"]) / 1e6))
    both = pd.concat(parts)
    stretches, weights = [], []
    for _, group in both.groupby(["side", "endpoint"], observed=True):
        with_other, alone = group[group["together"]]["service_ms"], group[~group["together"]]["service_ms"]
        if min(len(with_other), len(alone)) >= ENOUGH:
            stretches.append(with_other.mean() / alone.mean() - 1)
            weights.append(len(group))
    if not stretches:
        share = float(both["together"].mean()) if len(both) else 0.0
        return Overlap(share, 0.0) if share < 0.02 else None
    return Overlap(float(both["together"].mean()), float(np.average(stretches, weights=weights)))


def second_is_faster(rows: pd.DataFrame) -> str:
    """A sentence when whoever is asked second answers much sooner: it finds what the first one left, in a cache or a
    store that both use. Both get the same request in each pair, and the order is swapped from block to block."""
    done = rows[rows["sent_ns"].notna() & rows["done_ns"].notna() & (rows["outcome"] == "ok")]
    service = done.assign(service=np.log((done["done_ns"] - done["sent_ns"]).clip(lower=1.0)), place=done["seq"] % 2)
    pairs = service.pivot_table(index=service["seq"] // 2, columns="place", values="service").dropna()
    if len(pairs) < PARTS * 4 or pairs.shape[1] < 2:
        return ""
    gain = (pairs[0] - pairs[1]).to_numpy()
    found = compare(np.array([np.median(part) for part in np.array_split(gain, PARTS)]))
    if found is None or found.low < SHARED_FROM:
        return ""
    return (
        f"the same request takes the version that is asked second {1 - np.exp(-found.theta):.0%} less time: it finds what "
        "the first one left behind, so both use one cache or store; give each its own (a port, folder or database of its "
        "own in [target.control])"
    )


def rows_of(run: RunDirectory) -> pd.DataFrame:
    """The rows of a recording of two versions, with `side`, as these functions want them."""
    from benchmarks.gate.blocks import side_of

    columns = ["seq", "stage", "endpoint", "sent_ns", "done_ns", "outcome"]
    rows = run.table("samples", columns).to_pandas()
    rows = rows[rows["seq"] >= 0].copy()
    names = [stage["name"] for stage in run.read_json("run.json")["schedule"]["stages"]]
    rows["side"] = side_of(rows["seq"].to_numpy(), rows["stage"].astype(str).map(names.index).to_numpy())
    for name in ("sent_ns", "done_ns"):
        rows[name] = rows[name].astype("float64")
    return rows
