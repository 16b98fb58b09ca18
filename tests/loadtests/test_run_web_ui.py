"""`--ui`: Locust's own pages show what the rows say, by stage, and can end the load but not start another."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from real_runs import contract, rows
from servers import Scripted, answer

from loadtests import page_guard
from loadtests.arrivals import Process, Stage
from plimsoll.measure import Run, measure
from plimsoll.spec import Spec
from plimsoll.watcher import Watcher

ENDPOINTS = [
    {"name": "search", "path": "/search", "weight": 3},
    {"name": "ask", "path": "/ask", "method": "POST", "json": {"q": "x"}, "weight": 1},
]
STAGES = (Stage("low", 2.0, 40, 40), Stage("high", 20.0, 80, 80))


class Visitor(Watcher):
    """Somebody who looks at the page in the high stage, tries to start another test, and presses Stop."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self._thread: threading.Thread | None = None

    def page(self, url: str) -> None:
        self._thread = threading.Thread(target=self._visit, args=(url,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        if self._thread is not None:
            self._thread.join(5)

    def _visit(self, url: str) -> None:
        self.seen["url"] = url
        until = time.monotonic() + 15
        while time.monotonic() < until:
            time.sleep(0.5)
            self.seen["stats"] = stats = json.loads(fetch(f"{url}stats/requests")[1])
            stages = stats["extended_stats"][0]["data"]
            if len(stages) == 2 and stages[1]["ended"] >= 80:
                break
        self.seen["index"] = fetch(url)[1]
        self.seen["csv"] = fetch(f"{url}stats/requests/csv")[1]
        self.seen["swarm"] = fetch(f"{url}swarm", {"user_count": "9", "spawn_rate": "9"})
        self.seen["stranger"] = fetch(f"{url}stop", {}, Origin="http://elsewhere.example")
        self.seen["rebound"] = fetch(url, None, Host="rebound.example")
        self.seen["stop"] = fetch(f"{url}stop", {})


def fetch(url: str, form: dict[str, str] | None = None, **header: str) -> tuple[int, str]:
    data = None if form is None else "&".join(f"{k}={v}" for k, v in form.items()).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, header), timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, dict[str, Any]]]:
    visitor = Visitor()
    with Scripted({"/search": answer(after_s=0.004), "/ask": answer(500)}) as server:
        made = measure(
            Spec(contract=contract(server.url, ENDPOINTS), out=tmp_path_factory.mktemp("ui"), planned=STAGES, seed=1,
                 rate_rps=80.0, process=Process("constant"), workers=2, ui_host="127.0.0.1"),
            visitor,
        )  # fmt: skip
    yield made, visitor.seen


def test_the_page_has_both_load_processes_numbers_by_name(visited: tuple[Run, dict[str, Any]]) -> None:
    made, seen = visited
    shown = {entry["name"]: entry for entry in seen["stats"]["stats"]}
    found = rows(made.directory)
    for name, method in (("search", "GET"), ("ask", "POST")):
        assert shown[name]["method"] == method
        assert 0 < shown[name]["num_requests"] <= sum(row["endpoint"] == name for row in found)
    assert shown["ask"]["num_failures"] == shown["ask"]["num_requests"]
    assert shown["search"]["num_failures"] == 0
    assert seen["stats"]["state"] == "running" and seen["stats"]["user_count"] >= 2
    assert {error["error"] for error in seen["stats"]["errors"]} == {"http_error"}


def test_its_percentiles_are_not_rounded_to_milliseconds(visited: tuple[Run, dict[str, Any]]) -> None:
    made, seen = visited
    shown = {entry["name"]: entry for entry in seen["stats"]["stats"]}["search"]
    found = sorted((row["done_ns"], row["intended_ns"]) for row in rows(made.directory) if row["endpoint"] == "search")
    true_ms = sorted((done - intended) / 1e6 for done, intended in found[: shown["num_requests"]])  # at the look
    median = true_ms[len(true_ms) // 2]
    assert shown["median_response_time"] == pytest.approx(median, rel=0.05)
    assert shown["median_response_time"] != round(shown["median_response_time"])
    assert shown["response_time_percentile_0.999"] >= shown["response_time_percentile_0.95"] >= median * 0.9
    assert shown["min_response_time"] != round(shown["min_response_time"])
    line = next(line for line in seen["csv"].splitlines() if ",search," in line)
    assert "." in line.split(",")[-5], "the CSV's percentiles are not cut to whole milliseconds"


def test_stages_have_a_tab_of_their_own(visited: tuple[Run, dict[str, Any]]) -> None:
    made, seen = visited
    assert '"Stages"' in seen["index"]
    low, high = seen["stats"]["extended_stats"][0]["data"]
    assert (low["stage"], low["offered"], high["stage"], high["offered"]) == ("low", "40", "high", "80")
    ended = {row["seq"] for row in rows(made.directory) if row["stage"] == "low"}
    assert low["ended"] == len(ended) == 80 and low["dropped"] == 0
    failed = sum(row["outcome"] != "ok" for row in rows(made.directory) if row["stage"] == "low")
    assert low["failed"] == failed
    assert float(low["p50"]) >= 4
    assert low["p99"] == "-", "80 requests carry no p99"


def test_it_cannot_start_a_load_and_its_stop_ends_the_run_gracefully(visited: tuple[Run, dict[str, Any]]) -> None:
    made, seen = visited
    status, text = seen["swarm"]
    assert status == 200 and json.loads(text)["success"] is False and "plan of this run" in json.loads(text)["message"]
    assert seen["stop"][0] == 200
    assert (made.summary["ended"], made.document["stop_reason"]) == ("stopped", "stopped in the web UI")
    assert made.summary["duration_s"] < 20
    assert {check["check"]: check["state"] for check in made.validity["checks"]}["accounting"] == "ok"


def test_pages_of_other_sites_can_neither_read_nor_stop_it(visited: tuple[Run, dict[str, Any]]) -> None:
    _, seen = visited
    assert seen["url"].startswith("http://127.0.0.1:")
    assert seen["stranger"][0] == seen["rebound"][0] == 403


def test_beyond_loopback_it_asks_for_the_token_and_a_cookie_keeps_it() -> None:
    app = flask.Flask("guarded")
    app.route("/")(lambda: "numbers")
    page_guard.put_on(app, "0.0.0.0", "secret-token")
    visitor = app.test_client()
    assert visitor.get("/").status_code == visitor.get("/?token=wrong").status_code == 403
    assert visitor.get("/?token=secret-token").status_code == 302
    assert visitor.get("/").text == "numbers"
    assert app.test_client().get("/").status_code == 403
    assert page_guard.url("0.0.0.0", 8089, "secret-token") == "http://0.0.0.0:8089/?token=secret-token"


def test_a_place_where_it_cannot_listen_is_one_sentence(tmp_path: Path) -> None:
    from measurements.errors import UsageError

    with Scripted({"/search": answer()}) as server:
        spec = Spec(contract=contract(server.url, ENDPOINTS[:1]), out=tmp_path, rate_rps=5.0, duration_s=1.0)
        for host, part in (("203.0.113.7", "cannot listen there"), ("here", "give an address of this machine")):
            with pytest.raises(UsageError, match=part):
                measure(Spec(**{**spec.__dict__, "ui_host": host}))
