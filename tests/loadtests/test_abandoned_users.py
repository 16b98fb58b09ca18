"""A locustfile's users whose requests are open when the run ends: a row for each, and the run ends all the same."""

from __future__ import annotations

import time
from pathlib import Path

from loadtests.arrivals import Process, Stage
from loadtests.plan import LoadPlan
from loadtests.runner import Hooks, Runner
from measurements.rundir import RunDirectory
from tests.servers import Scripted, silent

SCENARIO = """
from locust import task
from loadtests.user import PlimsollUser

class Patient(PlimsollUser):
    @task
    def wait_for_it(self):
        self.client.get("/never", name="never")
        self.client.get("/never", name="after it")
"""


def test_requests_that_are_open_at_the_end_are_abandoned_and_the_run_ends(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.py"
    scenario.write_text(SCENARIO, encoding="utf-8")
    with Scripted({"/never": silent(5.0)}) as server:
        plan = LoadPlan(
            "open-at-the-end", [server.url], ["127.0.0.1"], [Stage("steady", 1.0, 8, 8)], Process("constant"), 1, "n",
            locustfile=str(scenario), drain_s=0.3,
        )  # fmt: skip
        run = RunDirectory.create(tmp_path / "runs", "open")
        runner = Runner(plan, run)
        try:
            runner.prepare()
            began_s = time.monotonic()
            account = runner.run(Hooks())
        finally:
            runner.close()
    assert account.lost == [] and account.faults == []
    assert time.monotonic() - began_s < 15, "it ended by itself, not by being killed"
    rows = run.table("samples").to_pandas()
    arrivals = rows[rows["endpoint"] == "never"]
    assert set(arrivals["outcome"]) == {"abandoned"}
    assert len(arrivals) == account.given[0] == 8
