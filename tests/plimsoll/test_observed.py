"""What a run observed reaches the plan: service times, replicas, error texts, a search's bracket."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from measurements import sample
from measurements.rundir import RunDirectory
from measurements.sample import PACKED, Outcome
from plimsoll import observed

STAGES = ["warmup", "step-01"]


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """Two replicas, the second three times as slow; a warm-up in which everything takes a second."""
    run = RunDirectory.create(tmp_path, "two")
    packed = np.zeros(2_400, dtype=PACKED)
    for name in PACKED.names or ():
        packed[name] = sample.NULL
    k = np.arange(len(packed))
    packed["seq"], packed["step"], packed["stage"], packed["endpoint"] = k, 0, (k >= 400).astype(int), 0
    packed["user"], packed["tokens_source"], packed["attempt"], packed["status"] = 0, 0, 1, 200
    packed["replica"], packed["outcome"] = k % 2, Outcome.ok
    packed["intended_ns"] = packed["sent_ns"] = k * 10_000_000
    service_ms = np.where(k < 400, 1000, np.where(k % 2 == 1, 30, 10)) + k % 7
    packed["done_ns"] = packed["sent_ns"] + service_ms * 1_000_000
    table = pa.Table.from_batches([sample.batch(packed, 0, STAGES, ["work"])])
    pq.write_table(table, run.path / "samples" / "worker-000.parquet")
    calm = {"n": 2000, "mean": 23.0, "p50": 15.0}
    stages = [
        {"name": "warmup", "warmup": True, "start_s": 0, "duration_s": 4, "all": {"count": 400}},
        {
            "name": "step-01", "start_s": 4, "duration_s": 20, "offered_rps": 100.0, "achieved_rps": 100.0,
            "all": {"count": 2000, "ok": 2000, "response_ms": calm, "error_rate": 0.0}, "endpoints": {},
        },
    ]  # fmt: skip
    contract = {"target": {"name": "two", "base_url": ["http://127.0.0.1:1", "http://127.0.0.1:2"]}}
    run.write_json("run.json", {"schema": 1, "contract": contract})
    run.write_json("summary.json", {"stages": stages})
    run.write_json("validity.json", {"valid": True})
    return run


def test_service_times_and_replicas_come_from_the_rows_without_the_warm_up(directory: RunDirectory) -> None:
    found = observed.documents(directory)
    assert found.service_times_s is not None and found.replica_times is not None
    times_s = np.array(found.service_times_s["work"])
    assert len(times_s) == 2_000
    assert times_s.max() == pytest.approx(0.036)
    assert found.replica_times["0"]["p50_ms"] == pytest.approx(13, abs=1)
    assert found.replica_times["1"]["p50_ms"] == pytest.approx(33, abs=1)
    assert found.replica_times["1"]["n"] == 1_000


def test_error_texts_and_a_searchs_bracket_are_handed_on_where_they_are(directory: RunDirectory) -> None:
    assert (observed.documents(directory).errors, observed.documents(directory).search) == ([], None)
    errors = [
        {"error_id": 1, "outcome": "http_error", "count": 7, "pattern": "QueuePool #", "excerpt": "QueuePool limit"}
    ]
    pq.write_table(pa.Table.from_pylist(errors), directory.path / "errors.parquet")
    (directory.path / "search.json").write_text(json.dumps({"valid": True, "lower_rps": 3, "upper_rps": 4}))
    found = observed.documents(directory)
    assert [(row["excerpt"], row["count"]) for row in found.errors] == [("QueuePool limit", 7)]
    assert found.search == {"valid": True, "lower_rps": 3, "upper_rps": 4}


def test_one_replica_is_compared_with_none(directory: RunDirectory) -> None:
    document = directory.read_json("run.json")
    document["contract"]["target"]["base_url"] = "http://127.0.0.1:1"
    directory.write_json("run.json", document)
    assert observed.documents(directory).replica_times is None
