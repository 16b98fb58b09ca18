"""The process of a master that speaks with the joined hosts, over Locust's MasterRunner.

Started as `python -m loadtests.hosts.hub FD`. It decides nothing: what a host says goes to the parent, what the parent
orders goes to a host. Of itself it writes what hosts ship into the run directory, from the load processes that the parent
gave them and no others, and says how much it has.
"""

from __future__ import annotations

# gevent patches first, by way of Locust; this module is imported in processes of its own only
import locust  # noqa: F401  isort: skip
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.rpc import Message

from loadtests.hosts import sockets
from loadtests.hosts.fetcher import Fetcher
from loadtests.hosts.messages import OURS
from loadtests.hosts.shared import Laid
from loadtests.hosts.shipping import KINDS, PIECE_BYTES, Piece, Store
from loadtests.orders import Orders
from measurements.errors import UsageError
from measurements.rundir import RunDirectory

TELL_S = 1.0
PASSED_ON = ("offer", "ready", "refused", "started", "place")


class Hub:
    def __init__(
        self, parent: Orders, environment: Environment, run: RunDirectory, host: str, port: int, place: str | None
    ) -> None:  # fmt: skip
        self._parent = parent
        self._ranks: dict[str, set[int]] = {}
        self._heard_s: dict[str, float] = {}
        self._strays = 0
        self._full = False
        self.store = Store(run, self._news)
        self._fetcher: Fetcher | None = None
        if place is not None:
            self._fetcher = Fetcher(place, run.identity, self.store, self._take, self._have, self._unread)
        self._runner = environment.create_master_runner(host, port)
        self._runner.register_message(OURS, self._hear)
        self.port: int = self._runner.server.port

    # ------------------------------------------------------------------ from hosts

    def _hear(self, msg: Message, **_: Any) -> None:
        said: dict[str, Any] = msg.data
        host = msg.node_id
        try:
            self._heed(host, said)
        except (KeyError, TypeError, ValueError):
            self._strays += 1

    def _heed(self, host: str, said: dict[str, Any]) -> None:
        what = said["say"]
        self._heard_s[host] = time.monotonic()
        if what == "pong":
            rtt_s = time.monotonic() - float(said["at"])
            self._parent.tell(event="rtt", host=host, rtt_s=rtt_s)
        elif what == "bytes":
            self._write(host, said)
        elif what == "laid" and self._fetcher is not None:
            laid = Laid.of_message(said)
            if laid.rank in self._ranks.get(host, ()):
                self._fetcher.hear(host, laid)
            else:
                self._strays += 1
        elif what == "done":
            self._settle(host, said)
        elif what in PASSED_ON:
            self._parent.tell(event="said", host=host, message=json.loads(json.dumps(said)))
        else:
            self._strays += 1

    def _write(self, host: str, said: dict[str, Any]) -> None:
        rank, kind, offset, data = said["rank"], said["kind"], said["offset"], said["data"]
        known = isinstance(rank, int) and rank in self._ranks.get(host, ()) and kind in KINDS
        if not known or not isinstance(offset, int) or not isinstance(data, bytes) or len(data) > PIECE_BYTES:
            self._strays += 1
            return
        self._take(host, Piece(rank, kind, offset, data))

    def _take(self, host: str, piece: Piece) -> bool:
        """By whichever way it came."""
        try:
            size = self.store.take(piece)
        except OSError as error:
            if not self._full:
                self._full = True
                sentence = f"rows of worker {piece.rank} cannot be written ({error.strerror})"
                self._parent.tell(event="full", sentence=sentence)
            return False
        self._have(host, piece.rank, piece.kind, size)
        return True

    def _have(self, host: str, rank: int, kind: str, size: int) -> None:
        self._say(host, "have", rank=rank, kind=kind, size=size)

    def _unread(self, host: str, laid: Laid, why: str) -> None:
        self._say(host, "unread", rank=laid.rank, kind=laid.kind, sentence=why)

    def _news(self, rank: int, line: bytes) -> None:
        message = json.loads(line)
        self._parent.tell(event="news", rank=rank, news=message)

    def _settle(self, host: str, said: dict[str, Any]) -> None:
        """The final acknowledgement: every byte that the host has written is here, and on the disk."""
        ranks = self._ranks[host]
        if all(self.store.has(int(rank), str(kind), int(size)) for rank, kind, size in said["sizes"]):
            self.store.settle(ranks)
            self._parent.tell(event="done", host=host, message={k: v for k, v in said.items() if k != "sizes"})
            self._say(host, "goodbye")

    # ------------------------------------------------------------------ from the parent

    def obey(self) -> None:
        while (order := self._parent.next()) is not None:
            if order["order"] == "say":
                self._say(order["host"], **order["message"])
            elif order["order"] == "expect":
                self._ranks[order["host"]] = set(order["ranks"])
            elif order["order"] == "ping":
                self._say(order["host"], "ping", at=time.monotonic())
            elif order["order"] == "bring" and self._fetcher is not None:
                late = [self._ranks.pop(host, set()) for host in order["hosts"]]  # who comes back now
                ranks = set[int]().union(*late)
                self._brought(self._fetcher, self._fetcher.bring(ranks))
            elif order["order"] == "remove" and self._fetcher is not None:
                self._brought(self._fetcher, self._fetcher.remove())

    def _brought(self, fetcher: Fetcher, sentence: str) -> None:
        self._parent.tell(event="brought", sentence=sentence, objects=fetcher.objects, bytes=fetcher.bytes)

    def _say(self, host: str, say: str, **more: Any) -> None:
        self._runner.send_message(OURS, {"say": say, **more}, host)

    def tell(self) -> None:
        while True:
            gevent.sleep(TELL_S)
            at_s = time.monotonic()
            for host in self._heard_s:
                client = self._runner.clients.get(host)
                if client is not None and client.state != "missing":
                    self._heard_s[host] = at_s  # Locust's own heartbeat, once a second, missing after three
            silent = {host: round(at_s - heard_s, 1) for host, heard_s in self._heard_s.items()}
            strays = self._strays + self._runner.server.strays
            self._parent.tell(event="line", silent_s=silent, strays=strays)


def main(fd: int) -> int:
    parent = Orders(fd)
    first = parent.next()
    if first is None:
        return 1
    sockets.lock(first["token"])
    try:
        run = RunDirectory(Path(first["run_dir"]))
        hub = Hub(parent, Environment(), run, first["host"], first["port"], first["place"])
    except UsageError as error:
        parent.tell(event="refused", sentence=str(error))
        return 2
    parent.tell(event="listening", port=hub.port)
    gevent.spawn(hub.tell)
    hub.obey()  # until the parent is gone
    hub.store.close()
    gevent.sleep(0.2)  # the last goodbye is on its way
    return 0


if __name__ == "__main__":
    code = main(int(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)  # Locust's greenlets must not keep the process
