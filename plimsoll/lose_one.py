"""A replica is killed under load, behind the balancer that the plan's own nginx.conf makes: do the others carry it?"""

from __future__ import annotations

import json
import re
import threading
from contextlib import ExitStack
from pathlib import Path
from shutil import which
from typing import Any

from capacity import retest
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

REPLICAS = 2
BOTH, ALONE = "two-up", "one-left"


def run(bench: Bench, nginx_conf: str | None, rate_rps: float, error_limit: float, stage_s: float) -> Retest:
    """`rate_rps`: what the survivor is said to hold within its SLO. Measured: the share of requests answered as expected
    from the moment of the kill on; it agrees where the SLO's error rate is kept."""
    what = f"lose one of {REPLICAS} replicas at {rate_rps:.3g} rps: share answered"
    predicted = Interval(1 - error_limit, 1.0, 1.0, 0.9)
    if nginx_conf is None:
        return Retest(what, None, predicted, None, note="the plan has no nginx.conf, so there is no balancer to try")
    if which("nginx") is None:
        return Retest(what, None, predicted, None, note="nginx is not installed here, and the balancer is it")
    with ExitStack() as stack:
        folder = bench.out / "lose-one"
        folder.mkdir(parents=True, exist_ok=True)
        cpus = place(bench.workers, True).target
        service = stack.enter_context(
            Deployment(bench.contract, folder, replicas=REPLICAS, cpus=cpus, say=bench.watcher.phase)
        )
        url = _balanced(nginx_conf, service.base_urls, folder, cpus, stack, bench.contract.target.control)
        killer = _Killer(bench.watcher, service.processes["target"][-1], stage_s + LEAD_S)
        stack.callback(killer.cancel)
        stages = (
            Stage("lead", LEAD_S, rate_rps, rate_rps, warmup=True),
            Stage(BOTH, stage_s, rate_rps, rate_rps),
            Stage(ALONE, stage_s, rate_rps, rate_rps),
        )
        spec = Spec(
            contract=bench.contract, contract_path=bench.contract_path, host=url, rate_rps=rate_rps, planned=stages,
            duration_s=2 * stage_s, shape="breakpoint", workers=bench.workers, seed=bench.seed, out=bench.out,
            command="plimsoll verify: lose one replica",
        )  # fmt: skip
        finished = measure(spec, killer)
    if finished.summary["ended"] == "interrupted":
        raise Interrupted("the loss of a replica was interrupted")
    documents = observed.documents(finished.directory)
    why_not = retest.invalid([documents])
    alone = next((s for s in retest.stages_of([documents]) if s.name == ALONE), None)
    if why_not or alone is None:
        return Retest(what, None, predicted, None, note=why_not or "nothing was measured after the kill")
    share = 1 - alone.error_rate
    verdict = judge(alone)
    note = f"{verdict.why}; the balancer is the plan's nginx.conf, with local addresses"
    return Retest(what, None, predicted, share, note=note)


LEAD_S = 2.0


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


def _balanced(text: str, urls: list[str], folder: Path, cpus: list[int], stack: ExitStack, control: Any) -> str:
    """nginx with the plan's configuration, its replicas and its port put here; its base URL."""
    port = free_port()
    servers = "\n".join(f"        server {url.removeprefix('http://')} max_fails=2 fail_timeout=5s;" for url in urls)
    local = re.sub(r"(?:\s*server app-\d+:\d+[^;]*;)+", "\n" + servers.replace("\\", ""), text, count=1)
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
    words = f"nginx -p {json.dumps(str(here))} -c {json.dumps(str(conf))}"
    process = Process("nginx", words, {}, Path.cwd(), here / "nginx.log", cpus)
    stack.callback(process.stop)
    url = f"http://127.0.0.1:{port}"
    wait_ready(process, url, control.ready, control.ready_timeout_s)
    return url
