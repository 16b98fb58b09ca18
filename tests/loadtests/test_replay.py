"""Arrival times from a file: traces as they come."""

from pathlib import Path

import pytest

from loadtests.replay import read_times
from measurements.errors import UsageError


def times(folder: Path, name: str, content: str) -> list[float]:
    (folder / name).write_text(content, encoding="utf-8")
    return read_times(folder / name)


def test_json_lines_of_our_own_workload_count_in_seconds(tmp_path: Path) -> None:
    assert times(tmp_path, "w.jsonl", '{"at_s": 0.25}\n\n{"at_s": 1.5}\n') == [0.0, 1.25]


def test_whole_numbers_under_timestamp_in_json_lines_are_milliseconds(tmp_path: Path) -> None:
    assert times(tmp_path, "mooncake.jsonl", '{"timestamp": 1000}\n{"timestamp": 4500}\n') == [0.0, 3.5]


def test_dates_with_seven_digits_of_a_second_are_read(tmp_path: Path) -> None:
    content = "TIMESTAMP,ContextTokens\n2023-11-16 18:15:46.6805900,374\n2023-11-16 18:15:50.9951690,396\n"
    assert times(tmp_path, "azure.csv", content) == pytest.approx([0.0, 4.314579], abs=1e-5)


def test_a_file_that_is_not_in_order_is_put_in_order(tmp_path: Path) -> None:
    assert times(tmp_path, "w.csv", "at_s\n3\n1\n2\n") == [0.0, 1.0, 2.0]


def test_a_trace_can_be_played_faster(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("at_s\n0\n10\n")
    assert read_times(tmp_path / "w.csv", speed=4.0) == [0.0, 2.5]


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("w.csv", "when\n1\n", "none of the columns at_s, timestamp"),
        ("w.csv", "at_s\n", "holds no arrivals"),
        ("w.jsonl", "", "holds no arrivals"),
        ("w.csv", "at_s\n1\nsoon\n", "line 2 holds no usable timestamp"),
        ("w.csv", "at_s\n1\nnan\n", "line 2 holds no usable timestamp"),
        ("w.jsonl", '{"at_s": 1}\n{"at_s": Infinity}\n', "line 2 holds no usable timestamp"),
        ("w.jsonl", '{"at_s": 1}\n{"at_s"\n', "line 2 holds no usable timestamp"),
        ("w.jsonl", '{"at_s": null}\n', "line 1 holds no usable timestamp"),
        ("w.jsonl", "5\n", "line 1 holds no usable timestamp"),
    ],
)
def test_a_file_that_does_not_fit_is_a_sentence_with_file_and_line(
    tmp_path: Path, name: str, content: str, part: str
) -> None:
    with pytest.raises(UsageError) as caught:
        times(tmp_path, name, content)
    assert part in str(caught.value) and str(tmp_path / name) in str(caught.value)
