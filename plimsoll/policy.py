"""What the contract's limits and the known traps did in a run: gathers what rows and observation say about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from measurements.rundir import RunDirectory
from measurements.sample import Outcome
from plimsoll.health_checks import Asked
from profiles.rates import RUNNING, WAITING, restarts
from targets import clients, limits, traps
from targets.contract import Contract
from targets.limits import Engine, Load, Refusal
from targets.traps import TABLE, Seen, Table

COLUMNS = ["worker", "seq", "step", "stage", "endpoint", "user", "sent_ns", "status", "outcome", "error_id"]
REFUSED = (429, 502, 503, 504)


@dataclass(frozen=True)
class Run:
    """`replicas` and `workers` of the service as they ran. `server`: rows of server.parquet. `health`: what the health
    checks said under load."""

    contract: Contract
    stages: Sequence[Mapping[str, Any]]
    asked: Sequence[Asked]
    health: Mapping[str, Mapping[str, Any]]
    server: pa.Table
    replicas: int = 1
    workers: int = 1
    replaced: bool = False  # replicas were killed or replaced on purpose: counters that begin anew tell nothing


def findings(directory: RunDirectory, run: Run) -> dict[str, list[dict[str, Any]]]:
    """ "limits" and "traps" of summary.json. Reads samples and errors.parquet."""
    rows = directory.table("samples", COLUMNS).to_pandas()
    rows = rows[rows["seq"] >= 0]
    errors = pd.read_parquet(directory.path / "errors.parquet") if directory.has("errors.parquet") else None
    measured = [stage for stage in run.stages if not stage.get("warmup")]
    inside = rows[rows["stage"].isin([stage["name"] for stage in measured]) & (rows["outcome"] != Outcome.dropped.name)]
    front = _front(run.contract, run.asked)
    load = Load(
        seconds=sum(float(stage["duration_s"]) for stage in measured),
        requests={str(name): int(count) for name, count in inside["endpoint"].value_counts().items() if count},
        clients=min(clients.spread(run.contract, front).clients, _came_as(run.contract, inside)),
        processes=run.replicas * run.workers,
        front=front,
        engine=_engine(run.server, measured),
    )
    found = limits.find(run.contract, load, _refusals(inside, errors))
    seen = Seen(
        load=load,
        peak_rps=max((float(s.get("offered_rps") or s.get("achieved_rps") or 0.0) for s in measured), default=0.0),
        limits=found,
        asked=[asked.as_json() for asked in run.asked],
        health=run.health,
        tables=_tables(run, rows),
        restarts_s=[] if run.replaced else restarts(run.server),
    )
    return {
        "limits": [limit.as_json() for limit in found],
        "traps": [trap.as_json() for trap in traps.find(run.contract, seen)],
    }


def _refusals(rows: pd.DataFrame, errors: pd.DataFrame | None) -> list[Refusal]:
    known = dict(zip(errors["error_id"], errors["excerpt"], strict=True)) if errors is not None else {}
    refused = rows[rows["status"].isin(REFUSED) & (rows["outcome"] != Outcome.ok.name)]
    keys = ["endpoint", "status", "error_id"]
    counted = refused.groupby(keys, observed=True, dropna=False).size().reset_index(name="count")
    return [
        Refusal(str(row["endpoint"]), int(row["status"]), _reason(known.get(row["error_id"], "")), int(row["count"]))
        for row in counted.to_dict("records")
    ]


def _reason(text: str) -> str:
    """ "status 503: the queue is full" without what the status says already."""
    status, _, reason = text.partition(": ")
    return reason if status.startswith("status ") else text


def _came_as(contract: Contract, rows: pd.DataFrame) -> int:
    """As how many of the contract's clients the load came: users of a locustfile are one each."""
    identities = contract.users.identities
    if contract.target.locustfile:
        return max(1, min(identities, len(rows[["worker", "user"]].drop_duplicates())))
    return max(1, int((rows["seq"] % identities).nunique()))


def _engine(server: pa.Table, stages: Sequence[Mapping[str, Any]]) -> Engine | None:
    """Of an engine's gauges, as vLLM and others name them, look by look; of several engines their sum."""
    seen = server.select(["at_ns", "name", "value"]).to_pandas()
    at_s = seen["at_ns"] / 1e9
    inside = np.zeros(len(seen), dtype=bool)
    for stage in stages:
        inside |= ((at_s >= stage["start_s"]) & (at_s < stage["start_s"] + stage["duration_s"])).to_numpy()
    seen = seen[inside]
    names = seen["name"].astype(str)
    running, waiting = (
        seen[np.array([bool(pattern.search(name)) for name in names], dtype=bool)].groupby("at_ns")["value"].sum()
        for pattern in (RUNNING, WAITING)
    )
    looks = pd.DataFrame({"running": running, "waiting": waiting}).dropna()
    if looks.empty:
        return None
    most = looks["running"].max()
    full = (looks["running"] >= 0.9 * most) & (looks["waiting"] >= 1)
    return Engine(int(most), int(looks["waiting"].max()), float(full.mean()))


def _front(contract: Contract, asked: Sequence[Asked]) -> bool | None:
    """Whether the answers of the health checks were signed by the contract's proxy."""
    signed = [one.server.lower() for one in asked if one.server]
    if contract.limits.front is None or not signed:
        return None
    return any(server.startswith(contract.limits.front.proxy.lower()) for server in signed)


def _tables(run: Run, rows: pd.DataFrame) -> list[Table]:
    """Gauges that count remembered clients; from one window after the start, when what came before has expired."""
    rates = run.contract.limits.per_client
    if not rates or run.server.num_rows == 0:
        return []
    window_s = max(limits.amount_and_window(rate)[1] for rate in rates)
    sent_s = np.sort(rows["sent_ns"].dropna().to_numpy(dtype=float)) / 1e9
    scraped = run.server.to_pandas()
    scraped = scraped[(scraped["kind"] == "gauge") & (scraped["at_ns"] >= window_s * 1e9)]
    found = []
    for name, series in scraped.groupby("name", observed=True):
        if not TABLE.search(str(name)):
            continue
        held = series.groupby("at_ns")["value"].sum()
        at_s = held.index.to_numpy(dtype=float) / 1e9
        came = np.searchsorted(sent_s, at_s, "right") - np.searchsorted(sent_s, at_s - window_s, "right")
        found.append(Table(str(name), at_s.tolist(), held.tolist(), came.tolist()))
    return found
