"""A report from a run directory on disk: rows counted, charts drawn, one page written."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from measurements import frame, streams
from measurements.rundir import RunDirectory
from measurements.sample import NULL, PACKED, Outcome, batch
from measurements.summary import RunFacts, Window, summarise
from reports.render import render

ROWS = (10_000, 100_000, 1_000_000)
STAGES = 5
STAGE_S = 60.0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, RunDirectory]:
    made = {size: run_of(tmp_path_factory.mktemp("runs"), size) for size in ROWS}
    render(made[min(ROWS)])  # fonts and templates are read once
    return made


@pytest.mark.benchmark(group="report")
@pytest.mark.parametrize("size", ROWS)
def bench_report_rendering(benchmark: Any, runs: dict[int, RunDirectory], size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "row"}
    page = benchmark.pedantic(render, args=(runs[size],), rounds=3, warmup_rounds=1)
    assert page.stat().st_size > 50_000


def run_of(folder: Path, rows: int) -> RunDirectory:
    """Five stages of exponential response times, `rows` requests in all."""
    random = np.random.default_rng(1)
    packed = np.full(rows, NULL, dtype=PACKED.descr)
    for name in ("step", "endpoint", "replica", "tokens_source", "outcome"):
        packed[name] = 0
    packed["seq"], packed["user"], packed["attempt"], packed["status"] = np.arange(rows), 0, 1, 200
    packed["intended_ns"] = np.sort(random.uniform(0, STAGES * STAGE_S * 1e9, rows))
    packed["stage"] = packed["intended_ns"] // int(STAGE_S * 1e9)
    packed["sent_ns"] = packed["intended_ns"] + 100_000
    packed["done_ns"] = packed["sent_ns"] + random.exponential(50e6, rows).astype(np.int64)
    packed["outcome"][::97] = Outcome.http_error
    names = [f"step-{number:02d}" for number in range(1, STAGES + 1)]
    run = RunDirectory.create(folder, "bench")
    table = pa.Table.from_batches([batch(packed, 0, names, ["work"])])
    pq.write_table(table, run.path / "samples" / "worker-000.parquet")
    windows = [Window(name, k * STAGE_S, (k + 1) * STAGE_S, rows / 300, rows / 300) for k, name in enumerate(names)]
    limits = {"all": {"p95_ms": 300.0}}
    facts = RunFacts("bench", "open", "poisson", 1, "completed", windows, limits=limits)
    summary = summarise(frame.read(run), streams.read(run), facts)
    contract = {"target": {"name": "bench", "base_url": "http://127.0.0.1:8000"}}
    run.write_json(
        "run.json", {"schema": 1, "run": run.identity, "name": "bench", "contract": contract, "limits": limits}
    )
    run.write_json("summary.json", {**summary, "valid": True, "indicative": False, "reasons": [], "exit_code": 0})
    run.write_json("validity.json", {"schema": 1, "valid": True, "indicative": False, "checks": []})
    return run
