"""After the last row: exit codes, what run.json may hold, and runs that were killed at awkward moments."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import said

from loadtests.buckets import bucket_index
from measurements import sample
from measurements.journal import JournalWriter
from measurements.rundir import RunDirectory
from measurements.sample import NULL, PACKED, SAMPLES, TOKENS
from plimsoll.display import describe, merge
from plimsoll.finish import exit_code
from plimsoll.placement import place
from plimsoll.run_document import first_document
from plimsoll.spec import Spec, checked, load_plan
from plimsoll.watch import FOLDER, RESOURCES_SPOOL
from profiles.observer import Observer
from targets.contract_file import parse


@pytest.mark.parametrize(
    ("outcomes", "valid", "slo", "interrupted", "shape", "code"),
    [
        ({"ok": 9}, True, "met", False, "load", 0),
        ({"ok": 9}, True, "missed", False, "load", 1),
        ({"ok": 9}, True, "missed", False, "breakpoint", 0),
        ({"ok": 9}, True, "missed", False, "stress", 0),
        ({"ok": 9}, True, "missed", False, "spike", 0),
        ({"ok": 9}, True, "missed", False, "soak", 1),
        ({"ok": 9}, True, "unknown", False, "load", 0),
        ({"ok": 9}, False, "missed", False, "load", 3),
        ({"ok": 9}, False, "met", False, "breakpoint", 3),
        ({"ok": 9}, False, "missed", True, "load", 130),
        ({"connect_error": 9}, False, "missed", True, "load", 4),
        ({"connect_error": 9, "ok": 1}, True, "missed", False, "load", 1),
        ({}, True, "unknown", True, "load", 130),
    ],
)
def test_the_exit_code_is_the_first_that_applies(
    outcomes: dict[str, int], valid: bool, slo: str, interrupted: bool, shape: str, code: int
) -> None:
    summary = {"all": {"outcomes": outcomes}, "slo": [{"state": "met"}, {"state": slo}]}
    assert exit_code(summary, {"valid": valid}, shape, interrupted) == code


def test_an_endpoint_that_answered_no_request_well_is_no_finding_of_a_breakpoint() -> None:
    trouble = {"failing": [{"endpoint": "ask"}], "silent": None}
    summary = {"all": {"outcomes": {"ok": 9, "http_error": 9}}, "slo": [{"state": "missed"}], "trouble": trouble}
    assert exit_code(summary, {"valid": True}, "breakpoint", False) == 1


def run_json(folder: Path, **endpoint: Any) -> tuple[RunDirectory, dict[str, Any]]:
    """What stands on disk before the first request."""
    raw = {
        "target": {"name": "t", "base_url": "http://127.0.0.1:1"},
        "endpoint": [{"name": "search", "path": "/s", "timeout_s": 2.0, **endpoint}],
    }
    spec = checked(Spec(contract=parse(raw, folder / "c.toml"), out=folder, rate_rps=20.0, duration_s=3.0, seed=1))
    run = RunDirectory.create(folder, "t")
    plan = load_plan(spec, run.identity, ["http://127.0.0.1:1"], [], 20.0)
    document = first_document(spec, plan, run, place(1, False, [0]), [], "", None, [])
    document["workers"] = [{"worker": 0, "pid": 1}]
    run.write_json("run.json", document)
    return run, document


def test_a_credential_written_into_the_contract_is_not_copied_into_the_run(tmp_path: Path) -> None:
    header = {
        "Authorization": "Bearer literal-Q7",
        "X-Api-Key": "literal-Q8",
        "Cookie": "sid=literal-Q9",
        "Accept": "text/plain",
    }
    run, document = run_json(tmp_path, header=header)
    text = (run.path / "run.json").read_text(encoding="utf-8")
    assert "literal-Q" not in text and "text/plain" in text
    assert document["contract"]["endpoint"][0]["header"]["Authorization"] == "***"
    kept, _ = run_json(tmp_path, header={"Authorization": "Bearer ${env:PATH}"})
    assert "Bearer ${env:PATH}" in (kept.path / "run.json").read_text(encoding="utf-8")


def journal(run: RunDirectory, seqs: range, worker: int = 0) -> JournalWriter:
    writer = JournalWriter(run.journal_path("samples", worker), SAMPLES)
    packed = np.zeros(len(seqs), PACKED)
    for name in ("connect_ns", "first_token_ns", "error_id", "tokens_in", "tokens_out"):
        packed[name] = NULL
    packed["seq"], packed["status"] = seqs, 200
    packed["intended_ns"] = packed["sent_ns"] = np.array(seqs) * 50_000_000
    packed["done_ns"] = packed["sent_ns"] + 5_000_000
    writer.append(sample.batch(packed, worker, ["steady"], ["search"]))
    return writer


def recovered(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    done = said(capsys, "recover", run.path, "--json")
    assert done.code == 0, done.err
    summary: dict[str, Any] = json.loads(done.out)
    assert summary["valid"] is False and summary["ended"] == "killed"
    checks = {check["check"]: check["state"] for check in run.read_json("validity.json")["checks"]}
    assert checks["accounting"] == "ok"
    return summary


def test_a_run_killed_before_its_first_flush_is_recovered_without_a_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recovered(run_json(tmp_path)[0], capsys)["all"]["count"] == 0


def test_a_run_whose_journal_is_torn_keeps_what_came_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = run_json(tmp_path)
    writer = journal(run, range(20))
    whole = writer.path.stat().st_size
    writer.append(sample.batch(np.zeros(50, PACKED), 0, ["steady"], ["search"]))
    data = writer.path.read_bytes()
    writer.close()
    writer.path.write_bytes(data[: whole + (len(data) - whole) // 2])
    assert recovered(run, capsys)["all"]["outcomes"]["ok"] == 20


def test_a_run_killed_while_it_was_finished_is_finished_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = run_json(tmp_path)
    journal(run, range(20)).close()
    JournalWriter(run.journal_path("tokens", 0), TOKENS).close()
    run.finish_shards()
    assert recovered(run, capsys)["all"]["outcomes"]["ok"] == 20


def test_a_summary_that_was_damaged_can_be_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = run_json(tmp_path)
    journal(run, range(20)).close()
    (run.path / "summary.json").write_text('{"schema": 1, "run')
    assert recovered(run, capsys)["all"]["outcomes"]["ok"] == 20


def test_a_plan_is_described_in_a_line() -> None:
    raw = {"target": {"name": "t", "base_url": "http://h"}, "endpoint": [{"name": "e", "path": "/"}]}
    contract = parse(raw, Path("c.toml"))

    def line(**words: Any) -> str:
        return describe(load_plan(Spec(contract=contract, **words), "r", [], [], words.get("rate_rps", 1.0)))

    assert line(rate_rps=40.0, duration_s=60.0) == "open loop, poisson arrivals, 40 rps, 60 s"
    assert (
        line(rate_rps=40.0, shape="breakpoint", duration_s=50.0)
        == "open loop, poisson arrivals, 4 to 40 rps in 10 stages, 50 s"
    )
    assert line(users=7, duration_s=5.0) == "closed loop, 7 users for 5 s"


def test_the_news_of_several_load_processes_are_one_with_the_quantiles_of_all() -> None:
    def news(ended: int, p95: float | None, cpu: float) -> dict[str, Any]:
        return {
            "ended": ended, "elapsed_s": 1.0, "outcomes": {"ok": ended - 1, "timeout": 1}, "in_flight": 2, "users": 3,
            "cpu_cores": cpu, "stage": "steady",
            "histogram": [[int(bucket_index(p95)), ended]] if p95 else [], "p50_ms": 1.0, "p95_ms": p95,
            "recent_p95_ms": p95, "lateness_p99_ms": None,
        }  # fmt: skip

    found = merge([news(10, 5.0, 0.1), news(20, 9.0, 0.4), news(0, None, 0.2)])
    assert (found["done_rps"], found["failed"], found["in_flight"], found["users"]) == (30.0, 3, 6, 9)
    assert found["p50_ms"] == found["p95_ms"] == pytest.approx(9.0, rel=0.01)
    assert (found["recent_p95_ms"], found["cpu_cores"], found["lateness_p99_ms"]) == (9.0, 0.4, None)


def test_a_killed_run_keeps_what_its_processes_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = run_json(tmp_path)
    journal(run, range(20)).close()
    observer = Observer({"target": [os.getpid()]}, time.monotonic_ns(), 0.1, spool=run.path / FOLDER / RESOURCES_SPOOL)
    observer.start()
    time.sleep(0.4)
    observer.stop()
    seen = observer.table().num_rows
    summary = recovered(run, capsys)
    assert run.table("resources").num_rows == seen > 4
    assert summary["resources"]["target"]["processes"] == 1
    assert not (run.path / FOLDER).exists()
    (run.path / "summary.json").unlink()
    assert recovered(run, capsys)["resources"]["target"]["processes"] == 1
