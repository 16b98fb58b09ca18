"""Locustfiles with Locust's own clients, as somebody has them already, under our arrivals."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from real_runs import Visited, rows
from servers import Scripted, answer

from loadtests.arrivals import Process
from plimsoll.measure import measure
from plimsoll.spec import Spec

BIN = Path(sys.executable).parent

PLAIN = """
from locust import FastHttpUser, task
import capacity
import reports
from loadtests.paths import SEARCH


class Visitor(FastHttpUser):
    @task
    def search(self):
        self.client.get(SEARCH, name=reports.NAME)
        self.client.get(capacity.MISSING, name="missing")
"""


def test_a_plain_locustfile_runs_in_a_repository_whose_packages_are_called_like_our_rooms(tmp_path: Path) -> None:
    for room in ("loadtests", "reports"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text('NAME = "search"\n')
    (tmp_path / "loadtests" / "paths.py").write_text('SEARCH = "/search"\n')
    (tmp_path / "capacity.py").write_text('MISSING = "/missing"\n')
    (tmp_path / "locustfile.py").write_text(PLAIN)
    with Scripted({"/search": answer()}) as server:
        done = subprocess.run(
            [BIN / "plimsoll", "run", "-f", "locustfile.py", "--host", server.url, "--rate", "30", "--duration", "1",
             "--seed", "1", "--json"],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        asked = Counter(server.paths()) + Counter(one.path for one in server.aside)
    assert done.returncode in (1, 3) and done.stdout, done.stderr  # half of its requests fail
    summary = json.loads(done.stdout)
    assert summary["endpoints"]["search"]["outcomes"] == {"ok": asked["/search"]}
    assert summary["endpoints"]["missing"]["outcomes"] == {"http_error": asked["/missing"]}
    assert asked["/search"] == asked["/missing"] >= 15
    document = json.loads((tmp_path / "runs" / "latest" / "run.json").read_text(encoding="utf-8"))
    assert document["client"] == "locust"
    accounting = json.loads((tmp_path / "runs" / "latest" / "validity.json").read_text(encoding="utf-8"))["checks"][0]
    assert (accounting["check"], accounting["state"]) == ("accounting", "ok")


FOREIGN = """
from locust import FastHttpUser, HttpUser, events, task


@events.test_stop.add_listener
def count(environment, **_):
    print("LOCUST COUNTED", environment.stats.total.num_requests, flush=True)


class Plain(HttpUser):
    @task
    def ask(self):
        self.client.get("/broken", name="broken")
        self.client.get("/away", name="away")
        self.client.post("/named", name="named", headers={"User-Agent": "mine"})


class Fast(FastHttpUser):
    @task
    def ask(self):
        self.client.get("/broken", name="fast broken")
        self.client.get("/away", name="fast away")

    @task
    def strays(self):
        self.client.get("ELSEWHERE/direct", name="stray")
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Visited, Scripted]]:
    folder = tmp_path_factory.mktemp("foreign")
    with (
        Scripted({}) as elsewhere,
        Scripted({"/broken": answer(500, b"the pool is empty"), "/named": answer()}) as server,
    ):
        server.scripts["/away"] = answer(302, b"", Location=f"{elsewhere.url}/stolen")
        (folder / "plain.py").write_text(FOREIGN.replace("ELSEWHERE", elsewhere.url))
        made = measure(
            Spec(locustfile=folder / "plain.py", host=server.url, out=folder / "runs", rate_rps=30.0, duration_s=1.0,
                 seed=2, process=Process("constant")),
        )  # fmt: skip
        yield Visited(made, rows(made.directory), server), elsewhere


def test_requests_of_locusts_own_clients_name_the_run_and_carry_their_arrivals_trace(
    foreign: tuple[Visited, Scripted],
) -> None:
    visited, _ = foreign
    asked = visited.server.asked
    assert asked and not visited.server.aside, "each request carries a trace"
    named = {one.header["user-agent"] for one in asked if one.path == "/named"}
    assert named == {"mine"}
    agents = {one.header["user-agent"].split(" ")[1] for one in asked if one.path != "/named"}
    assert agents == {f"run={visited.run.directory.identity}"}
    arrived = Counter(one.seq for one in asked)
    assert arrived == Counter(row["seq"] for row in visited.rows if row["sent_ns"] is not None)


def test_what_failed_has_bodies_and_ids_behind_it_with_any_client(foreign: tuple[Visited, Scripted]) -> None:
    visited, _ = foreign
    text = (visited.run.directory.path / "examples.jsonl").read_text(encoding="utf-8")
    failed = [json.loads(line) for line in text.splitlines() if '"http_error"' in line]
    bodies = {example["endpoint"]: example["body"] for example in failed if example["status"] == 500}
    assert bodies and set(bodies.values()) == {"the pool is empty"}
    traces = {one.header["traceparent"] for one in visited.server.asked}
    assert {example["traceparent"] for example in failed} <= traces


def test_no_client_leaves_the_host_that_the_load_goes_to(foreign: tuple[Visited, Scripted]) -> None:
    visited, elsewhere = foreign
    assert elsewhere.asked == elsewhere.aside == []
    for name in ("away", "fast away"):
        assert visited.of(name) and {row["outcome"] for row in visited.of(name)} == {"http_error"}
    errors = pq.read_table(visited.run.directory.path / "errors.parquet").to_pylist()
    assert any("redirect to another host" in error["excerpt"] for error in errors)
    assert any("but the load goes to" in sentence for sentence in visited.run.document["task_exceptions"])


def test_locusts_own_statistics_count_each_request_once(foreign: tuple[Visited, Scripted]) -> None:
    visited, _ = foreign
    log = (visited.run.directory.path / "load-000.log").read_text(encoding="utf-8")
    counted = next(line for line in log.splitlines() if "LOCUST COUNTED" in line)
    assert int(counted.split()[-1]) == sum(row["sent_ns"] is not None for row in visited.rows)
