"""Where requests' time went, in real runs: the service's header, its spans, or a sentence that it said nothing."""

import json
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from measurements.errors import UsageError
from plimsoll import told
from targets.control import free_port
from tests.loadtests.real_runs import contract, run
from tests.servers import Asked, Line, Scripted, answer
from tests.targets.llm_process import parameter_file, running_llm

ENDPOINTS = [{"name": "search", "path": "/search", "weight": 1}, {"name": "mute", "path": "/mute", "weight": 1}]


def test_headers_are_read_after_the_run_and_an_endpoint_without_is_told_apart(tmp_path: Path) -> None:
    timed = answer(after_s=0.01, Server_Timing="retrieval;dur=6, rest;dur=1")
    with Scripted({"/search": timed, "/mute": answer()}) as server:
        made = run(contract(server.url, ENDPOINTS), tmp_path, rate_rps=60.0)
    found = made.summary["where_time_went"]
    assert {part["name"]: part["ms_mean"] for part in found["search"]["parts"]} == {"retrieval": 6.0, "rest": 1.0}
    assert found["search"]["n"] == made.summary["endpoints"]["search"]["ok"]
    assert found["search"]["outside_ms_mean"] >= 3.0
    assert "Server-Timing" in found["mute"]["why_not"]
    assert pq.read_table(made.directory.path / told.FILE).num_rows == 2 * found["search"]["n"]
    assert list((made.directory.path / "samples").glob("*.timing")) == []


def exporting(port: int, name: str, took_ns: int) -> Any:
    """A service that exports a span for each request, as an instrumented one does, joined by traceparent."""

    def script(line: Line, asked: Asked) -> None:
        if "traceparent" in asked.header:
            _, trace, parent, _ = asked.header["traceparent"].split("-")
            span = {"traceId": trace, "spanId": "00000000000000aa", "parentSpanId": parent, "name": name, "kind": 3,
                    "startTimeUnixNano": "1000", "endTimeUnixNano": str(1000 + took_ns)}  # fmt: skip
            body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
            where = f"http://127.0.0.1:{port}/v1/traces"
            httpx.post(where, content=json.dumps(body), headers={"Content-Type": "application/json"})
        answer()(line, asked)

    return script


def test_spans_that_the_service_exports_stand_in_for_the_header(tmp_path: Path) -> None:
    port = free_port()
    with Scripted({"/search": exporting(port, "vector query", 5_000_000)}) as server:
        made = contract(server.url, ENDPOINTS[:1], target={"observe": {"otlp": port}})
        finished = run(made, tmp_path, rate_rps=30.0)
    found = finished.summary["where_time_went"]["search"]
    assert found["source"] == "spans"
    assert [(part["name"], part["ms_mean"]) for part in found["parts"]] == [("vector query", pytest.approx(5.0))]


CHAT = {"model": "m", "max_tokens": 2, "messages": [{"role": "user", "content": "refund please"}]}
EMULATED = "[prefill]\nbase_ms = 30\nms_per_token = 0\n[decode]\nbase_ms = 5\n"


def generating(proxy: str, passes_on: bool) -> Any:
    """A service that asks an upstream, and says nothing of its own about where the time went."""

    client = httpx.Client(base_url=proxy, verify=False, timeout=30.0)

    def script(line: Line, asked: Asked) -> None:
        header = {"traceparent": asked.header["traceparent"]} if passes_on and "traceparent" in asked.header else {}
        client.post("/v1/chat/completions", json=CHAT, headers=header).raise_for_status()
        answer(after_s=0.01)(line, asked)

    return script


@pytest.mark.parametrize(("passes_on", "rate_rps"), [(True, 20.0), (False, 6.0)])
def test_a_recording_proxy_before_the_upstream_tells_what_the_service_does_not(
    tmp_path: Path, passes_on: bool, rate_rps: float
) -> None:
    recording = tmp_path / "recording.jsonl"
    with (
        running_llm("--config", parameter_file(tmp_path, EMULATED)) as upstream,
        running_llm("--record", upstream, "--record-to", str(recording)) as proxy,
    ):
        with Scripted({"/search": generating(proxy, passes_on), "/mute": answer()}) as server:
            observe = {"observe": {"recording": str(recording)}}
            made = run(contract(server.url, ENDPOINTS, target=observe), tmp_path, rate_rps=rate_rps, duration_s=2.0)
        told_of = made.summary["where_time_went"]
        found = told_of["search"]
        assert (found["source"], found["parts"][0]["name"]) == ("recording", "upstream")
        assert found["n"] == found["answers"] if passes_on else found["n"] >= 3
        assert 30.0 <= found["parts"][0]["ms_mean"] < found["service_ms_mean"] - 9.0
        assert "recording" in told_of["mute"]["why_not"]
        assert set(pq.read_table(made.directory.path / told.FILE)["source"].to_pylist()) == {"recording"}


def test_a_recording_that_is_none_is_a_sentence_and_costs_no_run(tmp_path: Path) -> None:
    with Scripted({"/search": answer()}) as server:
        made = contract(server.url, ENDPOINTS[:1], target={"observe": {"recording": "not-there.jsonl"}})
        found = run(made, tmp_path, rate_rps=20.0).summary["where_time_went"]
    assert "not-there.jsonl is no recording" in found["search"]["why_not"]


def test_a_port_for_spans_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with Scripted({"/search": answer()}) as server:
        made = contract(server.url, ENDPOINTS[:1], target={"observe": {"otlp": server.port}})
        with pytest.raises(UsageError, match="otlp cannot be listened on"):
            run(made, tmp_path, rate_rps=5.0)
