"""Parts of the service time, joined to the rows: exact on made rows."""

import pandas as pd
import pyarrow as pa
import pytest

from profiles import breakdown
from profiles.spans import SPANS


def samples() -> pd.DataFrame:
    """Four searches of 10 ms and a stage later four of 30 ms; two generations of 100 ms."""
    rows = [(0, k, 0, "step-01" if k < 4 else "step-02", "search", 10.0 if k < 4 else 30.0) for k in range(8)]
    rows += [(0, k, 0, "step-01", "generate", 100.0) for k in (8, 9)]
    return pd.DataFrame(rows, columns=["worker", "seq", "step", "stage", "endpoint", "service_ms"])


def headers(*seqs: int) -> pa.Table:
    return breakdown.of_headers((0, k, 0, f"retrieval;dur={6 if k < 4 else 20}, rest;dur=2") for k in seqs)


def test_parts_and_what_lies_outside_add_up_to_the_service_time_of_each_stage() -> None:
    found = breakdown.summarise(samples(), {"Server-Timing": headers(*range(8))})["search"]
    assert (found["source"], found["n"], found["answers"]) == ("Server-Timing", 8, 8)
    assert [(part["name"], part["ms_mean"]) for part in found["parts"]] == [("retrieval", 13.0), ("rest", 2.0)]
    assert found["outside_ms_mean"] == pytest.approx(5.0)
    assert sum(part["share"] for part in found["parts"]) + found["outside_share"] == pytest.approx(1.0)
    first, second = found["stages"]["step-01"], found["stages"]["step-02"]
    assert (first["service_ms_mean"], first["parts"], first["outside_ms_mean"]) == (10, {"retrieval": 6, "rest": 2}, 2)
    assert (second["service_ms_mean"], second["parts"]["retrieval"], second["outside_ms_mean"]) == (30, 20, 8)


def test_an_endpoint_that_nothing_was_said_about_says_so_with_the_remedy() -> None:
    found = breakdown.summarise(samples(), {"Server-Timing": headers(*range(8))})
    assert "Server-Timing" in found["generate"]["why_not"]
    assert "otlp" in found["generate"]["why_not"]
    assert found["search"]["why_not"] is None


def test_spans_stand_in_where_no_header_came_and_belong_to_the_worker_that_sent_the_arrival() -> None:
    rows = [{"seq": k, "step": 0, "name": "llm", "client": True, "self_ms": 40.0} for k in (8, 9)] * 2
    spans = breakdown.of_spans(pa.Table.from_pylist(rows, SPANS), workers=1)
    found = breakdown.summarise(samples(), {"Server-Timing": headers(*range(8)), "spans": spans})
    assert found["generate"]["source"] == "spans"
    assert found["generate"]["parts"][0]["ms_mean"] == pytest.approx(80.0)  # two calls of one name
    assert found["search"]["source"] == "Server-Timing"
    two_workers = breakdown.of_spans(pa.Table.from_pylist(rows, SPANS), workers=2)
    assert two_workers["worker"].to_pylist() == [0, 1]


def test_a_part_that_few_requests_have_counts_as_zero_in_the_others() -> None:
    noted = [(0, 0, 0, "a;dur=4, b;dur=4"), (0, 1, 0, "a;dur=4")]
    found = breakdown.summarise(samples(), {"Server-Timing": breakdown.of_headers(noted)})["search"]
    assert {part["name"]: part["ms_mean"] for part in found["parts"]} == {"a": 4.0, "b": 2.0}


def test_many_names_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = [(0, k, 0, ", ".join(f"p{n};dur={n + 1}" for n in range(12))) for k in range(4)]
    found = breakdown.summarise(samples(), {"Server-Timing": breakdown.of_headers(noted)})["search"]
    names = [part["name"] for part in found["parts"]]
    assert len(names) == breakdown.MOST_PARTS + 1
    assert names[-1] == breakdown.OTHER
    assert sum(part["ms_mean"] for part in found["parts"]) == pytest.approx(sum(range(1, 13)))


def test_without_any_answer_there_is_nothing_to_break_down() -> None:
    assert breakdown.summarise(samples().iloc[:0], {"Server-Timing": headers()}) == {}
