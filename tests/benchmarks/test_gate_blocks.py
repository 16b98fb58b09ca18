"""Rows of a duet become figures per block: right side, right count, failures and timeouts where they belong."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.gate import blocks, doubts
from measurements.rundir import RunDirectory
from measurements.sample import SAMPLES

MS = 1_000_000


def recording(
    tmp_path: Path, service_ms: Any, stages: int = 2, per_block: int = 40, late_ms: float = 0.0
) -> RunDirectory:
    """Rows as a duet leaves them: arrival k of block b goes to version (k + b) mod 2, evenly spaced by 10 ms."""
    run = RunDirectory.create(tmp_path, "duet")
    names = ["warmup", *(f"block-{b:03d}" for b in range(1, stages + 1))]
    rows = []
    for seq in range(len(names) * 2 * per_block):
        stage = seq // (2 * per_block)
        side = (seq + stage) % 2
        took_ms, outcome = service_ms(seq, stage, side)
        at = seq * 10 * MS
        rows.append(
            dict.fromkeys(SAMPLES.names) | {"worker": 0, "seq": seq, "step": 0, "stage": names[stage], "endpoint": "ask",
             "replica": side, "intended_ns": at, "sent_ns": at + int(late_ms * MS),
             "done_ns": at + int((late_ms + took_ms) * MS), "outcome": outcome, "tokens_source": "none", "attempt": 1}
        )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, SAMPLES), run.path / "samples" / "worker-000.parquet")
    stages_json = [{"name": name, "warmup": name == "warmup", "duration_s": 0.8} for name in names]
    run.write_json("run.json", {"schema": 1, "schedule": {"stages": stages_json}})
    readings = [{"block": n, "side": s, "cpu_s": 0.2 * (1 + k), "rss_peak_mib": 100.0, "rss_rise_mib": 1.0}
                for n in names for k, s in enumerate(blocks.SIDES)]  # fmt: skip
    (run.path / "duet.json").write_text(json.dumps({"readings": readings}), encoding="utf-8")
    return run


def test_each_version_gets_its_own_figures_and_the_warm_up_none(tmp_path: Path) -> None:
    run = recording(tmp_path, lambda seq, stage, side: (20.0 if side == 0 else 22.0, "ok"))
    first, second = blocks.read(run, {"ask": 5.0})
    assert (first.name, second.name) == ("block-001", "block-002")
    assert (first.order, second.order) == (1, 0)
    assert first.counts == ({"all": 40, "ask": 40}, {"all": 40, "ask": 40})
    assert first.figures[0]["ask", "mean_ms"] == pytest.approx(20.0)
    assert second.difference(("ask", "mean_ms")) == pytest.approx(np.log(1.1))
    assert first.difference(("all", "cpu_s_per_request")) == pytest.approx(np.log(2))
    assert np.isnan(first.difference(("ask", "p95_ms"))), "40 requests carry no p95"


def test_fast_failures_make_nobody_faster_and_timeouts_count_in_full(tmp_path: Path) -> None:
    def service(seq: int, stage: int, side: int) -> tuple[float, str]:
        if side == 1 and seq % 8 in (0, 1):
            return 1.0, "http_error"
        return (3.0, "timeout") if side == 1 and seq % 8 in (2, 3) else (20.0, "ok")

    block = blocks.read(recording(tmp_path, service), {"ask": 5.0})[0]
    assert block.figures[1]["all", "error_rate"] == pytest.approx(0.5)
    assert block.difference(("all", "error_rate")) == pytest.approx(0.5)
    assert block.figures[1]["ask", "mean_ms"] == pytest.approx((2 * 20 + 5000) / 3)


def test_a_block_in_which_the_generator_was_late_is_void(tmp_path: Path) -> None:
    found = blocks.read(recording(tmp_path, lambda *_: (20.0, "ok"), late_ms=4.0), {"ask": 5.0})
    assert all("the generator was 4.0 ms late" in block.voided for block in found)


def test_a_shared_cache_is_found_by_who_was_asked_first(tmp_path: Path) -> None:
    def shared(seq: int, stage: int, side: int) -> tuple[float, str]:
        return (20.0 if seq % 2 == 0 else 8.0), "ok"

    said = doubts.second_is_faster(doubts.rows_of(recording(tmp_path, shared)))
    assert "both use one cache or store" in said
    apart = recording(tmp_path, lambda seq, stage, side: (20.0 if side == 0 else 8.0, "ok"), stages=4)
    assert doubts.second_is_faster(doubts.rows_of(apart)) == "", "a faster candidate is no shared cache"


def test_versions_that_slow_each_other_down_say_how_much_is_lost(tmp_path: Path) -> None:
    def service(seq: int, stage: int, side: int) -> tuple[float, str]:
        return (12.0 if seq % 4 in (0, 1) else 6.0), "ok"  # in every second pair both are in service together

    found = doubts.overlap(doubts.rows_of(recording(tmp_path, service)))
    assert found is not None
    assert 0.4 < found.share < 0.8
    assert found.attenuation == pytest.approx(found.share * found.stretch / (1 + found.share * found.stretch))
    alone = doubts.overlap(doubts.rows_of(recording(tmp_path, lambda *_: (5.0, "ok"))))
    assert alone is not None and alone.attenuation == 0


def test_the_lane_sends_to_the_version_that_the_blocks_are_read_by() -> None:
    from loadtests.plan import LoadPlan

    assert LoadPlan.__dataclass_fields__["duet"].default is False
    seq, block = np.arange(8), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert blocks.side_of(seq, block).tolist() == [0, 1, 0, 1, 1, 0, 1, 0]


def test_among_many_versions_everybody_comes_after_everybody_else_as_often() -> None:
    seq = np.arange(1_000)
    turns = blocks.side_of(seq, seq // 200, 5)  # 5 blocks of 40 cycles
    cycles = turns.reshape(-1, 5)
    assert (np.sort(cycles) == np.arange(5)).all()
    within = Counter((int(a), int(b)) for cycle in cycles for a, b in pairwise(cycle))
    assert len(within) == 20 and set(within.values()) == {40}
