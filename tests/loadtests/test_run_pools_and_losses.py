"""Full pools, lost load processes, closed loops, keep-alive races, caps: what the rows and the verdict say."""

import os
import signal
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from real_runs import checks, contract, rows, run
from servers import Scripted, answer, silent

from loadtests.arrivals import Process
from plimsoll.measure import Run, measure
from plimsoll.spec import Spec
from plimsoll.watcher import Watcher

PLAIN = [{"name": "search", "path": "/search", "timeout_s": 5.0}]


def test_drops_at_a_full_pool_make_the_stage_saturated_and_are_a_finding(tmp_path: Path) -> None:
    endpoint = [{"name": "search", "path": "/search", "timeout_s": 0.5}]
    with Scripted({"/search": silent(1.0)}) as server:
        made = run(contract(server.url, endpoint), tmp_path, rate_rps=60.0, process=Process("gamma", 12.0), seed=3)
    outcomes = Counter(row["outcome"] for row in rows(made.directory))
    assert outcomes["dropped"] > 0 and set(outcomes) == {"dropped", "timeout"}
    stage = made.summary["stages"][0]
    assert (stage["state"], stage["dropped"]) == ("saturated", outcomes["dropped"])
    assert checks(made)["dropped_arrivals"] == "note" and checks(made)["accounting"] == "ok"
    assert made.document["schedule"]["pool_cap"] == 60 * 0.5 * 1.2 + 1
    assert made.summary["slo"][0]["state"] == "missed"


class Killer(Watcher):
    """Kills a load process when it has first reported."""

    def __init__(self, worker: int) -> None:
        self.worker, self.pid = worker, 0

    def begin(self, plan: Any, run: Any) -> None:
        self.pid = next(w["pid"] for w in run.read_json("run.json")["workers"] if w["worker"] == self.worker)

    def progress(self, worker: int, news: dict[str, Any]) -> None:
        if worker == self.worker and self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.pid = 0


def test_a_killed_load_process_leaves_its_rows_and_a_lost_row_for_each_arrival_it_owed(tmp_path: Path) -> None:
    with Scripted({"/search": answer()}) as server:
        spec = Spec(
            contract=contract(server.url, PLAIN), out=tmp_path, rate_rps=60.0, duration_s=2.0, workers=2, seed=1
        )
        made = measure(spec, Killer(worker=1))
    found = rows(made.directory)
    assert [row["seq"] for row in found] == list(range(len(found)))
    mine = Counter(row["outcome"] for row in found if row["worker"] == 1)
    assert mine["ok"] >= 15 and mine["lost"] >= 15 and set(mine) == {"ok", "lost"}
    assert {row["outcome"] for row in found if row["worker"] == 0} == {"ok"}
    assert checks(made)["accounting"] == "ok"
    assert checks(made)["workers_present"] == checks(made)["load_delivered"] == "invalid"
    sentence = next(c["sentence"] for c in made.validity["checks"] if c["check"] == "workers_present")
    assert "SIGKILL" in sentence
    assert (made.exit, made.summary["valid"]) == (3, False)


def test_a_closed_loop_has_at_most_one_request_per_user_open_and_thinks_between_them(tmp_path: Path) -> None:
    described = [{"name": "search", "path": "/search", "timeout_s": 5.0}]
    with Scripted({"/search": answer(after_s=0.02)}) as server:
        made = run(contract(server.url, described, users={"think_time_s": 0.1}), tmp_path, users=4, workers=2)
    found = rows(made.directory)
    assert [row["seq"] for row in found] == sorted({row["seq"] for row in found})
    assert {row["outcome"] for row in found} == {"ok"}
    assert made.summary["loop"] == "closed" and made.summary["offered_rps"] is None
    assert made.summary["stages"][0]["in_flight_max"] <= 4
    assert server.connections <= 5  # four users, and the look whether anybody is there
    assert checks(made)["accounting"] == "ok"
    users: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in found:
        users.setdefault((row["worker"], row["user"]), []).append(row)
    assert len(users) == 4
    for mine in users.values():
        assert 3 <= len(mine) <= 10
        for before, after in pairwise(sorted(mine, key=lambda row: row["intended_ns"])):
            assert after["intended_ns"] - before["done_ns"] == pytest.approx(0.1e9, rel=0.001)


def test_a_server_that_closes_idle_connections_costs_no_error_and_is_learned(tmp_path: Path) -> None:
    with Scripted({"/search": answer()}, idle_close_s=0.12) as server:
        made = run(contract(server.url, PLAIN), tmp_path, rate_rps=6.0, duration_s=1.5, process=Process("constant"))
    assert {row["outcome"] for row in rows(made.directory)} == {"ok"}
    assert server.connections >= 5
    assert checks(made)["keep_alive_race"] == "ok"


PAID = {
    "paid": True, "usd_per_1k_tokens_in": 1.0, "usd_per_1k_tokens_out": 1.0, "tokens_in": 500, "tokens_out": 500,
}  # fmt: skip


def test_reaching_the_cap_on_money_ends_the_run_and_keeps_its_rows(tmp_path: Path) -> None:
    with Scripted({"/search": answer()}) as server:
        made = run(
            contract(server.url, PLAIN, upstream={**PAID, "max_usd": 30.0}), tmp_path, rate_rps=60.0, duration_s=20.0
        )
    assert made.summary["ended"] == "stopped" and "max_usd is reached" in made.document["stop_reason"]
    assert 30 <= made.summary["all"]["count"] <= 150
    assert checks(made)["schedule_complete"] == "note" and checks(made)["accounting"] == "ok"
    assert made.summary["duration_s"] < 3
    assert made.summary["offered_rps"] == pytest.approx(60, rel=0.25)


def test_an_slo_missed_live_ends_the_run_when_it_was_asked_to(tmp_path: Path) -> None:
    with Scripted({"/search": answer(500)}) as server:
        made = run(contract(server.url, PLAIN), tmp_path, rate_rps=150.0, duration_s=20.0, abort_on_slo=True)
    assert "--abort-on-slo: error rate 100.0%" in made.document["stop_reason"]
    assert made.summary["duration_s"] < 5 and made.exit == 1


def test_a_service_that_stops_listening_gives_connect_errors_and_the_run_goes_on(tmp_path: Path) -> None:
    with Scripted({"/search": answer(Connection="close")}) as server:

        class Unplug(Watcher):
            def progress(self, worker: int, news: dict[str, Any]) -> None:
                server.stop_listening()

        made: Run = measure(
            Spec(contract=contract(server.url, PLAIN), out=tmp_path, rate_rps=40.0, duration_s=2.0, seed=1), Unplug()
        )
    outcomes = Counter(row["outcome"] for row in rows(made.directory))
    assert set(outcomes) == {"ok", "connect_error"} and min(outcomes.values()) >= 15
    assert checks(made)["accounting"] == checks(made)["generator_errors"] == "ok"
    assert made.exit == 1
