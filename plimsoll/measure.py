"""`measure(spec) -> Run`: the one way from a spec to a finished run directory. Composes target, load and observation."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.hosts import address
from loadtests.hosts.master import Hosts
from loadtests.hosts.meeting import Meeting
from loadtests.plan import LoadPlan
from loadtests.runner import Account, Hooks, Runner
from loadtests.shapes import FINDING, INCIDENTS
from measurements import slo
from measurements.errors import Exit, Interrupted, TargetUnreachable, UsageError
from measurements.redaction import Redactor, of_environment
from measurements.rundir import RunDirectory
from plimsoll import health_checks, money, permission, probe, told, watch
from plimsoll.duet_watch import DuetWatch
from plimsoll.health_checks import Asked
from plimsoll.incidents import Incident
from plimsoll.placement import Placement, place
from plimsoll.run_document import first_document
from plimsoll.spec import Spec, checked, load_plan, stretched
from plimsoll.watch import FOLDER, Watch
from profiles.ports import of_service
from profiles.spans import SpanReceiver
from targets.balancer import Balancer
from targets.contract import Observe
from targets.contract_file import secret_values
from targets.control import Deployment
from targets.urls import base_url, is_loopback, is_private, resolve


@dataclass(frozen=True)
class Run:
    """A finished run: its directory and documents. `exit` is what the command ends with."""

    directory: RunDirectory
    document: dict[str, Any]
    summary: dict[str, Any]
    validity: dict[str, Any]
    exit: Exit


class Watcher:
    """What a person or a log sees meanwhile; the default says nothing. See `plimsoll.display`."""

    redraws = False  # whether a sentence replaces the one before it

    def phase(self, sentence: str) -> None: ...
    def page(self, url: str) -> None: ...
    def begin(self, plan: LoadPlan, run: RunDirectory) -> None: ...
    def progress(self, worker: int, news: dict[str, Any]) -> None: ...
    def end(self) -> None: ...


def measure(spec: Spec, watcher: Watcher | None = None, before: Callable[[RunDirectory], None] | None = None) -> Run:
    """Runs `spec` to its end, or to the first signal; whatever was started is stopped. PlimsollError for a user's mistake.

    `before` is called with the run directory before anything else is started.
    """
    watcher = watcher or Watcher()
    with ready(checked(spec), watcher, before) as r:
        spec = r.spec
        _may_lead(spec, r.urls)
        rate_rps = spec.rate_rps or 0.0
        probed = None
        if not rate_rps and spec.loop == "open" and spec.shape != "smoke" and spec.process.kind != "replay":
            _may_probe(spec, r.urls)
            watcher.phase("probing for the rate to aim at")
            probed = probe.rate(spec, r.urls, r.placement, r.run.path / "probe", r.signals.reason)
            rate_rps = probed.rate_rps
            spec = stretched(spec, rate_rps)
        plan = load_plan(spec, r.run.identity, r.urls, r.placement.generator, rate_rps or 1.0)
        for url, address in zip(plan.base_urls, plan.addresses, strict=True):
            permission.check(url, address, plan.peak_rps)
        cost = money.estimate(spec.contract, sum(s.expected for s in plan.stages))
        if spec.contract and spec.contract.upstream and spec.contract.upstream.paid:
            watcher.phase(f"ahead: {cost.sentence}")
        document = first_document(spec, plan, r.run, r.placement, r.services, cost.sentence, probed, r.asked)
        r.run.write_json("run.json", document)
        looking = (
            DuetWatch(spec.contract, spec.pair, plan.stages)
            if spec.pair is not None and spec.contract is not None
            else r.watch(r.spans, overload=spec.shape in FINDING, folder=r.run.path / FOLDER)
        )
        incident = None
        if r.deployment is not None and r.balancer is not None:
            incident = Incident(spec, r.deployment, r.balancer, plan.stages, watcher.phase)
        account = _drive(
            spec, plan, r.run, document, looking, r.deployment, watcher, r.signals, cost.max_requests, incident
        )
        watcher.phase("reading the rows")
        from plimsoll import (
            afterwards,
            finish,
        )  # bring pandas and scipy, which nothing before the first request should wait for

        if isinstance(looking, DuetWatch):
            r.run.write_json("duet.json", looking.readings())
        finished = finish.finish(spec, plan, r.run, document, account, looking, r.signals.interrupted, incident)
        if spec.profile and not r.signals.interrupted and not account.target_died:
            afterwards.profile(spec, r.run, r.urls, r.roots, finished.summary, r.placement, watcher.phase)
        return finished


@dataclass(frozen=True)
class Ready:
    """A run directory, and a target that is there: `urls`, pids by role, what its health checks said."""

    spec: Spec
    run: RunDirectory
    signals: Signals
    placement: Placement
    urls: list[str]
    roots: dict[str, list[int]]
    services: list[dict[str, Any]]
    deployment: Deployment | None
    balancer: Balancer | None
    engines: dict[str, str]
    asked: list[Asked]
    spans: SpanReceiver | None

    def watch(self, spans: SpanReceiver | None = None, *, overload: bool, folder: Path | None = None) -> Watch:
        seen = (self.urls, self.roots, self.engines, self.asked, spans)
        return Watch(self.spec.contract, *seen, overload=overload, folder=folder)

    def died(self) -> str | None:
        return self.deployment.died() if self.deployment else None


@contextmanager
def ready(spec: Spec, watcher: Watcher, before: Callable[[RunDirectory], None] | None = None) -> Iterator[Ready]:
    """For a `checked` spec; signals are taken and this process keeps off the generator's core until the end."""
    local = spec.start or all(is_loopback(resolve(url)) for url in _urls(spec))
    placement = place(spec.workers, local)
    with ExitStack() as stack:
        signals = stack.enter_context(taking_signals())
        stack.enter_context(_pinned(placement))
        run = RunDirectory.create(spec.out, spec.target_name)
        run.hold()
        stack.callback(run.release)
        stack.callback(run.discard_if_empty)
        secrets = [*(secret_values(spec.contract) if spec.contract else []), *of_environment()]
        run.redact = Redactor(secrets).known
        stack.callback(run.redact_logs)
        if before:
            before(run)
        stack.callback(watcher.end)
        spec, spans = told.listening(spec, run.identity, stack)
        urls, roots, services, deployment = _target(spec, run, placement, watcher, stack)
        balancer = None
        if deployment is not None and spec.shape in INCIDENTS:
            balancer = _balancer(spec, run, urls, placement, stack)
            urls = [balancer.url]
        engines = watch.engines(deployment.needs) if deployment else {}
        asked = _ask_health(spec, urls[0], engines) if spec.pair is None else []
        yield Ready(spec, run, signals, placement, urls, roots, services, deployment, balancer, engines, asked, spans)


def _ask_health(spec: Spec, url: str, engines: dict[str, str]) -> list[Asked]:
    """Each health check once; money only where the contract caps it."""
    upstream = spec.contract.upstream if spec.contract else None
    if spec.contract is None or spec.endpoint or (upstream and upstream.paid and not upstream.max_usd):
        return []
    return health_checks.ask(spec.contract, url, list(engines.values()))


def _may_probe(spec: Spec, urls: list[str]) -> None:
    """Probing goes as fast as the service answers: not at somebody's expense, and not where a rate was agreed."""
    upstream = spec.contract.upstream if spec.contract else None
    if upstream and upstream.paid:
        money.estimate(spec.contract, 0)
        raise UsageError(
            "the upstream is paid, and probing for a rate would spend without counting; name one with --rate"
        )
    if not all(is_private(resolve(url)) for url in urls):
        raise UsageError("probing for a rate stays on this machine and private networks; name one with --rate")


def _urls(spec: Spec) -> list[str]:
    if spec.pair is not None:
        return spec.pair.urls
    if spec.host:
        return [spec.host]
    assert spec.contract is not None
    return spec.contract.target.base_urls


def _target(
    spec: Spec, run: RunDirectory, placement: Placement, watcher: Watcher, stack: ExitStack
) -> tuple[list[str], dict[str, list[int]], list[dict[str, Any]], Deployment | None]:
    """Where the service is, started if asked; its pids by role where they can be found."""
    if spec.pair is not None:
        return spec.pair.urls, spec.pair.all_roots, spec.pair.services, None
    if spec.start:
        assert spec.contract is not None
        deployment = stack.enter_context(
            Deployment(
                spec.contract, run.path, replicas=spec.replicas_needed, workers=spec.service_workers, cpus=placement.target,
                say=watcher.phase,
            )
        )  # fmt: skip
        services = [
            {"role": role, "pid": p.pid, "command": p.command, "limits": _limits(deployment, p.pid)}
            for role, ps in deployment.processes.items()
            for p in ps
        ]
        return deployment.base_urls, deployment.roots, services, deployment
    urls = _urls(spec)
    _reachable(urls, spec)
    observe = spec.contract.target.observe if spec.contract else Observe()
    roots: dict[str, list[int]] = {"target": []}
    found_services: list[dict[str, Any]] = []
    for url in urls:
        found = of_service(observe, url)
        roots["target"] += [pid for pid in found.roots if pid not in roots["target"]]
        found_services.append({"role": "target", "url": url, "not_observed": found.why_not, "note": found.note})
    return urls, roots, found_services, None


def _balancer(spec: Spec, run: RunDirectory, urls: list[str], placement: Placement, stack: ExitStack) -> Balancer:
    assert spec.contract is not None and spec.contract.target.control is not None
    ready = spec.contract.target.control.ready
    balancer = Balancer(run.path / "balancer", urls, ready, spec.timeout_s, placement.target)
    stack.callback(balancer.stop)
    return balancer


def _limits(deployment: Deployment, pid: int) -> dict[str, Any] | None:
    """What of [resources] holds for a process that we started; None where nothing was to hold."""
    confined = deployment.confined.get(pid)
    return confined.as_json() if confined else None


def _reachable(urls: list[str], spec: Spec) -> None:
    """One connection to each base URL, so that a wrong address is a sentence and not ten thousand rows."""
    import socket

    for url in urls:
        parts, address = base_url(url), resolve(url)
        if parts.scheme == "unix":
            continue
        port = parts.port or (443 if parts.scheme == "https" else 80)
        permission.check(url, address, 0.0)
        try:
            socket.create_connection((address, port), timeout=5).close()
        except OSError as error:
            start = " or let Plimsoll start it with --start" if spec.contract and spec.contract.target.control else ""
            raise TargetUnreachable(
                f"{url} does not answer ({error.strerror or error}); start the service, correct base_url{start}"
            ) from error


def _drive(
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


def _may_lead(spec: Spec, urls: list[str]) -> None:
    """Before anything is written: who may join, and whether the target is the same place for all of them."""
    if spec.bind is None:
        return
    host, _ = address.parse(spec.bind, "--bind")
    address.token_to_bind(host)
    own = [url for url in urls if is_loopback(resolve(url))]
    if own and not address.is_here(host):
        raise UsageError(
            f"{own[0]} is another machine on every host that joins; give the service's address in the network with --host, "
            "or let all load processes run here with --bind 127.0.0.1"
        )


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


class Signals:
    """First SIGINT or SIGTERM: stop gracefully; second SIGINT: at once."""

    def __init__(self) -> None:
        self.count = 0
        self.name = ""
        self.at_once = True  # until the load runs there are no rows to lose

    @property
    def interrupted(self) -> bool:
        return self.count > 0

    def reason(self) -> str | None:
        return f"interrupted ({self.name})" if self.count else None

    def hurry(self) -> bool:
        return self.count > 1

    def take(self, number: int, _: object) -> None:
        self.count += 1
        self.name = signal.Signals(number).name
        if self.at_once:
            raise Interrupted("interrupted before the load began; nothing was measured, what was started is stopped")


@contextmanager
def taking_signals() -> Iterator[Signals]:
    signals = Signals()
    before = {number: signal.signal(number, signals.take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _pinned(placement: Placement) -> Iterator[None]:
    """This process (display, observer) keeps off the generator's core."""
    if not placement.target or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, placement.target)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
