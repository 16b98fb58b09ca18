"""A replica is killed behind the balancer of the plan's own nginx.conf: answers are counted, and the SLO of those left."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from test_failover_and_rollout import ASK
from test_verify_command import CONTROL, _driven, measured, target

from plimsoll import lose_one, trial
from plimsoll.watcher import Watcher
from targets.contract_file import load
from tests.plimsoll.command_line import said, written

sys.path.insert(0, str(Path(__file__).parents[1] / "capacity"))
from planted import Bench, Service
from planted import run as planted_run

LOSS = lose_one.Loss(2, 20.0, 0.05, 10.0)
NGINX = which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin") is not None
# One request at a time, each `hold` seconds: it carries 1/hold a second.
ONE_AT_A_TIME = """
import sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
place = threading.Semaphore(1)
class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/health":
            with place:
                time.sleep(float(sys.argv[2]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    do_GET = do_POST = answer
    def log_message(self, *_): pass
class Server(ThreadingHTTPServer):
    request_queue_size = 256
Server(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
"""


def driven(all_up_rps: float, after_rps: float) -> Any:
    """A queue that meets its SLO up to 44 rps, before and after a kill: what is left then gets `after_rps`."""
    made = planted_run(Service(), Bench(rates=(all_up_rps, after_rps, after_rps), stage_s=40))
    names = (lose_one.BOTH, lose_one.NOTICING, lose_one.ALONE)
    stages = [stage | {"name": name} for stage, name in zip(made.summary["stages"], names, strict=True)]
    return replace(made, summary={**made.summary, "stages": stages})


def test_answers_that_come_too_late_are_a_missed_prediction_though_every_one_came() -> None:
    held, late = (lose_one.judged(LOSS, driven(20, rate), 5.0) for rate in (20, 60))
    assert (held.measured, held.slo, held.within) == (1.0, "met", True)
    assert late.measured is not None and late.predicted.contains(late.measured)
    assert (late.slo, late.within) == ("missed", False) and "from 5 s after the kill on" in late.note


def test_an_slo_that_was_missed_before_the_kill_says_nothing_about_the_loss() -> None:
    found = lose_one.judged(LOSS, driven(60, 60), 5.0)
    assert found.within is None and "before the kill too" in found.note


def test_lost_answers_are_a_missed_prediction_whatever_the_slo_says() -> None:
    found = replace(lose_one.judged(LOSS, driven(20, 20), 5.0), measured=0.9)
    assert found.within is False and not found.is_capacity


@pytest.mark.parametrize(("conf", "seconds"), [("server a max_fails=2 fail_timeout=7s;", 7.0), ("server a;", 10.0)])
def test_the_balancer_has_noticed_after_its_fail_timeout(conf: str, seconds: float) -> None:
    assert lose_one.notices_after_s(conf) == seconds


@pytest.mark.parametrize(("replicas", "lost", "times"), [(1, 2, 1.0), (3, 3, 2 / 3)])
def test_one_of_those_that_were_measured_is_lost_at_the_rate_that_the_others_hold(
    replicas: int, lost: int, times: float, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    several = [f"http://127.0.0.1:{8000 + k}" for k in range(replicas)]
    run = measured(tmp_path, {"target": {"name": "planted", "base_url": several, "control": CONTROL}})
    said(capsys, "plan", run, "--demand", 20)
    _driven(monkeypatch)
    asked: list[lose_one.Loss] = []

    def answered(bench: Any, conf: Any, loss: lose_one.Loss) -> Any:
        asked.append(loss)
        return loss.untried("not started in this test")

    monkeypatch.setattr("plimsoll.lose_one.run", answered)
    said(capsys, "verify", run, "--quiet", "--only", lose_one.NAME)
    line = json.loads((run / "plan.json").read_text())["predictions"][0]["capacity_rps"]
    assert [loss.replicas for loss in asked] == [lost] and asked[0].rate_rps == pytest.approx(times * line["low"])


def test_where_nothing_can_be_started_the_loss_says_why_it_was_not_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = measured(tmp_path, target())
    said(capsys, "plan", run, "--demand", 20)
    said(capsys, "verify", run, "--quiet")
    tests = json.loads((run / "verification.json").read_text())["tests"]
    assert any("lose one of 2" in test["what"] and "[target.control]" in test["note"] for test in tests)


@pytest.mark.prove
@pytest.mark.skipif(not NGINX, reason="nginx, the balancer of the plan, is not installed here")
@pytest.mark.parametrize(("hold_s", "verdict"), [(0.01, True), (0.06, False)], ids=["enough", "too slow for one"])
def test_a_replica_of_a_live_service_is_lost_and_the_one_left_holds_its_slo_or_not(
    hold_s: float, verdict: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 20 a second one that takes 60 ms each is past its end; two of them are not. All answers come all the same."""
    plan = measured(tmp_path, target())
    said(capsys, "plan", plan, "--demand", 20)
    nginx_conf = (plan / "deploy" / "nginx.conf").read_text()
    (tmp_path / "service.py").write_text(ONE_AT_A_TIME)
    start = f"{sys.executable} {tmp_path / 'service.py'} {{port}} {hold_s}"
    path = written(
        tmp_path, "http://127.0.0.1:9", {**ASK, "timeout_s": 30.0}, target__control={"start": start},
        slo__all={"p95_ms": 500.0, "error_rate": 0.05},
    )  # fmt: skip
    bench = trial.Bench(load(path), path, tmp_path / "trials", 1, 0.1, 1, Watcher())
    found = lose_one.run(bench, nginx_conf, LOSS)
    assert found.within is verdict, found
    assert found.measured is not None and found.measured > 0.95
