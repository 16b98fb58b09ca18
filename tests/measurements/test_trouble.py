"""What a reader hears first: an endpoint that failed every request, a service that stopped answering."""

import json
from pathlib import Path
from typing import Any

from made_rows import row, write

from measurements import frame
from measurements.trouble import trouble


def told(folder: Path, rows: list[dict[str, Any]], examples: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    run = write(folder, rows)
    run.write_text("examples.jsonl", "\n".join(json.dumps(one) for one in examples or []))
    return trouble(run, frame.read(run))


def test_an_endpoint_that_failed_every_request_is_named_with_what_the_service_said(tmp_path: Path) -> None:
    rows = [row(100 * k, 5.0, "http_error", endpoint="generate") for k in range(20)]
    rows += [row(100 * k + 50, 5.0, "ok", endpoint="search") for k in range(20)]
    said = {"endpoint": "generate", "outcome": "http_error", "body": '{"detail": "prompt:\n Field required"}'}
    found = told(tmp_path, rows, [{"endpoint": "search", "outcome": "ok", "body": "fine"}, said])
    [failing] = found["failing"]
    assert (failing["endpoint"], failing["requests"], failing["outcome"]) == ("generate", 20, "http_error")
    assert failing["said"] == '{"detail": "prompt: Field required"}'
    assert found["silent"] is None


def test_one_good_answer_or_few_requests_are_no_such_trouble(tmp_path: Path) -> None:
    rows = [row(100 * k, 5.0, "http_error" if k else "ok") for k in range(20)]
    rows += [row(100 * k, 5.0, "http_error", endpoint="rare") for k in range(9)]
    assert told(tmp_path, rows) == {"failing": [], "silent": None}


def test_a_service_that_refuses_every_connection_to_the_end_has_stopped(tmp_path: Path) -> None:
    rows = [row(100 * k, 5.0) for k in range(40)]
    rows += [row(4000 + 100 * k, 1.0, "connect_error") for k in range(30)]
    silent = told(tmp_path, rows)["silent"]
    assert silent["from_s"] == 3.905 and silent["requests"] == 30


def test_a_service_that_comes_back_or_is_only_slow_has_not(tmp_path: Path) -> None:
    gone = [row(4000 + 100 * k, 1.0, "connect_error") for k in range(30)]
    answered = [row(100 * k, 5.0) for k in range(40)]
    assert told(tmp_path / "back", [*answered, *gone, row(7100, 5.0)])["silent"] is None
    slow = [row(4000 + 100 * k, 1000.0, "timeout") for k in range(30)]
    assert told(tmp_path / "slow", answered + slow)["silent"] is None
    assert told(tmp_path / "moment", answered + gone[:9])["silent"] is None
