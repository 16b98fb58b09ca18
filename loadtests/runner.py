"""Runs a plan in load processes of its own and accounts for every arrival, also of a process that died."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtests.accounting import write_lost
from loadtests.children import Child, listen
from loadtests.plan import LoadPlan
from loadtests.seconds import Seconds
from measurements.errors import GeneratorFault, InvalidMeasurement, PlimsollError, UsageError
from measurements.rundir import RunDirectory

READY_TIMEOUT_S = 60.0
UI_PATIENCE_S = 0.5  # a page that takes no news must not hold up the run
HEAD_START_NS = 150_000_000


@dataclass
class Account:
    """What the load processes say at the end; `lost` are workers that ended without a word."""

    start_ns: int = 0
    ended: str = "completed"
    stop_reason: str = ""
    stopped_s: float | None = None  # when it was told to stop, from the run's start; what comes after is the drain
    target_died: bool = False
    workers: list[dict[str, Any]] = field(default_factory=list)
    lost: list[dict[str, Any]] = field(default_factory=list)
    given: dict[int, int] = field(default_factory=dict)
    own_faults: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    stale: int = 0
    users: int = 0
    client: str = "plimsoll"
    progress: Seconds = field(default_factory=Seconds)
    late: list[dict[str, Any]] = field(default_factory=list)  # hosts whose answer to the start came too late
    clock_drift_ms: float | None = None  # the worst of other hosts' own; absent: this machine's is looked at

    def take(self, worker: int, message: dict[str, Any], hooks: Hooks) -> None:
        """What a load process says while it works, and at its end."""
        if message["event"] == "progress":
            self.progress.append(message)
            hooks.progress(worker, message)
        elif message["event"] == "fault":
            self.faults.append(message["sentence"])
        elif message["event"] == "end":
            self.given[worker] = message["given"]
            self.stale += message["stale"]
            self.users += message["users"]
            self.client = message["client"] if message["client"] != "plimsoll" else self.client
            self.exceptions += [e for e in message["exceptions"] if e not in self.exceptions]
            for fault, count in message["own_faults"].items():
                self.own_faults[fault] = self.own_faults.get(fault, 0) + count
            if message["fault"]:
                self.faults.append(message["fault"])


@dataclass
class Hooks:
    """What the caller wants to do meanwhile. `stop` returns a reason to stop early, or None; `hurry` to end at once."""

    before_start: Callable[[list[dict[str, Any]], int], None] = lambda workers, start_ns: None
    progress: Callable[[int, dict[str, Any]], None] = lambda worker, news: None
    stop: Callable[[], str | None] = lambda: None
    hurry: Callable[[], bool] = lambda: False
    heard: Callable[[int, dict[str, Any]], None] = lambda worker, message: None  # whatever a load process says


class Runner:
    """`prepare` (imports, checks), then `run`. `pids` are the load processes, for observation and placement.

    `ranks`: which of the plan's load processes run here; absent: all of them.
    """

    def __init__(self, plan: LoadPlan, run: RunDirectory, ranks: Sequence[int] | None = None) -> None:
        self._plan, self._run = plan, run
        self._ranks = range(plan.workers) if ranks is None else ranks
        self._children: list[Child] = []
        self._ui: Child | None = None
        self.ui_url = ""
        self.account = Account(progress=Seconds(run.path))

    @property
    def pids(self) -> list[int]:
        return [child.pid for child in self._children]

    def prepare(self) -> None:
        """Starts the processes and waits until each is ready. The first one that refuses ends it with its sentence."""
        for number in self._ranks:
            self._children.append(Child(number, self._plan, self._run.path))
        if self._plan.ui_host:
            self._open_ui()
        waiting = set(self._ranks)
        until = time.monotonic() + READY_TIMEOUT_S
        while waiting:
            for child, message in listen([c for c in self._children if c.number in waiting], 0.5):
                if message is None:
                    raise InvalidMeasurement(
                        f"load process {child.number} ended before it was ready: {child.last_words()}"
                    )
                if message["event"] == "refused":
                    raise _refusal(message)
                self.account.workers.append({**message, "worker": child.number})
                waiting.discard(child.number)
                break
            if time.monotonic() > until:
                raise GeneratorFault(
                    f"the load processes were not ready within {READY_TIMEOUT_S:g} s; see {self._run.path}/load-*.log"
                )
        self.account.workers.sort(key=lambda worker: worker["worker"])

    def _open_ui(self) -> None:
        ui = self._ui = Child(-1, self._plan, self._run.path, "loadtests.web_ui", "web-ui.log")
        for _, message in listen([ui], READY_TIMEOUT_S):
            if message is None:
                raise GeneratorFault(f"the web UI ended before it was ready: {ui.last_words()}")
            if message["event"] == "refused":
                raise _refusal(message)
            self.ui_url = message["url"]
            ui.line.settimeout(UI_PATIENCE_S)
            return
        raise GeneratorFault(f"the web UI was not ready within {READY_TIMEOUT_S:g} s; see {ui.log}")

    def run(self, hooks: Hooks, head_start_ns: int = HEAD_START_NS) -> Account:
        account, plan = self.account, self._plan
        account.start_ns = start_ns = time.monotonic_ns() + head_start_ns
        start_unix_ns = time.time_ns() + head_start_ns
        account.workers = [
            {
                "worker": w["worker"], "pid": w["pid"], "boot_id": w["boot_id"], "scheduling": w["scheduling"],
                "start_monotonic_ns": start_ns, "start_unix_ns": start_unix_ns,
            }
            for w in account.workers
        ]  # fmt: skip
        hooks.before_start(account.workers, start_ns)
        for child in self._children:
            child.tell(order="start", start_ns=start_ns)
        self._attend(hooks)
        if self._ui is not None:
            self._ui.tell(order="end")
        for child in self._children:
            child.end()
        until_s = sum(stage.duration_s for stage in plan.stages) if account.stopped_s is None else account.stopped_s
        for child in self._children:
            if said := _loss(child, plan):
                account.given.pop(child.number, None)
                rows, arrivals = write_lost(self._run, plan, child.number, until_s)
                account.lost.append({"worker": child.number, "rows": rows, "arrivals": arrivals, "said": said})
        return account

    def close(self) -> None:
        """Ends whatever still runs; safe to call twice."""
        for child in self._children:
            child.end(patience_s=0.0 if child.account is None else 5.0)
        if self._ui is not None:
            self._ui.end(patience_s=1.0)

    def _attend(self, hooks: Hooks) -> None:
        account, plan = self.account, self._plan
        alive = list(self._children)
        deadline = time.monotonic() + sum(stage.duration_s for stage in plan.stages) + plan.drain_s + 30
        hurried = False
        asked = ""
        while alive:
            for child, message in listen([*alive, *([self._ui] if self._ui else [])], 0.1):
                if child is self._ui:
                    asked = asked or (message or {}).get("why", "")
                    continue
                if message is None:
                    alive.remove(child)
                    break
                self._take(child, message, hooks)
            reason = hooks.stop() or asked
            if reason and account.ended == "completed":
                account.ended, account.stop_reason = "stopped", reason
                account.stopped_s = max(0.0, (time.monotonic_ns() - account.start_ns) / 1e9)
                for child in alive:
                    child.tell(order="stop", why=reason)
            if hooks.hurry() and not hurried:
                hurried = True
                for child in alive:
                    child.tell(order="stop", why="at once")
            if time.monotonic() > deadline:
                account.faults.append("a load process did not end in time and was killed")
                for child in alive:
                    child.end(patience_s=0.0)
                return

    def _take(self, child: Child, message: dict[str, Any], hooks: Hooks) -> None:
        if message["event"] == "progress":
            for_the_ui = {key: message.pop(key) for key in ("added", "exceptions") if key in message}
            if self._ui is not None and for_the_ui:
                self._ui.tell(order="progress", worker=child.number, users=message["users"], **for_the_ui)
        elif message["event"] == "end":
            child.account = message
        self.account.take(child.number, message, hooks)
        hooks.heard(child.number, message)


def _loss(child: Child, plan: LoadPlan) -> str:
    """What a load process says of arrivals that it left without a row; nothing where each has one. One that could not
    write its rows has said so, and `recover` finishes the run when there is room again."""
    ended = child.account
    if ended is None:
        return child.last_words()
    if plan.loop != "open" or ended["fault"] or ended["recorded"] >= ended["given"]:
        return ""
    return f"{ended['given'] - ended['recorded']} of its requests ended without a row: {child.last_words()}"


def _refusal(message: dict[str, Any]) -> PlimsollError:
    return UsageError(message["sentence"])
