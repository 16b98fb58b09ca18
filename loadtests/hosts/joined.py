"""A joined host's side: its line to the master, the plan it gets, its load processes, what they wrote sent home."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from loadtests.children import Line, listen
from loadtests.hosts import bundle
from loadtests.hosts.messages import patience_s
from loadtests.hosts.shipping import KINDS, NEWS
from loadtests.plan import LoadPlan
from loadtests.runner import Account, Hooks, Runner
from measurements.errors import (
    GeneratorFault,
    InvalidMeasurement,
    PlimsollError,
    Refused,
    TargetUnreachable,
    UsageError,
)
from measurements.rundir import RunDirectory

VERSION = metadata.version("plimsoll")
LAY_REST_S = 60.0
ANSWER_S = 15.0  # a master that listens answers within a handshake
GONE = "the master is gone"


@dataclass(frozen=True)
class Assignment:
    """What the master gave this host."""

    plan: LoadPlan
    ranks: list[int]
    document: dict[str, Any]

    @property
    def rows_to(self) -> str | None:
        """The shared place that rows are laid at; absent: they go over the line."""
        found = self.document.get("rows_to")
        return str(found["uri"]) if found else None


class Joined:
    """`ask`, `accept`, `work`, `hand_over`, `close`, in this order. `patient_s`: silence after which the master is gone;
    absent: by the plan."""

    def __init__(self, host: str, port: int, token: str, folder: Path, patient_s: float | None = None) -> None:
        self._where, self._folder = f"{host}:{port}", folder
        self._by_plan, self._patience_s = patient_s is None, patient_s or 30.0
        self._address, self._token = (host, port), token
        self._line: Line | None = None
        self._silent_s, self._open_bytes = 0.0, 0
        self._why_stop = ""
        self._at_once = False
        self._said: list[dict[str, Any]] = []
        self._say_here: Callable[[str], None] = lambda sentence: None
        self._place: dict[str, str] = {}
        self._unlaid: int | None = None

    # ------------------------------------------------------------------ getting in

    def ask(self, processes: int, wait_s: float, say: Callable[[str], None]) -> Assignment:
        """Waits for the master to listen, to let us in, and to have a plan."""
        host, port = self._address
        self._say_here = say
        say(f"waiting for a master at {self._where}")
        _wait_for_door(host, port, wait_s)
        self._line = line = Line("loadtests.hosts.link", self._folder / "link.log")
        line.tell(host=host, port=port, token=self._token)
        self._connected(line)
        say(f"joined {self._where} with {processes} load processes; waiting for the others")
        line.tell(order="ask", offer={"processes": processes, "version": VERSION})
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            for said in self._listen(0.5):
                if said["say"] == "refused":
                    raise (Refused if said.get("exit_code") == 5 else UsageError)(
                        f"{self._where}: {said.get('sentence')}"
                    )
                if said["say"] == "plan":
                    plan = bundle.unpack(said, self._folder / "plan")
                    self._patience_s = patience_s(plan) if self._by_plan else self._patience_s
                    return Assignment(plan, [int(rank) for rank in said["ranks"]], said["document"])
            if self._silent_s > self._patience_s:
                raise TargetUnreachable(
                    f"{GONE} ({self._where}, silent for {self._silent_s:g} s) before the load began"
                )
        raise TargetUnreachable(f"the master at {self._where} had no plan within {wait_s:g} s; join when it is started")

    def _connected(self, line: Line) -> None:
        for _, message in listen([line], 60.0 + ANSWER_S):
            if message is None:
                raise GeneratorFault(f"the process that speaks with the master ended: {line.last_words()}")
            if message["event"] == "connected":
                return
            if message["event"] == "refused":
                raise UsageError(message["sentence"])
            if message["event"] == "knocking" and message["seconds"] > ANSWER_S:
                break
        raise UsageError(
            f"{self._where} answers and does not let us in: PLIMSOLL_TOKEN must be the same here and there, "
            "and a Plimsoll master must be what listens"
        )

    def refuse(self, error: PlimsollError) -> None:
        """Tells the master why this host cannot do its part."""
        self._say("refused", sentence=str(error), exit_code=int(error.exit_code))
        time.sleep(0.5)

    # ------------------------------------------------------------------ the load

    def work(self, given: Assignment, run: RunDirectory, hooks: Hooks, say: Callable[[str], None]) -> Account:
        """From ready to the last row. `hooks.stop` ends it early here, the master's word or its silence as well."""
        runner = Runner(given.plan, run, given.ranks)
        news = {rank: KINDS[NEWS](run, rank).open("xb", buffering=0) for rank in given.ranks}

        def tell(rank: int, message: dict[str, Any]) -> None:
            news[rank].write(json.dumps(message).encode() + b"\n")

        def before_start(workers: list[dict[str, Any]], start_ns: int) -> None:
            self._say("started", workers=workers)
            hooks.before_start(workers, start_ns)

        def stop() -> str | None:
            self._take_orders(self._listen(0.0))
            if self._silent_s > self._patience_s:
                return f"{GONE}: silent for {self._silent_s:.0f} s"
            return hooks.stop() or self._why_stop or None

        try:
            runner.prepare()
            self._order("ship", run_dir=str(run.path), ranks=given.ranks)
            if given.rows_to:
                self._try_place(given, run, given.rows_to)
            self._say("ready")
            say("ready; waiting for the start")
            in_ns = self._start(hooks)
            account = runner.run(
                Hooks(before_start, hooks.progress, stop, lambda: hooks.hurry() or self._at_once, tell), in_ns
            )
            for lost in account.lost:
                tell(lost["worker"], {"event": "died", "said": lost["said"]})
            return account
        finally:
            runner.close()
            for file in news.values():
                file.close()

    def _try_place(self, given: Assignment, run: RunDirectory, uri: str) -> None:
        self._say_here(f"trying {uri}")
        self._order("carry", run_dir=str(run.path), ranks=given.ranks, place=uri, run=given.plan.run)
        while "ready" not in self._place:
            self._take_orders(self._listen(0.05))
            if "refused" in self._place:
                raise UsageError(self._place["refused"])
            if self._why_stop or self._silent_s > self._patience_s:
                raise InvalidMeasurement(f"{self._why_stop or GONE} before the load began")

    def _start(self, hooks: Hooks) -> int:
        while True:
            for said in self._listen(0.05):
                if said["say"] == "start":
                    return int(said["in_ns"])
                self._take_orders([said])
            if self._why_stop or self._silent_s > self._patience_s:
                raise InvalidMeasurement(f"{self._why_stop or GONE} before the load began")

    def _take_orders(self, said: list[dict[str, Any]]) -> None:
        for message in said:
            if message["say"] == "stop":
                self._why_stop = self._why_stop or str(message.get("why") or "the master stopped it")
                self._at_once = self._at_once or bool(message.get("at_once"))

    # ------------------------------------------------------------------ afterwards

    def hand_over(self, account: Account, left: str) -> bool:
        """True when the master has said that it has everything; False when it is gone."""
        drift_ms = (time.time_ns() - account.workers[0]["start_unix_ns"] - time.monotonic_ns() + account.start_ns) / 1e6
        self._order("finish", message={"left": left, "clock_drift_ms": drift_ms})
        while True:
            for said in self._listen(0.2):
                if said["say"] == "goodbye":
                    return True
            if self._silent_s > self._patience_s:
                self._lay_rest()
                return False

    def _lay_rest(self) -> None:
        """The master is gone, the shared place perhaps not."""
        if self._unlaid is None:
            return
        self._unlaid = 1  # until the line has looked at the last rows, too
        until = time.monotonic() + LAY_REST_S
        while self._unlaid and "fallen" not in self._place and time.monotonic() < until:
            self._listen(0.2)

    @property
    def all_laid(self) -> bool:
        """Every row of this host lies at the shared place."""
        return self._unlaid == 0

    def close(self) -> None:
        if self._line is not None:
            self._line.end(patience_s=2.0)
        shutil.rmtree(self._folder / "plan", ignore_errors=True)

    # ------------------------------------------------------------------ the line

    def _listen(self, timeout_s: float) -> list[dict[str, Any]]:
        assert self._line is not None
        said = []
        for _, message in listen([self._line], max(timeout_s, 0.001)):
            if message is None:
                raise GeneratorFault(f"the process that speaks with the master ended: {self._line.last_words()}")
            if message["event"] == "said":
                said.append(message["message"])
            elif message["event"] == "line":
                self._silent_s, self._open_bytes = message["silent_s"], message["open_bytes"]
                self._unlaid = message["unlaid_bytes"]
            elif message["event"] == "place":
                self._place = {message["how"]: message["sentence"]}
                if message["how"] != "refused" and message["sentence"]:
                    self._say_here(message["sentence"])
        return said

    def _order(self, order: str, **more: Any) -> None:
        assert self._line is not None
        self._line.tell(order=order, **more)

    def _say(self, what: str, **more: Any) -> None:
        self._order("say", message={"what": what, **more})


def _wait_for_door(host: str, port: int, wait_s: float) -> None:
    """Until something listens there; a master may be started after its workers."""
    until, why = time.monotonic() + wait_s, ""
    while time.monotonic() < until:
        try:
            socket.create_connection((host, port), timeout=3).close()
            return
        except OSError as error:
            why = error.strerror or str(error)
        time.sleep(0.3)
    raise TargetUnreachable(
        f"no master at {host}:{port} within {wait_s:g} s ({why}); start it with: plimsoll run CONTRACT --master --bind {host}"
    )
