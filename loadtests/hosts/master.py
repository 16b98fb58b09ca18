"""The master's side of a run on other hosts: gives out the plan, starts everybody at once, accounts for every arrival.

Of the same use as `loadtests.runner.Runner`. No gevent here: `hub`, a process of its own, speaks with the hosts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

from loadtests.accounting import write_lost
from loadtests.children import Line, listen
from loadtests.hosts import bundle
from loadtests.hosts.meeting import Host, Meeting, short
from loadtests.hosts.messages import patience_s
from loadtests.plan import LoadPlan
from loadtests.runner import Account, Hooks
from loadtests.seconds import Seconds
from measurements.errors import GeneratorFault, InvalidMeasurement, UsageError
from measurements.rundir import RunDirectory

HUB_S = 60.0  # the hub imports Locust, on a busy machine
READY_S = 120.0
HEAD_START_NS = 1_500_000_000
BROUGHT_S = 75.0  # what lost hosts had laid at the shared place is read for a minute at most
PINGS = 5
VERSION = metadata.version("plimsoll")


class Hosts:
    """`prepare`, then `run`, then `close`."""

    ui_url = ""
    pids: list[int] = []  # noqa: RUF012  no load process runs here, and nobody appends

    def __init__(
        self, plan: LoadPlan, run: RunDirectory, meeting: Meeting, document: dict[str, Any], say: Callable[[str], None]
    ) -> None:
        """`document` is run.json: a host that loses its master can finish its own part with it."""
        self._plan, self._run, self._meeting, self._document, self._say = plan, run, meeting, document, say
        self._patience_s = patience_s(plan)
        self._hub: Line | None = None
        self._hosts: dict[str, Host] = {}
        self._workers: dict[int, dict[str, Any]] = {}
        self._died: dict[int, str] = {}
        self._ended: set[int] = set()
        self._packed: dict[str, Any] = {}
        self._told_silent: set[str] = set()
        self._rows_to: dict[str, Any] | None = document.get("rows_to")
        self._brought = False
        self.account = Account(progress=Seconds(run.path))

    # ------------------------------------------------------------------ before

    def prepare(self) -> None:
        """Listens, waits until enough load processes have joined, and until each is ready."""
        self._packed = bundle.pack(self._plan)
        self._hub = hub = Line("loadtests.hosts.hub", self._run.path / "hub.log")
        meeting = self._meeting
        place = self._rows_to["uri"] if self._rows_to else None
        hub.tell(token=meeting.token, host=meeting.host, port=meeting.port, run_dir=str(self._run.path), place=place)
        port = self._listening(hub)
        wanted = self._plan.workers
        self._say(f"waiting for {wanted} load processes; on each host: plimsoll run --join {meeting.host}:{port}")
        until = time.monotonic() + meeting.wait_s
        while not self._all_ready():
            for _, message in listen([hub], 0.2):
                self._hear(message, Hooks())
            self._forget_silent()
            if time.monotonic() > until:
                there = sum(len(host.ranks) for host in self._hosts.values() if host.ready)
                raise InvalidMeasurement(
                    f"{there} of {wanted} load processes had joined {meeting.host}:{port} after {meeting.wait_s:g} s; start the "
                    "others sooner, or ask for fewer with --workers"
                )
        for _ in range(PINGS):
            for name in self._hosts:
                hub.tell(order="ping", host=name)
            for _, message in listen([hub], 0.1):
                self._hear(message, Hooks())

    def _listening(self, hub: Line) -> int:
        for _, message in listen([hub], HUB_S):
            if message is None:
                raise GeneratorFault(f"the process that speaks with other hosts ended: {hub.last_words()}")
            if message["event"] == "refused":
                raise UsageError(message["sentence"])
            if message["event"] == "listening":
                return int(message["port"])
        raise GeneratorFault(
            f"the process that speaks with other hosts did not start within {HUB_S:g} s; see {hub.log}"
        )

    def _all_ready(self) -> bool:
        ready = [rank for host in self._hosts.values() if host.ready for rank in host.ranks]
        return len(ready) == self._plan.workers

    def _forget_silent(self) -> None:
        """A host that went away before the start leaves its place to another."""
        for name in [name for name, host in self._hosts.items() if host.silent_s > 10]:
            self._say(f"{short(name)} has gone away before the start")
            self._tell(expect=name, ranks=[])
            del self._hosts[name]

    def _offered(self, name: str, offer: dict[str, Any]) -> None:
        host = self._hosts.get(name)
        if host is None:
            taken = {rank for other in self._hosts.values() for rank in other.ranks}
            free = [rank for rank in range(self._plan.workers) if rank not in taken]
            offered = offer.get("processes")
            if not free or not isinstance(offered, int) or offered < 1 or self.account.start_ns:
                why = (
                    "the run has begun" if self.account.start_ns else "the run has all the load processes it asked for"
                )
                self._order(name, say="refused", sentence=f"{why}: this host is not needed", exit_code=2)
                return
            if offer.get("version") != VERSION:
                sentence = f"this host has Plimsoll {offer.get('version')}, the master has {VERSION}"
                self._order(name, say="refused", sentence=f"{sentence}: install the same on both", exit_code=2)
                return
            host = self._hosts[name] = Host(name, free[:offered])
            self._tell(expect=name, ranks=host.ranks)
            self._say(f"{short(name)} joined with {len(host.ranks)} load processes")
        self._order(name, say="plan", ranks=host.ranks, document=self._document, **self._packed)

    # ------------------------------------------------------------------ the run

    def run(self, hooks: Hooks) -> Account:
        account, hub = self.account, self._hub
        assert hub is not None
        asked_s = time.monotonic()
        account.start_ns = time.monotonic_ns() + HEAD_START_NS
        for host in self._hosts.values():
            host.asked_s = time.monotonic()
            way_ns = int(min(host.rtt_s, default=0.0) / 2 * 1e9)
            self._order(host.name, say="start", in_ns=max(HEAD_START_NS - way_ns, 0))
        while time.monotonic() - asked_s < HEAD_START_NS / 1e9 - 0.2 and not self._all_started():
            for _, message in listen([hub], 0.02):
                self._hear(message, hooks)
        account.workers = [self._workers[rank] for rank in sorted(self._workers)]
        hooks.before_start(account.workers, account.start_ns)
        self._attend(hub, hooks)
        if self._rows_to:
            self._clear_place(hub, self._rows_to)
        self._reckon()
        return account

    def _all_started(self) -> bool:
        return all(host.answered_s is not None for host in self._hosts.values())

    def _attend(self, hub: Line, hooks: Hooks) -> None:
        account, plan, patient_s = self.account, self._plan, self._patience_s
        load_s = sum(stage.duration_s for stage in plan.stages)
        begin_s = account.start_ns / 1e9
        told_s, hurried, why = 0.0, False, ""
        deadline_s = begin_s + load_s + plan.drain_s + patient_s + 30
        while waiting := [host for host in self._hosts.values() if not host.done]:
            for _, message in listen([hub], 0.1):
                if message is None:
                    account.faults.append(f"the process that speaks with other hosts ended: {hub.last_words()}")
                    return
                self._hear(message, hooks)
            at_s = time.monotonic()
            reason = hooks.stop()
            if reason and account.ended == "completed":
                account.ended, account.stop_reason, why = "stopped", reason, reason
                account.stopped_s = max(0.0, at_s - begin_s)
                deadline_s = at_s + plan.drain_stopped_s + patient_s
            if hooks.hurry():
                hurried = True
                deadline_s = min(deadline_s, at_s + plan.drain_stopped_s + 5)
            if (why or hurried) and at_s - told_s > 1:  # again and again: a host may be cut off just now
                told_s = at_s
                for host in waiting:
                    self._order(host.name, say="stop", why=why or "at once", at_once=hurried)
            self._name_silent(waiting)
            gone = [host for host in waiting if host.silent_s > patient_s]
            over = at_s > begin_s + load_s + plan.drain_s or account.ended != "completed"
            if len(gone) == len(waiting) and (over or len(gone) == len(self._hosts)):
                if not over:
                    account.ended, account.stop_reason = "stopped", "every host was lost"
                    account.stopped_s = max(0.0, at_s - begin_s)
                return
            if at_s > deadline_s:
                return

    def _clear_place(self, hub: Line, rows_to: dict[str, Any]) -> None:
        """A complete run leaves nothing at the shared place. Of an incomplete one all of it stays there; what lost hosts had
        laid, and could not say any more, is taken before their arrivals are counted as lost."""
        missing = [host.name for host in self._hosts.values() if not host.done]
        rows_to["kept"] = bool(missing)
        self._run.write_json("run.json", self._document)  # `recover` must know that nothing is there any more
        hub.tell(order="bring", hosts=missing) if missing else hub.tell(order="remove")
        self._await_brought(hub)
        if not self._brought:
            self._note(f"what hosts laid at {rows_to['uri']} could neither be taken nor removed at the end of the run")
        if missing:
            hub.end()  # nobody writes rows while the lost ones are counted
            self._note(f"what hosts laid at {rows_to['uri']} for run {self._run.identity} is still there")

    def _await_brought(self, hub: Line) -> None:
        until = time.monotonic() + BROUGHT_S
        while not self._brought and time.monotonic() < until:
            for _, message in listen([hub], 0.2):
                if message is None:
                    return
                self._hear(message, Hooks())

    def _note(self, sentence: str) -> None:
        """Said while the run goes on, and in its document."""
        self._say(sentence)
        if self._rows_to is not None:
            self._rows_to.setdefault("said", []).append(sentence)

    def _name_silent(self, waiting: list[Host]) -> None:
        for host in waiting:
            if host.silent_s > 3 and host.name not in self._told_silent:
                self._told_silent.add(host.name)
                self._say(
                    f"{short(host.name)} is silent; its rows are missing if it stays so for {self._patience_s:g} s"
                )
            elif host.silent_s <= 3 and host.name in self._told_silent:
                self._told_silent.discard(host.name)
                self._say(f"{short(host.name)} is back")

    def _reckon(self) -> None:
        """Who is lost, who was late, and a row for each arrival that has none."""
        account, plan = self.account, self._plan
        until_s = sum(stage.duration_s for stage in plan.stages) if account.stopped_s is None else account.stopped_s
        for host in self._hosts.values():
            answer_s = None if host.answered_s is None else host.answered_s - host.asked_s
            if answer_s is None or answer_s > HEAD_START_NS / 1e9:
                took = "never" if answer_s is None else f"after {answer_s:.1f} s"
                account.late.append({"host": short(host.name), "said": f"answered the start {took}"})
            for rank in host.ranks:
                if host.done and not host.left and rank not in self._died:
                    continue
                said = self._died.get(rank) or host.left or f"{short(host.name)} was not heard of any more"
                account.given.pop(rank, None)
                rows, arrivals = write_lost(self._run, plan, rank, until_s)
                account.lost.append({"worker": rank, "rows": rows, "arrivals": arrivals, "said": said})

    def close(self) -> None:
        if self._hub is None:
            return
        if self._rows_to and not self.account.start_ns:  # trial objects of a run that did not begin
            self._hub.tell(order="remove")
            self._await_brought(self._hub)
        self._hub.end()

    # ------------------------------------------------------------------ what is heard

    def _hear(self, message: dict[str, Any] | None, hooks: Hooks) -> None:
        if message is None:
            raise GeneratorFault("the process that speaks with other hosts ended; see hub.log in the run directory")
        event = message["event"]
        if event == "said":
            self._said(message["host"], message["message"])
        elif event == "news":
            self._news(message["rank"], message["news"], hooks)
        elif event == "rtt" and message["host"] in self._hosts:
            self._hosts[message["host"]].rtt_s.append(message["rtt_s"])
        elif event == "line":
            for name, silent_s in message["silent_s"].items():
                if name in self._hosts:
                    self._hosts[name].silent_s = silent_s
        elif event == "brought":
            self._brought = True
            if self._rows_to is not None:
                self._rows_to |= {"objects": message["objects"], "bytes": message["bytes"]}
            if message["sentence"]:
                self._note(message["sentence"])
        elif event == "full":
            self.account.faults.append(message["sentence"])
        elif event == "done" and message["host"] in self._hosts:
            self._done(self._hosts[message["host"]], message["message"])

    def _said(self, name: str, said: dict[str, Any]) -> None:
        if said["say"] == "offer":
            self._offered(name, said)
        host = self._hosts.get(name)
        if host is None:
            return
        if said["say"] == "ready":
            host.ready = True
        elif said["say"] == "refused" and not self.account.start_ns:
            raise UsageError(f"{short(name)}: {str(said.get('sentence'))[:500]}")
        elif said["say"] == "place":
            self._note(f"{short(name)}: {str(said.get('sentence'))[:500]}")
        elif said["say"] == "started" and host.answered_s is None:
            host.answered_s = time.monotonic()
            within_ms = (host.answered_s - host.asked_s) * 1e3 / 2
            for worker in said["workers"]:
                if worker.get("worker") in host.ranks:
                    entry = {**worker, "host": short(name), "start_within_ms": round(within_ms, 3)}
                    self._workers[worker["worker"]] = entry

    def _news(self, rank: int, news: dict[str, Any], hooks: Hooks) -> None:
        try:
            if news["event"] == "died":
                self._died[rank] = str(news["said"])
            else:
                self.account.take(rank, news, hooks)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._died[rank] = f"it said something that nobody understands ({type(error).__name__})"

    def _done(self, host: Host, said: dict[str, Any]) -> None:
        if host.done:
            return
        host.done, host.left = True, str(said.get("left") or "")
        drift_ms = float(said.get("clock_drift_ms") or 0.0)
        self.account.clock_drift_ms = max([drift_ms, self.account.clock_drift_ms or 0.0], key=abs)

    # ------------------------------------------------------------------ what is told

    def _order(self, name: str, **message: Any) -> None:
        assert self._hub is not None
        self._hub.tell(order="say", host=name, message=message)

    def _tell(self, expect: str, ranks: list[int]) -> None:
        assert self._hub is not None
        self._hub.tell(order="expect", host=expect, ranks=ranks)
