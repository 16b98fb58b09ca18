"""What is wrong so plainly that a reader hears it first: an endpoint that failed every request, a service gone silent."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from measurements.frame import Frame
from measurements.rundir import RunDirectory
from measurements.sample import Outcome

FEWEST = 10
SILENT_S, REFUSED_SHARE = 1.0, 0.5
EXCERPT_CHARACTERS = 160
NOT_SENT = (Outcome.dropped, Outcome.lost)


def trouble(run: RunDirectory, frame: Frame) -> dict[str, Any]:
    """`failing`: {endpoint, requests, outcome, said} of each endpoint of which no request was answered well, most first;
    `silent`: {from_s, requests, said} where the service answered, and then refused connections to the end; else null."""
    sent = ~np.isin(frame.outcome, NOT_SENT)
    silent = _silent(frame, sent)
    if silent is not None:
        silent |= {"said": _said(run, None, silent["from_s"])}
    failing = []
    for code, name in enumerate(frame.endpoints):
        outcomes = np.bincount(frame.outcome[sent & (frame.endpoint == code)], minlength=len(Outcome))
        if outcomes.sum() >= FEWEST and not outcomes[Outcome.ok]:
            said = "; ".join(part for part in (_said(run, name, 0.0), _body(run, name)) if part)
            most = Outcome(int(outcomes.argmax())).name
            failing.append({"endpoint": name, "requests": int(outcomes.sum()), "outcome": most, "said": said})
    return {"failing": sorted(failing, key=lambda one: -one["requests"]), "silent": silent}


def _silent(frame: Frame, sent: np.ndarray) -> dict[str, Any] | None:
    """Refused, not only slow: a service that is too busy times out, one that is gone finds nobody to connect to."""
    ok = frame.outcome == Outcome.ok
    if not ok.any():
        return None
    last_ns = int(frame.done_ns[ok].max())
    behind = sent & (frame.intended_ns > last_ns)
    count, refused = int(behind.sum()), int((behind & (frame.outcome == Outcome.connect_error)).sum())
    if count < FEWEST or refused < REFUSED_SHARE * count:
        return None
    if int(frame.intended_ns[behind].max()) - last_ns < SILENT_S * 1e9:
        return None
    return {"from_s": last_ns / 1e9, "requests": count}


def _said(run: RunDirectory, endpoint: str | None, from_s: float) -> str:
    """The commonest error's excerpt, already without secrets."""
    try:
        texts = {row["error_id"]: row["excerpt"] for row in pq.read_table(run.path / "errors.parquet").to_pylist()}
    except (pa.ArrowException, OSError, KeyError):
        return ""
    rows = run.table("samples", ["error_id", "endpoint", "intended_ns"])
    names = np.asarray(rows["endpoint"].cast(pa.string()).to_numpy(zero_copy_only=False))
    chosen = rows["intended_ns"].to_numpy() >= from_s * 1e9
    if endpoint is not None:
        chosen &= names == endpoint
    found = Counter(rows["error_id"].filter(pa.array(chosen)).drop_null().to_pylist())
    return str(texts.get(found.most_common(1)[0][0]) or "") if found else ""


def _body(run: RunDirectory, endpoint: str) -> str:
    """What the service wrote in the first example of the endpoint's failures, where it is a word about it and no page."""
    try:
        lines = (run.path / "examples.jsonl").read_text(encoding="utf-8").splitlines()
        examples = [json.loads(line) for line in lines]
    except (OSError, ValueError):
        return ""
    bodies = (one.get("body") for one in examples if one.get("endpoint") == endpoint and one.get("outcome") != "ok")
    body = " ".join(str(next(bodies, None) or "").split())
    cut = f"{body[:EXCERPT_CHARACTERS]}…" if len(body) > EXCERPT_CHARACTERS else body
    return "" if body.startswith("<") else cut
