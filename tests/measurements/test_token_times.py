"""Time to first token, gaps between tokens, time per output token."""

from pathlib import Path

import numpy as np
import pytest
from made_rows import row, summary, write

from measurements import streams


def evenly(first_ms: float, gap_ms: float, count: int, tokens: int = 1) -> list[tuple[float, int]]:
    return [(first_ms + k * gap_ms, tokens) for k in range(count)]


def test_a_stream_of_n_tokens_gives_ttft_tpot_and_end_to_end_as_the_formula_says(tmp_path: Path) -> None:
    a, d, n = 80.0, 20.0, 16
    rows = [row(k * 100, a + (n - 1) * d, token_ms=evenly(a, d, n)) for k in range(100)]
    entry = summary(tmp_path, rows)["endpoints"]["generate"]
    assert entry["ttft_ms"]["p50"] == pytest.approx(a)
    assert entry["tpot_ms"]["p50"] == pytest.approx(d)
    assert entry["itl_ms"]["p50"] == pytest.approx(d)
    assert entry["itl_ms"]["n"] == 100 * (n - 1)
    assert entry["response_ms"]["p50"] == pytest.approx(a + (n - 1) * d)
    assert entry["output_tokens_per_s"] == pytest.approx(100 * n / 10)


def test_several_tokens_in_one_event_are_several_gaps_that_add_up_to_the_events_gap(tmp_path: Path) -> None:
    run = write(tmp_path, [row(0, 500, token_ms=[(100, 1), (200, 4), (260, 3)])])
    found = streams.read(run)
    assert found.tokens.tolist() == [8]
    assert (found.gap_ns / 1e6).tolist() == pytest.approx([25] * 4 + [20] * 3)
    assert (found.tpot_ns / 1e6).tolist() == pytest.approx([160 / 7])


def test_ttft_counts_from_the_intended_time_and_not_from_when_the_generator_got_round_to_it(tmp_path: Path) -> None:
    rows = [row(k * 100, 500, late_ms=40, token_ms=[(90, 1), (120, 1)]) for k in range(100)]
    assert summary(tmp_path, rows)["endpoints"]["generate"]["ttft_ms"]["p50"] == pytest.approx(90)


def test_a_stream_that_timed_out_without_a_token_has_a_ttft_of_no_less_than_the_timeout(tmp_path: Path) -> None:
    rows = [row(k * 100, 500, token_ms=[(50, 1), (90, 1)]) for k in range(60)]
    rows += [row(k * 100, 3_000, "timeout") for k in range(40)]
    found = summary(tmp_path, rows, timeouts_s={"generate": 3.0})["endpoints"]["generate"]["ttft_ms"]
    assert found["n"] == 100
    assert found["p90"] == pytest.approx(3_000)
    assert found["p50"] == pytest.approx(50)


def test_timeouts_of_an_endpoint_that_does_not_stream_are_no_ttft_of_the_mix(tmp_path: Path) -> None:
    rows = [row(k * 100, 500, token_ms=[(50, 1), (90, 1)]) for k in range(60)]
    rows += [row(k * 100, 3_000, "timeout", endpoint="search") for k in range(40)]
    found = summary(tmp_path, rows, timeouts_s={"generate": 3.0, "search": 3.0})
    assert found["all"]["ttft_ms"]["n"] == 60
    assert found["all"]["ttft_ms"]["max"] == pytest.approx(50)


def test_an_answer_of_one_token_has_a_ttft_but_no_time_per_output_token(tmp_path: Path) -> None:
    rows = [row(k * 100, 60, token_ms=[(60, 1)]) for k in range(80)]
    entry = summary(tmp_path, rows)["endpoints"]["generate"]
    assert entry["ttft_ms"]["n"] == 80
    assert (entry["tpot_ms"]["n"], entry["itl_ms"]["n"]) == (0, 0)


def test_plain_answers_have_no_token_times(tmp_path: Path) -> None:
    entry = summary(tmp_path, [row(k * 100) for k in range(80)])["endpoints"]["generate"]
    assert not {"ttft_ms", "itl_ms", "tpot_ms", "output_tokens_per_s"} & entry.keys()


def test_token_times_of_one_endpoint_or_stage_are_not_mixed_with_anothers(tmp_path: Path) -> None:
    rows = [row(k * 50, 900, endpoint="fast", token_ms=evenly(10, 5, 4)) for k in range(100)]
    rows += [row(k * 50, 900, endpoint="slow", token_ms=evenly(200, 50, 4)) for k in range(100)]
    found = summary(tmp_path, rows)["endpoints"]
    assert found["fast"]["itl_ms"]["max"] == pytest.approx(5)
    assert found["slow"]["itl_ms"]["min"] == pytest.approx(50)


def test_the_goodput_of_streams_judges_first_token_and_pace_of_each_answer(tmp_path: Path) -> None:
    rows = [row(k * 100, 900, token_ms=evenly(50, 10, 5)) for k in range(50)]
    rows += [row(k * 100, 900, token_ms=evenly(500, 10, 5)) for k in range(20)]  # late first token
    rows += [row(k * 100, 900, token_ms=evenly(50, 90, 5)) for k in range(30)]  # slow pace
    limits = {"generate": {"ttft_p95_ms": 100.0, "tpot_p95_ms": 40.0}}
    assert summary(tmp_path, rows, limits=limits)["endpoints"]["generate"]["goodput_rps"] == pytest.approx(5.0)


def test_a_run_without_streams_has_none(tmp_path: Path) -> None:
    found = streams.read(write(tmp_path, [row(0)]))
    assert len(found.key) == len(found.gap_ns) == 0
    assert np.asarray(found.tpot_ns).size == 0
