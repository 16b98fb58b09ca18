"""The same seed gives the same arrivals and payloads for any number of load processes; a secret shows up nowhere."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real_runs import checks, contract, everything, rows, run
from servers import Asked, Line, Scripted, head

from plimsoll.measure import Run

CANARY = "canary-7Tq4zWm1"


def echo(line: Line, asked: Asked) -> None:
    """Sends back all that it was sent, secrets too, and fails every third request with them in the body."""
    body = json.dumps({"header": asked.header, "target": asked.target, "body": asked.body.decode()}).encode()
    line.send(head(500 if asked.seq % 3 == 0 else 200, Content_Length=len(body)) + body)


@dataclass
class Repeated:
    run: Run
    rows: list[dict[str, Any]]
    asked: dict[int, list[Asked]]  # per replica


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Repeated]]:
    """Workers -> the run; one replica on a port, one on a Unix socket."""
    folder = tmp_path_factory.mktemp("seed")
    (folder / "tokens.txt").write_text("token-Alpha9\ntoken-Beta7\n")
    patch = pytest.MonkeyPatch()
    patch.setenv("PLIMSOLL_TEST_KEY", CANARY)
    made = {}
    for workers in (1, 3):
        scripts = {"/api/generate": echo, "/api/search": echo}
        with Scripted(scripts) as first, Scripted(scripts, unix=folder / f"{workers}.sock") as second:
            described = contract(
                [first.url, second.url],
                [
                    {"name": "generate", "method": "POST", "path": "/api/generate", "json": {"prompt": "{{text}}"},
                     "header": {"Authorization": "Bearer ${env:PLIMSOLL_TEST_KEY}"}, "expect": {"contains": "prompt"}},
                    {"name": "search", "path": "/api/search", "query": {"q": "{{text}}"}, "weight": 2, "timeout_s": 5},
                ],
                folder, data={"text": {"text": "mixed"}, "repeat": 0.2},
                users={"identities": 5, "addresses": "127.0.7.0/24", "header": {"X-Token": "{{token}}"}, "tokens": "tokens.txt"},
            )  # fmt: skip
            done = run(described, folder / "runs", rate_rps=80.0, workers=workers, seed=42)
            made[workers] = Repeated(done, rows(done.directory), {0: list(first.asked), 1: list(second.asked)})
    patch.undo()
    yield made


def test_arrivals_are_the_same_for_one_and_three_load_processes(repeated: dict[int, Repeated]) -> None:
    one, three = repeated[1].rows, repeated[3].rows
    assert len(one) > 50
    for name in ("seq", "step", "stage", "endpoint", "replica"):
        assert [row[name] for row in one] == [row[name] for row in three], name
    assert all(abs(a["intended_ns"] - b["intended_ns"]) <= 1 for a, b in zip(one, three, strict=True))
    assert {row["worker"] for row in three} == {0, 1, 2}
    assert all(row["worker"] == row["seq"] % 3 for row in three)


def test_payloads_are_the_same_to_the_letter(repeated: dict[int, Repeated]) -> None:
    def sent(one: Repeated) -> dict[int, tuple[str, str, bytes, str]]:
        asked = [a for replica in one.asked.values() for a in replica]
        return {a.seq: (a.method, a.target, a.body, a.header["x-token"]) for a in asked}

    assert sent(repeated[1]) == sent(repeated[3])
    assert len(sent(repeated[1])) == len(repeated[1].rows)


def test_replicas_share_the_load_evenly_also_over_a_unix_socket(repeated: dict[int, Repeated]) -> None:
    for one in repeated.values():
        assert abs(len(one.asked[0]) - len(one.asked[1])) <= 1
        assert {row["replica"] for row in one.rows} == {0, 1}


def test_identities_come_from_addresses_of_their_own_with_their_tokens(repeated: dict[int, Repeated]) -> None:
    for one in repeated.values():
        seen = {(asked.client, asked.seq % 5) for asked in one.asked[0]}
        assert len(seen) == 5 and len({client for client, _ in seen}) == 5
        assert all(client.startswith("127.0.7.") for client, _ in seen)
    tokens = Counter(asked.header["x-token"] for asked in repeated[1].asked[1])
    assert set(tokens) == {"token-Alpha9", "token-Beta7"}


def test_the_secret_reached_the_service_and_no_file_of_the_run(repeated: dict[int, Repeated]) -> None:
    for one in repeated.values():
        generated = [a for a in one.asked[0] if a.path == "/api/generate"]
        assert {a.header["authorization"] for a in generated} == {f"Bearer {CANARY}"}
        found = everything(one.run.directory.path)
        assert b"${env:PLIMSOLL_TEST_KEY}" in found
        for secret in (CANARY, "token-Alpha9", "token-Beta7"):
            assert secret.encode() not in found
        assert (one.run.directory.path / "examples.jsonl").stat().st_size > 0


def test_examples_are_five_per_outcome_however_many_load_processes_there_were(repeated: dict[int, Repeated]) -> None:
    for one in repeated.values():
        text = (one.run.directory.path / "examples.jsonl").read_text(encoding="utf-8")
        why = Counter((entry["why"].split()[0], entry["outcome"]) for entry in map(json.loads, text.splitlines()))
        assert why["first", "ok"] == 5 and why["first", "http_error"] == 5
        assert sum(n for (kind, _), n in why.items() if kind == "slowest") == 10


def test_every_arrival_is_accounted_for_by_all_load_processes_together(repeated: dict[int, Repeated]) -> None:
    for one in repeated.values():
        assert [row["seq"] for row in one.rows] == list(range(len(one.rows)))
        assert checks(one.run)["accounting"] == "ok"
        failed = sum(row["outcome"] == "http_error" for row in one.rows)
        assert one.run.summary["all"]["error_rate"] == pytest.approx(failed / len(one.rows))
    documents = [one.run.document for one in repeated.values()]
    assert [len(d["workers"]) for d in documents] == [1, 3]
    assert {d["seed"] for d in documents} == {42} and len({d["nonce"] for d in documents}) == 1


def test_the_run_document_stands_as_it_was_written_before_the_first_request(repeated: dict[int, Repeated]) -> None:
    document = repeated[3].run.document
    assert document["schema"] == 1 and document["ended"] == "completed" and document["host"]["cores"] >= 1
    for worker in document["workers"]:
        assert {"worker", "pid", "start_monotonic_ns", "start_unix_ns", "boot_id"} <= worker.keys()
    assert document["schedule"]["process"] == "poisson" and document["schedule"]["loop"] == "open"
    assert Path(document["git_commit"] or "none").name
