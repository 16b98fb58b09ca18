"""The load itself: from the first arrival to the last row, and what ends it early."""

from __future__ import annotations

from typing import Any

from loadtests.hosts import address
from loadtests.hosts.master import Hosts
from loadtests.hosts.meeting import Meeting
from loadtests.plan import LoadPlan
from loadtests.runner import Account, Hooks, Runner
from measurements import slo
from measurements.rundir import RunDirectory
from plimsoll import permission
from plimsoll.incidents import Incident
from plimsoll.signals import Signals
from plimsoll.spec import Spec
from plimsoll.watch import Watch
from plimsoll.watcher import Watcher
from targets.control import Deployment


def drive(
    spec: Spec, plan: LoadPlan, run: RunDirectory, document: dict[str, Any], looking: Watch,
    deployment: Deployment | None, watcher: Watcher, signals: Signals, max_requests: int | None,
    incident: Incident | None,
) -> Account:  # fmt: skip
    runner = _runner(spec, plan, run, document, watcher)
    ended = 0
    slo_missed = died = ""
    caps = [
        cap
        for url, address in zip(plan.base_urls, plan.addresses, strict=True)
        if (cap := permission.cap_rps(url, address))
    ]
    rate = permission.Rate(min(caps)) if caps else None

    def before_start(workers: list[dict[str, Any]], start_ns: int) -> None:
        document["workers"] = workers
        run.write_json("run.json", document)
        looking.start(start_ns, runner.pids, sum(stage.duration_s for stage in plan.stages))
        watcher.begin(plan, run)
        if incident is not None:
            incident.start(start_ns)

    def progress(worker: int, news: dict[str, Any]) -> None:
        nonlocal ended, slo_missed
        ended += news["ended"]
        if rate is not None:
            rate.add(news["ended"])
        looking.progress(worker, news)
        if spec.abort_on_slo and not slo_missed:
            slo_missed = _live_miss(spec, news)
        watcher.progress(worker, news)

    def stop() -> str | None:
        if signals.reason():
            return signals.reason()
        if max_requests is not None and ended >= max_requests:
            return f"max_usd is reached after {ended:,} requests"
        if rate is not None and rate.is_over():
            return rate.sentence
        nonlocal died
        died = (deployment.died() if deployment else None) or ""
        if spec.pair is not None:
            died = "; ".join(f"the {side} died: {said}" for side, said in spec.pair.died().items())
        return died or slo_missed or None

    try:
        runner.prepare()
        if runner.ui_url:
            watcher.page(runner.ui_url)
        looking.before()
        signals.at_once = False
        account = runner.run(Hooks(before_start, progress, stop, signals.hurry))
        account.target_died = bool(died) and account.stop_reason == died
    finally:
        if incident is not None:
            incident.close()
        runner.close()
        looking.stop()
    return account


def _runner(
    spec: Spec, plan: LoadPlan, run: RunDirectory, document: dict[str, Any], watcher: Watcher
) -> Runner | Hosts:
    """Load processes of this machine, or those of the hosts that join."""
    if spec.bind is None:
        return Runner(plan, run)
    host, port = address.parse(spec.bind, "--bind")
    return Hosts(plan, run, Meeting(host, port, address.token_to_bind(host)), document, watcher.phase)


def _live_miss(spec: Spec, news: dict[str, Any]) -> str:
    """--abort-on-slo: the running p95 or error rate of the whole mix is past its limit (after 100 requests)."""
    limits = spec.limits() or slo.DEFAULT
    total = sum(news["outcomes"].values())
    if total < 100:
        return ""
    worst = {metric: max(m[metric] for m in limits.values() if metric in m) for m in limits.values() for metric in m}
    error_rate = 1 - news["outcomes"].get("ok", 0) / total
    if error_rate > worst.get("error_rate", 1.0):
        return f"--abort-on-slo: error rate {error_rate:.1%}"
    if news["recent_p95_ms"] and news["recent_p95_ms"] > worst.get("p95_ms", float("inf")):
        return f"--abort-on-slo: p95 {news['recent_p95_ms']:.0f} ms"
    return ""
