"""Trials against a real service: each a load process of its own, watched once a second, its rows kept in one run directory.

The run's stages are the trials in their order, each with its declared settling and the pause before it as warm-ups, so
that everything that reads a run reads a search too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from loadtests.arrivals import Process, Stage, schedule
from loadtests.plan import LoadPlan
from loadtests.runner import Account, Hooks, Runner
from loadtests.search import from_table
from loadtests.search.answer import stage_name
from loadtests.search.trial import Generator, Look, Request, Rows
from loadtests.seconds import Seconds
from measurements.rundir import RunDirectory
from plimsoll import merge, permission
from plimsoll.ready import Ready
from plimsoll.spec import load_plan, pool_cap, pool_needed
from plimsoll.watch import Watch

LAST_DRAIN_S = 2.0
WATCHED_S = 60.0  # over which stacks of an overloaded service are spread


@dataclass
class Trials:
    """Callable as `loadtests.search.trial.Trial`. `write` is called when run.json has news; `max_requests` is where the
    money ends."""

    ready: Ready
    looking: Watch
    write: Callable[[list[dict[str, Any]], list[Stage]], None]
    max_requests: int | None = None
    news: Callable[[Request, Rows], None] = lambda request, rows: None
    stages: list[Stage] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    requests: int = 0
    died: str = ""
    _accounts: dict[str, Account] = field(default_factory=dict)
    _seqs: int = 0
    _left_open: float = 0.0
    _ended_at: float = 0.0

    def stop(self) -> str:
        """Why no further trial may begin, or ""."""
        if self.max_requests is not None and self.requests >= self.max_requests:
            return f"max_usd is reached after {self.requests:,} requests"
        self.died = self.died or self.ready.died() or ""
        return self.ready.signals.reason() or self.died

    def __call__(self, request: Request, look: Look) -> Rows:
        self._pause()
        name = stage_name(request.number)
        plan = self._plan(request, name)
        run = RunDirectory.create(self.ready.run.path / "trials", name)
        runner, seen = Runner(plan, run), _Seen(plan, run, request, look, self.news)

        def before_start(workers: list[dict[str, Any]], start_ns: int) -> None:
            if not self.account.workers:
                self.account.workers, self.account.start_ns = workers, start_ns
                self.looking.start(start_ns, runner.pids, WATCHED_S)
            elif self.looking.observer is not None:
                self.looking.observer.roots["generator"] += runner.pids
            self._add_stages(plan, start_ns, name)
            self.write(self.account.workers, self.stages)

        def progress(worker: int, news: dict[str, Any]) -> None:
            self.looking.progress(worker, news)
            seen.take(worker, news, runner.account.start_ns)

        try:
            if not self.stages:
                self.looking.before()
            runner.prepare()
            self.ready.signals.at_once = False
            account = runner.run(Hooks(before_start, progress, lambda: self.stop() or seen.why or None, self._hurry))
        finally:
            runner.close()
        return self._take(request, plan, run, account, seen)

    def _hurry(self) -> bool:
        """What a cut trial left open is waited for in full, lest the service works on at it in the next one; not where the
        search itself is to end."""
        if not self._ended_at and self.stop():
            self._ended_at = time.monotonic()
        return self.ready.signals.hurry() or bool(self._ended_at and time.monotonic() > self._ended_at + LAST_DRAIN_S)

    def void(self, number: int) -> None:
        """A trial that the generator could not carry says nothing of the target: its rows stay, out of the statistics."""
        name = stage_name(number)
        self.stages = [replace(stage, warmup=True) if stage.name == name else stage for stage in self.stages]
        self._accounts[name].own_faults, self._accounts[name].faults = {}, []
        self._accounts[name].progress = Seconds()

    def clear_up(self) -> None:
        """The folder that trials ran in, empty by now unless one was killed."""
        with contextlib.suppress(OSError):
            (self.ready.run.path / "trials").rmdir()

    def merged_account(self, ended: str, why: str) -> Account:
        merged = replace(self.account, ended=ended, stop_reason=why, target_died=bool(self.died))
        for account in self._accounts.values():
            for worker, count in account.given.items():
                merged.given[worker] = merged.given.get(worker, 0) + count
            for lost in account.lost:
                merged.given[lost["worker"]] = merged.given.get(lost["worker"], 0) + lost["arrivals"]
            for fault, count in account.own_faults.items():
                merged.own_faults[fault] = merged.own_faults.get(fault, 0) + count
            merged.faults += account.faults
            merged.exceptions += [e for e in account.exceptions if e not in merged.exceptions]
            merged.stale += account.stale
            merged.users = max(merged.users, account.users)
            merged.progress += account.progress
            merged.client = account.client
        return merged

    def _plan(self, request: Request, name: str) -> LoadPlan:
        rate = request.rate_rps
        settle = [Stage(f"{name}-settle", request.settle_s, rate, rate, warmup=True)] if request.settle_s > 0 else []
        measured = Stage(name, request.measure_s, rate, rate, warmup=request.purpose == "warm_up")
        spec = replace(
            self.ready.spec, users=None, rate_rps=rate, planned=(*settle, measured), seed=request.seed,
            process=Process("poisson"),
        )  # fmt: skip
        plan = load_plan(spec, self.ready.run.identity, self.ready.urls, self.ready.placement.generator, rate)
        for url, address in zip(plan.base_urls, plan.addresses, strict=True):
            permission.check(url, address, rate)
        return replace(plan, drain_stopped_s=plan.drain_s)

    def _pause(self) -> None:
        """What a trial left behind is worked off before the next one begins, as far as anybody still waits for it."""
        until = time.monotonic() + self._left_open
        while time.monotonic() < until and not self.stop():
            time.sleep(0.1)

    def _add_stages(self, plan: LoadPlan, start_ns: int, name: str) -> None:
        at_s = sum(stage.duration_s for stage in self.stages)
        gap_s = (start_ns - self.account.start_ns) / 1e9 - at_s
        if self.stages and gap_s > 0:
            self.stages.append(Stage(f"{name}-pause", gap_s, 0.0, 0.0, warmup=True))
        self.stages += plan.stages

    def _take(self, request: Request, plan: LoadPlan, run: RunDirectory, account: Account, seen: _Seen) -> Rows:
        name = stage_name(request.number)
        if account.stopped_s is not None:
            self._shorten(plan, account.stopped_s)
        self._accounts[name] = account
        shift_ns = account.start_ns - self.account.start_ns
        run.finish_shards()
        table = run.table("samples")
        self._seqs = merge.add_trial(self.ready.run, run, name, table, shift_ns, self._seqs)
        self.requests += table.num_rows
        elapsed_s = request.duration_s if account.stopped_s is None else min(account.stopped_s, request.duration_s)
        why = seen.why if account.stopped_s is not None else ""
        rows = from_table.rows(table, elapsed_s, _generator(plan, account), why)
        self._left_open = worked_off_s(rows, plan)
        return rows

    def _shorten(self, plan: LoadPlan, stopped_s: float) -> None:
        """Stages end where the arrivals did."""
        kept, at_s = self.stages[: -len(plan.stages)], 0.0
        for stage in plan.stages:
            seconds = min(stage.duration_s, stopped_s - at_s)
            at_s += stage.duration_s
            if seconds > 0:
                kept.append(replace(stage, duration_s=seconds))
        self.stages = kept


class _Seen:
    """What is known while a trial runs: finished rows from its journal, open ones from its schedule."""

    def __init__(
        self, plan: LoadPlan, run: RunDirectory, request: Request, look: Look, news: Callable[[Request, Rows], None]
    ) -> None:
        self._run, self._request, self._look, self._news = run, request, look, news
        blocks = [times for times, _ in schedule(plan.stages, plan.process, plan.seed)]
        self._due_s = np.concatenate(blocks) if blocks else np.empty(0)
        self.why = ""

    def take(self, worker: int, news: dict[str, Any], start_ns: int) -> None:
        elapsed_s = (time.monotonic_ns() - start_ns) / 1e9
        if self.why or worker != 0 or elapsed_s > self._request.duration_s:
            return
        table = self._run.table("samples")
        table = from_table.with_open(table, self._due_s, elapsed_s)
        rows = from_table.rows(table, elapsed_s, Generator(news["cpu_cores"])).known_at(elapsed_s)
        self._news(self._request, rows)
        self.why = self._look(rows)


def worked_off_s(rows: Rows, plan: LoadPlan) -> float:
    """How long a service takes to what was given up: as fast as it answered while its load process waited, and no longer
    than a client would have waited for an answer."""
    if not rows.open_at_the_end:
        return 0.0
    answered = int((rows.ok & (rows.done_s > rows.elapsed_s)).sum())
    return min(rows.open_at_the_end * plan.drain_s / max(answered, 1), plan.drain_s)


def _generator(plan: LoadPlan, account: Account) -> Generator:
    by_worker: dict[int, list[float]] = {}
    for news in account.progress:
        by_worker.setdefault(news["worker"], []).append(news["cpu_cores"])
    busiest = max((float(np.mean(shares)) for shares in by_worker.values()), default=0.0)
    faults = [*account.faults, *(f"{text} ({count} times)" for text, count in account.own_faults.items())]
    faults += [f"load process {lost['worker']} was lost ({lost['said']})" for lost in account.lost]
    return Generator(busiest, tuple(faults), plan.pool_cap < pool_needed(plan.stages, plan.timeout_s))


def merged_plan(plan: LoadPlan, stages: list[Stage]) -> LoadPlan:
    """One plan of all trials, for the documents of the run."""
    return replace(plan, stages=stages, pool_cap=pool_cap(pool_needed(stages, plan.timeout_s)))
