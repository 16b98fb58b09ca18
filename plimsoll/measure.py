"""`measure(spec) -> Run`: the one way from a spec to a finished run directory. Composes target, load and observation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loadtests.hosts import address
from loadtests.shapes import FINDING
from measurements.errors import Exit, UsageError
from measurements.rundir import RunDirectory
from plimsoll import money, permission, probe
from plimsoll.driving import drive
from plimsoll.duet_watch import DuetWatch
from plimsoll.incidents import Incident
from plimsoll.ready import ready
from plimsoll.run_document import first_document
from plimsoll.spec import Spec, checked, load_plan, stretched
from plimsoll.watch import FOLDER
from plimsoll.watcher import Watcher
from targets.urls import is_loopback, is_private, resolve


@dataclass(frozen=True)
class Run:
    """A finished run: its directory and documents. `exit` is what the command ends with."""

    directory: RunDirectory
    document: dict[str, Any]
    summary: dict[str, Any]
    validity: dict[str, Any]
    exit: Exit


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
        account = drive(
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
