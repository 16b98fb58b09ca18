"""The read side of the generator: its echo's delays move quantiles by what they are, or do not matter."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_rows import TEN_SECONDS, row, write

from measurements import frame as frames
from measurements import streams
from measurements.check import Check
from measurements.reading import in_brief, read_late
from measurements.summary import RunFacts, summarise


def judged(folder: Path, response_ms: Any, late_ms: Any) -> Check:
    count = len(response_ms)
    run = write(folder, [row(k * 10_000 / count, float(ms)) for k, ms in enumerate(response_ms)])
    frame = frames.read(run)
    facts = RunFacts(run.identity, "open", "poisson", 1, "completed", TEN_SECONDS)
    echoes = [(k * 10 / len(late_ms), float(ms)) for k, ms in enumerate(late_ms)]
    return read_late(frame, summarise(frame, streams.read(run), facts), TEN_SECONDS, echoes)


def test_an_echo_that_is_heard_at_once_is_ok(tmp_path: Path) -> None:
    found = judged(tmp_path, np.random.default_rng(1).exponential(20, 600), np.full(200, 0.15))
    assert found.state == "ok" and 0.1 < found.measured < 0.3


def test_a_loop_that_reads_everything_late_is_invalid_with_a_remedy(tmp_path: Path) -> None:
    found = judged(tmp_path, np.full(600, 10.0), np.full(200, 5.0))
    assert (found.state, found.scope, round(found.measured, 3)) == ("invalid", "stage:steady", 5.0)
    assert "5.0 ms late" in found.sentence and "core of its own" in found.remedy


def test_late_reading_that_is_small_against_the_response_does_not_matter(tmp_path: Path) -> None:
    assert judged(tmp_path, np.full(600, 500.0), np.full(200, 20.0)).state == "ok"


def test_rare_delays_move_the_tail_and_not_the_middle(tmp_path: Path) -> None:
    rare = np.where(np.arange(200) % 20 == 0, 50.0, 0.1)
    found = judged(tmp_path, np.full(600, 10.0), rare)
    assert found.state == "invalid" and "moves p99" in found.sentence


def test_within_the_interval_of_the_quantile_it_is_a_note(tmp_path: Path) -> None:
    spread = np.random.default_rng(2).exponential(10, 120)
    assert judged(tmp_path, spread, np.full(200, 1.1)).state == "note"


@pytest.mark.parametrize("echoes", [0, 19])
def test_too_few_echoes_judge_nothing(tmp_path: Path, echoes: int) -> None:
    assert judged(tmp_path, np.full(600, 10.0), np.full(echoes, 50.0)).state == "ok"


def test_in_brief_has_the_usual_quantiles() -> None:
    assert in_brief([]) is None
    assert in_brief([(0.0, float(ms)) for ms in range(101)]) == {"n": 101, "p50": 50.0, "p99": 99.0, "max": 100.0}
