"""Upstream time from a recording proxy: joined by trace, else by time, and left out where nobody can tell."""

import json
from pathlib import Path

import pandas as pd
import pytest

from measurements.errors import FormatError
from profiles.exchanges import Exchange, of_exchanges, read

RUN = "4bf92f3577b34da6"
MS = 1_000_000


def rows(*spans_ms: tuple[float, float], endpoint: str = "ask") -> pd.DataFrame:
    told = [(0, seq, 0, endpoint, round(a * MS), round(b * MS)) for seq, (a, b) in enumerate(spans_ms)]
    return pd.DataFrame(told, columns=["worker", "seq", "step", "endpoint", "start_ns", "end_ns"])


def exchange(start_ms: float, end_ms: float, seq: int | None = None) -> Exchange:
    return Exchange("" if seq is None else f"{RUN}{seq:016x}", round(start_ms * MS), round(end_ms * MS))


def upstream_ms(exchanges: list[Exchange], frame: pd.DataFrame) -> dict[int, float]:
    return {row["seq"]: row["ms"] for row in of_exchanges(exchanges, frame, RUN).to_pylist()}


def test_an_exchange_belongs_to_the_only_request_that_was_open() -> None:
    found = upstream_ms([exchange(10, 40), exchange(110, 190)], rows((0, 50), (100, 200)))
    assert found == {0: 30.0, 1: 80.0}


def test_where_two_were_open_both_are_left_out() -> None:
    found = upstream_ms([exchange(20, 40), exchange(310, 320)], rows((0, 50), (10, 60), (300, 400)))
    assert found == {2: 10.0}


def test_a_trace_that_is_passed_on_tells_them_apart() -> None:
    frame = rows((0, 50), (10, 60))
    assert upstream_ms([exchange(20, 40, seq=1), exchange(12, 45, seq=0)], frame) == {0: 33.0, 1: 20.0}


def test_calls_in_parallel_count_once_and_calls_in_turn_add_up() -> None:
    found = upstream_ms([exchange(10, 40), exchange(20, 50), exchange(60, 70)], rows((0, 100)))
    assert found == {0: 50.0}


def test_a_request_that_the_proxy_did_not_see_spent_nothing_there() -> None:
    assert upstream_ms([exchange(10, 40)], rows((0, 50), (100, 120))) == {0: 30.0, 1: 0.0}


def test_of_an_endpoint_that_never_reached_the_proxy_nothing_is_said() -> None:
    frame = pd.concat([rows((0, 50)), rows((100, 120), endpoint="search").assign(seq=1)])
    assert upstream_ms([exchange(10, 40)], frame) == {0: 30.0}


def test_without_any_exchange_nothing_is_said() -> None:
    assert upstream_ms([], rows((0, 50))) == {}
    assert upstream_ms([exchange(1, 2)], rows()) == {}


def recording(path: Path, *exchanges: str, boot_id: str = "this-boot") -> Path:
    head = {"plimsoll_llm_recording": 1, "began_monotonic_ns": 5_000 * MS, "boot_id": boot_id}
    path.write_text("\n".join([json.dumps(head), *exchanges]), encoding="utf-8")
    return path


def test_times_count_on_the_machines_clock_and_those_of_other_runs_are_left_out(tmp_path: Path) -> None:
    lines = [json.dumps({"received_ns": at * MS, "done_ns": 30 * MS, "trace": "ab"}) for at in (100, 900)]
    path = recording(tmp_path / "r.jsonl", *lines, '{"received_ns": 95')  # the last one is being written
    assert read(path, "this-boot", (5_000 * MS, 5_500 * MS)) == [Exchange("ab", 5_100 * MS, 5_130 * MS)]


@pytest.mark.parametrize("text", ["", "no json", "{}", '{"boot_id": "this-boot", "began_monotonic_ns": "x"}'])
def test_what_is_no_recording_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.jsonl").write_text(text + "\n", encoding="utf-8")
    with pytest.raises(FormatError, match="plimsoll serve llm --record"):
        read(tmp_path / "r.jsonl", "this-boot", (0, 1))
    with pytest.raises(FormatError, match="plimsoll serve llm --record"):
        read(tmp_path / "missing.jsonl", "this-boot", (0, 1))


def test_another_machines_clock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="another machine"):
        read(recording(tmp_path / "r.jsonl", boot_id="elsewhere"), "this-boot", (0, 1))
