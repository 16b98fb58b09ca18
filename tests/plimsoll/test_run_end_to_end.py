"""`plimsoll run` as a person types it: a hundred requests a second, the whole run directory, only JSON where asked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from command_line import Said, finished, said, written
from servers import Scripted, answer

from measurements.rundir import RunDirectory

DISTRIBUTION = {"n", "min", "mean", "p50", "p90", "p95", "p99", "p99_9", "max", "ci95", "bounds"}
ENTRY = {
    "count", "ok", "success_rate", "error_rate", "outcomes", "response_ms", "service_ms", "lateness_ms", "connect_ms",
    "goodput_rps",
}  # fmt: skip
SUMMARY = {
    "schema", "run", "loop", "arrivals", "seed", "ended", "exit_code", "valid", "indicative", "reasons", "offered_rps",
    "achieved_rps", "duration_s", "slo", "endpoints", "why_null", "resources", "stages",
}  # fmt: skip
STAGE = {
    "name", "state", "warmup", "start_s", "duration_s", "offered_rps", "achieved_rps", "ok_rps", "dropped", "in_flight_mean",
    "in_flight_max", "all", "endpoints", "resources",
}  # fmt: skip
CAPACITY_OF_THE_TEST_MACHINE = {
    "generator_added",
    "generator_reading",
    "generator_cpu",
}  # a busy machine may be the reason, and then it is said


@dataclass
class Made:
    said: Said
    run: RunDirectory
    summary: dict[str, Any]
    server: Scripted


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("end-to-end")
    with Scripted({"/search": answer(body=b'{"results": []}'), "/ask": answer(after_s=0.005)}) as server:
        contract = written(
            folder, server.url,
            {"name": "search", "path": "/search", "weight": 3, "timeout_s": 5.0, "expect": {"json_path": "$.results"}},
            {"name": "ask", "method": "POST", "path": "/ask", "json": {"q": "{{seq}}"}, "timeout_s": 5.0},
            slo__all={"p95_ms": 4000, "error_rate": 0.05},
        )  # fmt: skip
        said = finished(
            "run", contract, "--rate", 100, "--duration", 2, "--warmup", 0.5, "--arrivals", "constant", "--seed", 3, "--json",
            cwd=folder,
        )  # fmt: skip
        run = RunDirectory.open(folder / "runs" / "latest")
        yield Made(said, run, run.read_json("summary.json"), server)


def test_it_ends_with_0_unless_the_machine_disturbed_the_measurement(made: Made) -> None:
    invalid = {reason["check"] for reason in made.summary["reasons"] if reason["state"] == "invalid"}
    assert invalid <= CAPACITY_OF_THE_TEST_MACHINE
    assert made.said.code == (3 if invalid else 0) == made.summary["exit_code"]
    assert made.summary["valid"] is not bool(invalid)


def test_with_json_only_the_summary_is_on_standard_output(made: Made) -> None:
    assert json.loads(made.said.out) == made.summary
    assert made.said.err == ""


def test_the_run_directory_has_every_file_of_the_design(made: Made) -> None:
    names = {str(path.relative_to(made.run.path)) for path in made.run.path.rglob("*") if path.is_file()}
    assert names >= {
        "run.json", "samples/worker-000.parquet", "tokens/worker-000.parquet", "errors.parquet", "examples.jsonl",
        "resources.parquet", "summary.json", "validity.json", "report.html",
    }  # fmt: skip
    assert not [name for name in names if name.endswith((".arrows", ".partial", ".jsonl")) and name != "examples.jsonl"]
    assert (made.run.path / "profiles").is_dir()


def test_the_summary_has_every_key_of_the_design(made: Made) -> None:
    summary = made.summary
    assert summary.keys() >= SUMMARY
    for entry in (summary["all"], *summary["endpoints"].values(), *(stage["all"] for stage in summary["stages"])):
        assert entry.keys() >= ENTRY
        for name in ("response_ms", "service_ms", "lateness_ms", "connect_ms"):
            assert entry[name].keys() >= DISTRIBUTION
    for stage in summary["stages"]:
        assert stage.keys() >= STAGE
        assert stage["state"] in ("steady", "not_steady", "saturated")
    assert {s["metric"] for s in summary["slo"]} == {"p95_ms", "error_rate"}
    assert {"target", "generator", "host"} <= summary["resources"].keys()


def test_the_rows_add_up(made: Made) -> None:
    rows = made.run.table("samples").to_pylist()
    assert len(rows) == 250 == len({row["seq"] for row in rows})
    measured = [row for row in rows if row["stage"] == "steady"]
    assert len(measured) == 200 == made.summary["all"]["count"] == sum(made.summary["all"]["outcomes"].values())
    assert {row["outcome"] for row in rows} == {"ok"}
    assert made.summary["offered_rps"] == pytest.approx(100.0)
    assert made.summary["achieved_rps"] == pytest.approx(100.0, rel=0.05)
    assert made.summary["duration_s"] == pytest.approx(2.0)
    assert sum(e["count"] for e in made.summary["endpoints"].values()) == 200
    assert len(made.server.asked) == 250
    assert sorted(asked.seq for asked in made.server.asked) == list(range(250))


def test_constant_arrivals_are_intended_on_the_dot(made: Made) -> None:
    rows = sorted(made.run.table("samples", ["seq", "intended_ns"]).to_pylist(), key=lambda row: row["seq"])
    for row in rows:
        assert row["intended_ns"] == pytest.approx((row["seq"] + 0.5) * 10_000_000, abs=2)


def test_the_server_saw_each_request_when_the_row_says_it_was_sent(made: Made) -> None:
    start_ns = made.run.read_json("run.json")["workers"][0]["start_monotonic_ns"]
    sent = {row["seq"]: row for row in made.run.table("samples", ["seq", "sent_ns", "done_ns"]).to_pylist()}
    for asked in made.server.asked:
        at_ns = asked.at_s * 1e9 - start_ns
        assert sent[asked.seq]["sent_ns"] <= at_ns <= sent[asked.seq]["done_ns"]


def test_evidence_and_resources_can_be_read(made: Made) -> None:
    path = made.run.path
    assert pq.read_table(path / "errors.parquet").num_rows == 0
    assert {"at_ns", "role", "pid", "rss_bytes"} <= set(pq.read_table(path / "resources.parquet").column_names)
    assert len((path / "examples.jsonl").read_text(encoding="utf-8").splitlines()) == 15
    assert "<html" in (path / "report.html").read_text(encoding="utf-8")[:500]
    assert (path.parent / "latest").resolve() == path


def test_the_command_and_the_commit_are_on_record(made: Made) -> None:
    document = made.run.read_json("run.json")
    assert document["command"].startswith("plimsoll run ") and "--rate 100" in document["command"]
    assert (document["ended"], document["exit_code"]) == ("completed", made.said.code)
    assert document["contract"]["endpoint"][0]["name"] == "search"


def test_a_report_can_be_written_again_in_korean(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    done = said(capsys, "report", made.run.path, "--lang", "ko")
    assert (done.code, done.out.strip()) == (0, str(made.run.path / "report.html"))
    assert 'lang="ko"' in (made.run.path / "report.html").read_text(encoding="utf-8")[:500]


def test_a_finished_run_needs_no_recovery(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    done = said(capsys, "recover", made.run.path)
    assert done.code == 2 and "is finished already" in done.sentence


def test_plain_output_says_where_the_run_lies_and_what_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Scripted({"/search": answer(500)}) as server:
        done = said(capsys, "run", written(tmp_path, server.url), "--shape", "smoke", "--rate", 20, "--duration", 0.5)
    assert done.code in (1, 3)
    assert "runs/" in done.err and len(done.out.splitlines()) <= 15
    assert "report.html" in done.out
