"""One run against servers that answer in every wrong way: each ends as the outcome that it deserves, and the run lives."""

from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest
from hostile_answers import CASES
from real_runs import checks, contract, rows, run
from servers import Scripted, answer, head

from loadtests.arrivals import Process
from plimsoll.measure import Run


class Finished:
    def __init__(self, made: Run, server: Scripted, elsewhere: Scripted) -> None:
        self.run, self.server, self.elsewhere = made, server, elsewhere
        self.rows = rows(made.directory)
        self.errors = {e["error_id"]: e for e in pq.read_table(made.directory.path / "errors.parquet").to_pylist()}

    def of(self, name: str) -> list[dict[str, Any]]:
        found = [row for row in self.rows if row["endpoint"] == name]
        assert found, f"no arrival drew {name}: choose another seed"
        return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    endpoints = [
        {"name": name, "path": f"/{name}", "timeout_s": 10.0, **more} for name, (_, _, _, more) in CASES.items()
    ]  # fmt: skip
    with Scripted({}) as elsewhere, Scripted({f"/{name}": case[0] for name, case in CASES.items()}) as server:
        server.scripts["/redirect-elsewhere"] = answer(302, b"", Location=f"{elsewhere.url}/stolen")
        made = run(
            contract(server.url, endpoints), tmp_path_factory.mktemp("runs"), rate_rps=150.0, duration_s=2.0,
            process=Process("constant"), seed=5,
        )  # fmt: skip
        yield Finished(made, server, elsewhere)


@pytest.mark.parametrize("name", CASES)
def test_every_way_of_answering_ends_as_the_outcome_that_it_deserves(finished: Finished, name: str) -> None:
    _, outcome, error, _ = CASES[name]
    for row in finished.of(name):
        assert row["outcome"] == outcome, finished.errors.get(row["error_id"])
        if outcome == "ok":
            assert row["error_id"] is None
        else:
            assert error in finished.errors[row["error_id"]]["excerpt"]


def test_every_arrival_has_one_row_and_none_was_lost_or_dropped(finished: Finished) -> None:
    assert [row["seq"] for row in finished.rows] == list(range(300))
    assert checks(finished.run)["accounting"] == "ok"
    assert checks(finished.run)["generator_errors"] == "ok"
    assert sum(finished.run.summary["all"]["outcomes"].values()) == 300


def test_statuses_and_sizes_are_those_of_the_wire(finished: Finished) -> None:
    assert {row["status"] for row in finished.of("error-500")} == {500}
    assert {row["status"] for row in finished.of("early-hints")} == {200}
    assert {row["status"] for row in finished.of("no-content")} == {204}
    assert {row["status"] for row in finished.of("silent")} == {None}
    assert {row["status"] for row in finished.of("cut-body")} == {200}
    assert {row["status"] for row in finished.of("two-answers")} == {200}
    whole = len(head(Content_Length=12) + b'{"ok": true}')
    assert {row["bytes_in"] for row in finished.of("ok")} == {whole}
    assert all(row["bytes_out"] > 100 for row in finished.of("ok"))


def test_times_of_a_row_are_in_order_and_a_timeout_ends_when_it_should(finished: Finished) -> None:
    for row in finished.rows:
        known = [row[name] for name in ("intended_ns", "sent_ns", "first_byte_ns", "done_ns") if row[name] is not None]
        assert known == sorted(known)
    for name in ("silent", "drips"):
        for row in finished.of(name):
            assert 0.299e9 <= row["done_ns"] - row["intended_ns"] < 3e9  # the machine may be busy


def test_a_timeout_tells_whether_anything_had_come(finished: Finished) -> None:
    assert all(row["first_byte_ns"] is None for row in finished.of("silent"))
    assert any(row["first_byte_ns"] is not None for row in finished.of("drips"))


def test_a_redirect_to_another_host_is_not_followed(finished: Finished) -> None:
    assert len(finished.of("redirect-elsewhere")) >= 1
    assert finished.elsewhere.asked == []


def test_a_stream_has_the_times_of_its_tokens_and_not_of_its_other_events(finished: Finished) -> None:
    for row in finished.of("stream"):
        assert row["tokens_out"] == 2 and row["tokens_source"] == "events"
        assert row["first_token_ns"] - row["sent_ns"] >= 0.105e9  # the first event has a role alone
    entry = finished.run.summary["endpoints"]["stream"]
    assert entry["itl_ms"]["n"] == entry["tpot_ms"]["n"] == entry["ttft_ms"]["n"] == entry["ok"]


def test_a_connection_is_used_again_unless_it_cannot_be(finished: Finished) -> None:
    assert finished.server.connections < len(finished.server.asked)
    closing = [asked.connection for asked in finished.server.asked if asked.path == "/connection-close"]
    for connection in closing:
        last = [asked.path for asked in finished.server.asked if asked.connection == connection][-1]
        assert last == "/connection-close"


def test_requests_name_the_run_and_carry_a_trace_of_their_own(finished: Finished) -> None:
    asked = finished.server.asked
    assert {one.header["user-agent"].split(" ")[1] for one in asked} == {f"run={finished.run.directory.identity}"}
    traces = [one.header["traceparent"] for one in asked]
    assert len(set(traces)) == len(traces)


def test_examples_hold_a_few_of_each_outcome_with_the_beginning_of_the_body(finished: Finished) -> None:
    import json

    text = (finished.run.directory.path / "examples.jsonl").read_text(encoding="utf-8")
    examples = [json.loads(line) for line in text.splitlines()]
    first = [e for e in examples if e["why"].startswith("first")]
    for outcome in ("ok", "http_error", "rejected", "timeout", "connect_error", "protocol_error", "unexpected_body"):
        assert len([e for e in first if e["outcome"] == outcome]) == 5
    assert len([e for e in examples if e["why"].startswith("slowest")]) == 10
    assert all(len(e["body"]) <= 2_048 for e in examples)


def test_the_run_blames_neither_itself_nor_the_network_for_what_the_service_did(finished: Finished) -> None:
    """What taking in endless bodies cost the generator may make it INVALID, and then it says so."""
    invalid = {name for name, state in checks(finished.run).items() if state == "invalid"}
    assert invalid <= {"generator_added", "generator_reading", "generator_cpu"}
    assert finished.run.exit == (3 if invalid else 1)
    assert finished.run.summary["slo"][0]["state"] == "missed"
    assert "Traceback" not in (finished.run.directory.path / "load-000.log").read_text(encoding="utf-8")
