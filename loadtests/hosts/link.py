"""The process of a joined host that speaks with the master, over Locust's WorkerRunner.

Started as `python -m loadtests.hosts.link FD`. What the master says goes to the parent, what the parent orders goes to the
master; of itself it only asks to be let in, answers pings, and ships files until the master has them all.
"""

from __future__ import annotations

# gevent patches first, by way of Locust; this module is imported in processes of its own only
import locust  # noqa: F401  isort: skip
import os
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.rpc import Message

from loadtests.hosts import sockets
from loadtests.hosts.carrier import Carrier
from loadtests.hosts.messages import OURS
from loadtests.hosts.shared import TRIAL, Laid
from loadtests.hosts.shipping import KINDS, PIECE_BYTES, Shipper
from loadtests.orders import Orders
from measurements.errors import UsageError
from measurements.rundir import RunDirectory

SHIP_S = 0.2
ASK_S = 1.0
QUIET_S = 3.0  # nothing acknowledged for so long: what is open is sent again


class Link:
    def __init__(self, parent: Orders, environment: Environment, host: str, port: int) -> None:
        self._parent = parent
        self._shipper: Shipper | None = None
        self._carrier: Carrier | None = None
        self._finishing: dict[str, Any] | None = None
        self._asking: dict[str, Any] | None = None
        self._acknowledged_s = 0.0
        self._runner = environment.create_worker_runner(host, port)  # returns when the master has let us in
        self._runner.register_message(OURS, self._hear)

    # ------------------------------------------------------------------ from the master

    def _hear(self, msg: Message, **_: Any) -> None:
        said: dict[str, Any] = msg.data
        if said["say"] == "ping":
            self._say("pong", at=said["at"])
        elif said["say"] in ("have", "unread"):
            if self._carrier is not None:
                self._carrier.heard(said)
            if self._shipper is not None and said["say"] == "have" and said["kind"] != TRIAL:
                self._acknowledged_s = time.monotonic()
                self._shipper.acknowledge(int(said["rank"]), str(said["kind"]), int(said["size"]))
        else:
            if said["say"] in ("plan", "refused"):
                self._asking = None
            self._parent.tell(event="said", message=said)

    def _say(self, what: str, **more: Any) -> None:
        self._runner.send_message(OURS, {"say": what, **more})

    # ------------------------------------------------------------------ from the parent

    def obey(self) -> None:
        while (order := self._parent.next()) is not None:
            if order["order"] == "ask":
                self._asking = order["offer"]
            elif order["order"] == "say":
                self._say(**order["message"])
            elif order["order"] == "ship":
                self._acknowledged_s = time.monotonic()
                self._shipper = Shipper(RunDirectory(Path(order["run_dir"])), order["ranks"])
            elif order["order"] == "carry":
                run = RunDirectory(Path(order["run_dir"]))
                self._carrier = Carrier(run, order["ranks"], order["place"], self._name, self._fares)
                gevent.spawn(self._carrier.work, order["run"])
            elif order["order"] == "finish":
                self._finishing = order["message"]
                if self._carrier is not None:
                    self._carrier.hurried = True

    def _name(self, laid: Laid) -> None:
        self._say("laid", **laid.as_message())

    def _fares(self, how: str, sentence: str) -> None:
        self._parent.tell(event="place", how=how, sentence=sentence)
        if how in ("fallen", "back"):
            self._say("place", sentence=sentence)

    # ------------------------------------------------------------------ of itself

    def work(self) -> None:
        asked_s = told_s = 0.0
        while True:
            gevent.sleep(SHIP_S)
            at_s = time.monotonic()
            if self._shipper is not None:
                if self._shipper.open_bytes and at_s - self._acknowledged_s > QUIET_S:
                    self._shipper.again()
                    if self._carrier is not None:
                        self._carrier.laying.again()
                    self._acknowledged_s = at_s
                for piece in self._shipper.due(self._carrier.kinds_on_line if self._carrier else tuple(KINDS)):
                    self._say("bytes", rank=piece.rank, kind=piece.kind, offset=piece.offset, data=piece.data)
                    gevent.sleep(0)
            if at_s - asked_s >= ASK_S:
                asked_s = at_s
                if self._asking is not None:
                    self._say("offer", **self._asking)
                if self._finishing is not None and self._shipper is not None and not self._shipper.open_bytes:
                    self._say("done", sizes=self._shipper.sizes(), **self._finishing)
            if at_s - told_s >= ASK_S:
                told_s = at_s
                silent_s = at_s - self._runner.client.heard_s
                waiting = self._shipper.open_bytes if self._shipper else 0
                self._parent.tell(
                    event="line", silent_s=round(silent_s, 1), open_bytes=waiting, unlaid_bytes=self._unlaid
                )

    @property
    def _unlaid(self) -> int | None:
        return self._carrier.laying.unlaid_bytes if self._carrier else None


def _knock(parent: Orders) -> None:
    """How long we have been waiting to be let in."""
    began_s = time.monotonic()
    while True:
        gevent.sleep(ASK_S)
        parent.tell(event="knocking", seconds=time.monotonic() - began_s)


def main(fd: int) -> int:
    parent = Orders(fd)
    first = parent.next()
    if first is None:
        return 1
    sockets.lock(first["token"])
    knocking = gevent.spawn(_knock, parent)
    try:
        link = Link(parent, Environment(), first["host"], first["port"])
    except (ConnectionError, UsageError) as error:
        parent.tell(event="refused", sentence=str(error))
        return 2
    knocking.kill()
    parent.tell(event="connected")
    working = gevent.spawn(link.work)
    link.obey()  # until the parent is gone
    working.kill()
    return 0


assert PIECE_BYTES < sockets.MOST_FROM_WORKERS

if __name__ == "__main__":
    code = main(int(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)  # Locust's greenlets must not keep the process
