"""Figures of more rows than memory holds are the same as those of rows that it does."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from measurements import out_of_core, sample
from measurements.quantiles import QUANTILES, ranks
from measurements.rundir import RunDirectory
from measurements.sample import Outcome


def written(run: RunDirectory, worker: int, response_ns: np.ndarray, outcome: np.ndarray, stage: np.ndarray) -> None:
    packed = np.zeros(len(response_ns), dtype=sample.PACKED)
    packed["seq"], packed["outcome"], packed["stage"], packed["error_id"] = np.arange(len(packed)), outcome, stage, -1
    packed["intended_ns"] = np.arange(len(packed)) * 1_000
    packed["done_ns"] = np.where(outcome == Outcome.dropped, -1, packed["intended_ns"] + response_ns)
    packed["endpoint"] = np.arange(len(packed)) % 2
    table = pa.Table.from_batches([sample.batch(packed, worker, ["one", "two"], ["a", "b"])])
    pq.write_table(table, run.path / "samples" / f"worker-{worker:03d}.parquet")


def made(folder: Path, n: int, seed: int = 1) -> tuple[RunDirectory, list[np.ndarray]]:
    run, chance = RunDirectory.create(folder, "made"), np.random.default_rng(seed)
    parts = []
    for worker in range(2):
        response_ns = (chance.lognormal(16, 1.0, n)).astype(np.int64)
        outcome = chance.choice(
            [Outcome.ok, Outcome.ok, Outcome.ok, Outcome.timeout, Outcome.http_error, Outcome.dropped], n
        )
        stage = (np.arange(n) >= n // 3).astype(int)
        written(run, worker, response_ns, outcome, stage)
        parts.append(
            np.rec.fromarrays([response_ns, outcome, stage, np.arange(n) % 2], names="response,outcome,stage,endpoint")
        )
    return run, parts


@pytest.mark.parametrize("n", [300, 60_000])
def test_every_count_and_quantile_is_that_of_the_rows_in_memory(n: int, tmp_path: Path) -> None:
    run, parts = made(tmp_path, n)
    every = np.concatenate(parts).view(np.recarray)
    found = out_of_core.totals(run.path)
    assert len(found) == 4 and sum(entry["count"] for entry in found) == 2 * n
    for entry in found:
        mine = every[
            (every.stage == ["one", "two"].index(entry["stage"])) & (every.endpoint == "ab".index(entry["endpoint"]))
        ]
        assert entry["outcomes"] == {
            Outcome(k).name: int(c) for k, c in zip(*np.unique(mine.outcome, return_counts=True), strict=True)
        }
        ms = np.sort(mine.response[np.isin(mine.outcome, [Outcome.ok, Outcome.timeout])] / 1e6)
        times = entry["response_ms"]
        assert (times["n"], times["min"], times["max"]) == (len(ms), ms[0], ms[-1])
        assert times["mean"] == pytest.approx(ms.mean())
        for name, p in QUANTILES.items():
            interval = ranks(len(ms), p)
            if interval is None:
                assert times[name] is None
                continue
            assert times[name] == pytest.approx(np.quantile(ms, p), rel=1e-12)
            assert times["ci95_if_independent"][name] == [ms[interval[0] - 1], ms[interval[1] - 1]]


def test_equal_times_without_end_are_no_trouble(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "made")
    n = 20_000
    written(run, 0, np.full(n, 5_000_000), np.zeros(n, dtype=int), np.zeros(n, dtype=int))
    for entry in out_of_core.totals(run.path, memory_mib=256):
        assert {entry["response_ms"][name] for name in QUANTILES} == {5.0}


def test_nothing_is_left_beside_the_samples(tmp_path: Path) -> None:
    run, _ = made(tmp_path, 1_000)
    before = sorted(run.path.rglob("*"))
    out_of_core.totals(run.path)
    assert sorted(run.path.rglob("*")) == before
