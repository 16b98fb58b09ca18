"""One bench through timing, memory and the table, as `make bench` does it."""

from pathlib import Path

import pytest

from benchmarks.harness import results
from tests.benchmarks.test_bench_results import bench


@pytest.mark.prove
def test_one_bench_goes_through_timing_memory_and_table(tmp_path: Path) -> None:
    first = bench(tmp_path, "--only", "prompt", "--save", "before")
    assert first.returncode == 0, first.stdout + first.stderr
    kept = results.load(tmp_path / ".benchmarks" / "before" / "results.json")
    prompts = [one for one in kept.rows if one.family == "prompt"]
    assert len(prompts) == 3
    assert all(one.peak_mib and one.raw_s and len(one.raw_s) == one.rounds for one in prompts)
    assert list((tmp_path / ".benchmarks" / "before").glob("*.bin"))
    assert "time ~ size^" in first.stdout
