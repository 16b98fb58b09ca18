"""The harness's own figures: growth, comparison that fails closed, the table; one real bench through all of it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import comparison, results, table
from benchmarks.harness.results import Results, Row
from measurements.errors import FormatError

MACHINE = {"cpu_model": "one", "cores": 2, "memory_mib": 8192}
ROOT = Path(__file__).parents[2]


def row(name: str, median_ms: float, **extra: Any) -> Row:
    stats = {"min": median_ms * 0.9, "mean": median_ms, "stddev": 0.1, "median": median_ms, "iqr": median_ms * 0.1}
    return Row(name, "g", 10, 1000 / median_ms, stats, extra, [median_ms / 1e3] * 10, peak_mib=4.0)


def sized(exponent: float) -> list[Row]:
    return [row(f"piece[{n}]", 2.0 * n**exponent / 100, size=n, unit="row") for n in (100, 1_000, 10_000)]


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_slope_of_growth_is_the_planted_exponent(exponent: float) -> None:
    (found,) = results.growth(sized(exponent))
    assert found["slope"] == pytest.approx(exponent)
    assert found["sizes"] == [100, 1_000, 10_000]


def test_two_sizes_make_no_slope() -> None:
    assert results.growth(sized(1.0)[:2]) == []
    assert table.growth([]) == []


def against(now: list[Row], saved: list[Row], machine: dict[str, Any] = MACHINE) -> list[str]:
    here, there = Results(MACHINE, now), Results(machine, saved)
    return comparison.objections(here, there, comparison.compare(here, there))


def test_the_same_set_again_passes() -> None:
    assert against([row("a", 10), row("b", 20)], [row("a", 10.4), row("b", 19)]) == []


@pytest.mark.parametrize(
    ("now", "saved", "says"),
    [
        ([row("a", 20)], [row("a", 10)], "a takes 2.00 times as long"),
        ([row("a", 10)], [row("a", 10), row("b", 5)], "b is in the saved set and was not measured now"),
        ([row("a", 10), row("c", 1)], [row("a", 10)], "c is not in the saved set"),
        ([row("a", 10)], [], "the saved set is empty"),
    ],
)
def test_what_is_slower_missing_or_new_is_no_pass(now: list[Row], saved: list[Row], says: str) -> None:
    assert any(says in sentence for sentence in against(now, saved))


def test_a_choice_of_benches_is_compared_with_its_own_rows_and_misses_none_of_them() -> None:
    saved = Results(
        MACHINE, [row("bm25_load[5]", 1), row("bm25_load[50]", 2), row("bm25_search[5]", 3), row("prompt[2]", 4)]
    )
    now = Results(MACHINE, [row("bm25_load[5]", 1)])
    kept = comparison.chosen(saved, now, "bm25")
    assert [one.name for one in kept.rows] == ["bm25_load[5]", "bm25_load[50]", "bm25_search[5]"]
    said = comparison.objections(now, kept, comparison.compare(now, kept))
    assert said == [f"bm25_{name} is in the saved set and was not measured now" for name in ("load[50]", "search[5]")]
    assert comparison.chosen(saved, now, "") == saved


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (replace(row("a", 10), peak_mib=8.0, allocations=1_000), "a needs 8.0 MiB at its peak, 4.0 in the saved set"),
        (replace(row("a", 10), allocations=2_000), "a allocates 2,000 times a call, 1,000 in the saved set"),
        (replace(row("a", 10), peak_mib=None), "a has memory figures in one of the two sets only"),
        (replace(row("a", 10), peak_mib=4.4, allocations=1_100), ""),
    ],
)
def test_a_call_that_takes_more_memory_is_no_pass(now: Row, says: str) -> None:
    assert against([now], [replace(row("a", 10), allocations=1_000)]) == ([says] if says else [])


def test_another_machine_is_no_pass_and_names_what_differs() -> None:
    (sentence,) = against([row("a", 10)], [row("a", 10)], {**MACHINE, "cores": 64})
    assert "cores: 64, here 2" in sentence


def test_a_median_that_moved_inside_the_middle_halves_is_the_same() -> None:
    wide = replace(row("a", 14), stats={**row("a", 14).stats, "iqr": 8.0})
    assert against([wide], [row("a", 10)]) == []


def test_a_set_is_saved_with_every_round_and_read_again(tmp_path: Path) -> None:
    kept = Results(MACHINE, [row("a", 10, p95_ms=None)])
    kept.save(tmp_path / "x" / "results.json")
    assert results.load(tmp_path / "x" / "results.json") == kept


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 9, "machine": {}, "rows": []}', '{"schema": 1, "rows": [{}]}'])
def test_a_damaged_or_foreign_set_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(FormatError):
        results.load(tmp_path / "results.json")


def test_a_percentile_that_few_rounds_cannot_carry_is_a_bound_or_a_dash() -> None:
    lines = table.rows([row("a", 10, p95_ms=None, p95_ms_at_least=9.5, p99_ms=None), row("b", 10, p95_ms=12.0)])
    assert ">= 9.5" in lines[1]
    assert lines[1].split()[-3] == "-"
    assert "12" in lines[2]


def test_a_missing_baseline_fails_before_anything_is_measured(tmp_path: Path) -> None:
    done = bench(tmp_path, "--against", "nothing")
    assert done.returncode == 1
    assert "make bench SAVE=nothing" in done.stderr


def bench(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "benchmarks.harness", *words], cwd=cwd, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
