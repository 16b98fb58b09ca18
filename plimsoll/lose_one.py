"""A replica is killed under load, behind the balancer that the plan's own nginx.conf makes: do the others carry it?"""

from __future__ import annotations

import json
import os
import re
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from capacity import retest
from capacity.documents import RunDocuments, stages_of
from capacity.edge import judge
from capacity.judgement import Retest
from loadtests.arrivals import Stage
from loadtests.plan import LoadPlan
from measurements.errors import Interrupted
from measurements.interval import Interval
from measurements.rundir import RunDirectory
from plimsoll import observed
from plimsoll.measure import measure
from plimsoll.placement import place
from plimsoll.spec import Spec
from plimsoll.trial import Bench
from plimsoll.watcher import Watcher
from targets.control import Deployment, free_port, wait_ready
from targets.process import Process

NAME = "lose one replica"
BOTH, NOTICING, ALONE = "all-up", "noticing", "one-less"
LEAD_S = 2.0
NGINX_FAIL_TIMEOUT_S = 10.0  # nginx's own default, where the configuration names none
SERVER = re.compile(r"(?:\s*server app-\d+:\d+[^;]*;)+")


@dataclass(frozen=True)
class Loss:
    """`replicas` are started and one is killed at `rate_rps`, which the others are said to hold within their SLO.

    `error_limit`: the SLO's; `stage_s`: of each part, before the kill and after the balancer has noticed."""

    replicas: int
    rate_rps: float
    error_limit: float
    stage_s: float
    workers: int | None = None

    @property
    def what(self) -> str:
        return f"lose one of {self.replicas} replicas at {self.rate_rps:.3g} rps: share answered, then the SLO"

    @property
    def predicted(self) -> Interval:
        return Interval(1 - self.error_limit, 1.0, 1.0, 0.9)

    def untried(self, why: str) -> Retest:
        return Retest(self.what, None, self.predicted, None, note=why)


def run(bench: Bench, nginx_conf: str | None, loss: Loss) -> Retest:
    """Measured: the share of requests answered as expected from the moment of the kill on. It agrees where the SLO's error
    rate is kept by that, and the whole SLO once the balancer has had its time to notice (`fail_timeout`)."""
    if nginx_conf is None:
        return loss.untried("the plan has no nginx.conf, so there is no balancer to try: plan with --demand")
    if (nginx := which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")) is None:
        return loss.untried("nginx is not installed here, and the balancer is it: apt-get install nginx-light")
    noticing_s = notices_after_s(nginx_conf)
    with ExitStack() as stack:
        folder = bench.out / "lose-one"
        folder.mkdir(parents=True, exist_ok=True)
        cpus = place(bench.workers, True).target
        service = stack.enter_context(
            Deployment(
                bench.contract, folder, replicas=loss.replicas, workers=loss.workers, cpus=cpus, say=bench.watcher.phase
            )
        )
        url = _balanced(nginx, nginx_conf, service.base_urls, folder, cpus, stack, bench.contract.target.control)
        killer = _Killer(bench.watcher, service.processes["target"][-1], loss.stage_s + LEAD_S)
        stack.callback(killer.cancel)
        stages = tuple(
            Stage(name, seconds, loss.rate_rps, loss.rate_rps, warmup=name == "lead")
            for name, seconds in (
                ("lead", LEAD_S), (BOTH, loss.stage_s), (NOTICING, noticing_s), (ALONE, loss.stage_s),
            )
        )  # fmt: skip
        spec = Spec(
            contract=bench.contract, contract_path=bench.contract_path, host=url, rate_rps=loss.rate_rps, planned=stages,
            duration_s=2 * loss.stage_s + noticing_s, shape="breakpoint", workers=bench.workers, seed=bench.seed,
            out=bench.out, command="plimsoll verify: lose one replica",
        )  # fmt: skip
        finished = measure(spec, killer)
    if finished.summary["ended"] == "interrupted":
        raise Interrupted("the loss of a replica was interrupted")
    return judged(loss, observed.documents(finished.directory), noticing_s)


def judged(loss: Loss, documents: RunDocuments, noticing_s: float) -> Retest:
    if why_not := retest.invalid([documents]):
        return loss.untried(why_not)
    stages = {stage.name: stage for stage in stages_of([documents])}
    after = [stages[name] for name in (NOTICING, ALONE) if name in stages]
    if ALONE not in stages:
        return loss.untried("nothing was measured after the kill: verify again")
    share = 1 - sum(stage.error_rate * stage.count for stage in after) / sum(stage.count for stage in after)
    verdict = judge(stages[ALONE])
    slo = {"pass": "met", "miss": "missed"}.get(verdict.verdict, "unclear")
    before = stages.get(BOTH)
    if slo == "missed" and before is not None and judge(before).verdict == "miss":
        slo, why = "unclear", "the SLO was missed before the kill too, so it says nothing about the loss"
    else:
        why = f"from {noticing_s:g} s after the kill on, when the balancer has noticed: {verdict.why}"
    note = f"{why}; the balancer is the plan's nginx.conf, with local addresses"
    return Retest(loss.what, None, loss.predicted, share, note=note, slo=slo)


def notices_after_s(nginx_conf: str) -> float:
    """Until the balancer has taken a dead replica out for sure: its failures are counted over `fail_timeout`."""
    found = re.search(r"fail_timeout=(\d+)s", nginx_conf)
    return float(found[1]) if found else NGINX_FAIL_TIMEOUT_S


class _Killer(Watcher):
    """Passes on what it is told; from the first arrival on it counts the seconds to the kill."""

    def __init__(self, inner: Watcher, victim: Process, after_s: float) -> None:
        self._inner = inner
        self._timer = threading.Timer(after_s, self._kill)
        self._victim = victim

    def begin(self, plan: LoadPlan, run: RunDirectory) -> None:
        self._inner.begin(plan, run)
        self._timer.start()

    def phase(self, sentence: str) -> None:
        self._inner.phase(sentence)

    def progress(self, worker: int, news: dict[str, Any]) -> None:
        self._inner.progress(worker, news)

    def end(self) -> None:
        self._inner.end()

    def cancel(self) -> None:
        self._timer.cancel()

    def _kill(self) -> None:
        self._victim.stop(patience_s=0.0)


def _balanced(
    nginx: str, text: str, urls: list[str], folder: Path, cpus: list[int], stack: ExitStack, control: Any
) -> str:  # fmt: skip
    """nginx with the plan's configuration, its replicas and its port put here; its base URL."""
    port = free_port()
    settings = re.search(r"server app-\d+:\d+([^;]*);", text)
    servers = "".join(
        f"\n        server {url.removeprefix('http://')}{settings[1] if settings else ''};" for url in urls
    )
    local = SERVER.sub(servers, text, count=1)
    local = re.sub(r"listen \d+;", f"listen 127.0.0.1:{port};", local)
    local = re.sub(r"worker_processes \w+;", "worker_processes 1;", local)
    places = "".join(
        f"    {kind}_temp_path {folder.resolve()}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    local = local.replace("http {\n", f"http {{\n    access_log off;\n{places}", 1)
    here = folder.resolve()
    conf = here / "nginx.conf"
    conf.write_text(f"daemon off;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\n{local}", encoding="utf-8")
    words = f"{nginx} -p {json.dumps(str(here))} -c {json.dumps(str(conf))}"
    process = Process("nginx", words, {}, Path.cwd(), here / "nginx.log", cpus)
    stack.callback(process.stop)
    url = f"http://127.0.0.1:{port}"
    wait_ready(process, url, control.ready, control.ready_timeout_s)
    return url
