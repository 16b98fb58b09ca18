"""`ready(spec)`: a run directory and a target that is there, started if asked; all of it ends with the block."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.shapes import INCIDENTS
from measurements.errors import TargetUnreachable
from measurements.redaction import Redactor, of_environment
from measurements.rundir import RunDirectory
from plimsoll import health_checks, permission, told, watch
from plimsoll.health_checks import Asked
from plimsoll.placement import Placement, place
from plimsoll.signals import Signals, taking_signals
from plimsoll.spec import Spec
from plimsoll.watch import Watch
from plimsoll.watcher import Watcher
from profiles.ports import of_service
from profiles.spans import SpanReceiver
from targets.balancer import Balancer
from targets.contract import Observe
from targets.contract_file import secret_values
from targets.control import Deployment
from targets.urls import base_url, is_loopback, resolve


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
    for url in urls:
        parts, address = base_url(url), resolve(url)
        if parts.scheme == "unix":
            continue
        port = parts.port or (443 if parts.scheme == "https" else 80)
        permission.check(url, address, 0.0)
        try:
            socket.create_connection((address, port), timeout=5).close()
        except OSError as error:
            start = ", or let Plimsoll start it with --start" if spec.contract and spec.contract.target.control else ""
            named = "--host" if spec.host else "base_url"
            raise TargetUnreachable(
                f"{url} does not answer ({error.strerror or error}); start the service, or correct {named}{start}"
            ) from error


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
