"""What a host's files have gained, carried to the shared place; the part of `link` that waits for that place.

A place that fails loses nothing: the rows stay on the host's disk, and go over the line until the place answers again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent

from loadtests.hosts.laying import Laying
from loadtests.hosts.shared import OBJECT_BYTES, OPTION, PLACED, TRIAL, Laid, Place, said
from loadtests.hosts.shipping import KINDS
from loadtests.hosts.waiting import Waiting
from measurements.errors import UsageError
from measurements.rundir import RunDirectory

LOOK_S = 0.2
LAY_S = 3.0
AGAIN_S = 30.0  # after which a place that failed is tried again
NAME_S = 1.0
ON_LINE = tuple(kind for kind in KINDS if kind not in PLACED)


class Carrier:
    """`name` says to the master which object lies there, `tell` to the parent and the master how the place fares."""

    def __init__(
        self, run: RunDirectory, ranks: list[int], uri: str, name: Callable[[Laid], None], tell: Callable[[str, str], None]
    ) -> None:  # fmt: skip
        self._uri, self._ranks, self._name, self._tell = uri, ranks, name, tell
        self._identity = ""
        self.laying = Laying(run, ranks)
        self._waiting = Waiting()
        self._down_until_s = 0.0  # 0: the place is used, or tried again
        self.fallen = False  # and it has been said
        self.hurried = False  # the load is over: whatever there is goes now
        self._trial: Laid | None = None
        self._why_not = ""

    @property
    def kinds_on_line(self) -> tuple[str, ...]:
        return tuple(KINDS) if self._down_until_s else ON_LINE

    def heard(self, message: dict[str, Any]) -> None:
        """The master has, or could not read, what lies there."""
        if message["say"] == "unread":
            self._why_not = str(message.get("sentence"))[:300]
        elif message["kind"] == TRIAL:
            self._trial = None
        else:
            self.laying.acknowledge(int(message["rank"]), str(message["kind"]), int(message["size"]))

    def work(self, run: str) -> None:
        place = self._tried(run)
        if place is None:
            return
        self._tell("ready", "")
        laid_s = time.monotonic()
        while True:
            gevent.sleep(LOOK_S)
            at_s = time.monotonic()
            if self._why_not:
                self._fall(f"the master cannot read there: {self._why_not}")
                self._why_not = ""
            if at_s < self._down_until_s:
                continue
            if self._down_until_s:
                self._down_until_s = 0.0
                self.laying.again()
            regular = self.hurried or at_s - laid_s >= LAY_S
            if self._lay(place, 1 if regular else OBJECT_BYTES) and regular:
                laid_s = at_s

    def _tried(self, run: str) -> Place | None:
        """A small object, written here and read by the master, before this host says that it is ready."""
        try:
            place = self._waiting.call(Place.at, self._uri, run)
            self._trial = trial = self._waiting.call(place.try_out, self._ranks[0])
        except (OSError, UsageError) as error:
            wrong = isinstance(error, UsageError)
            self._tell(
                "refused", str(error) if wrong else f"{OPTION} {self._uri} cannot be written here ({said(error)})"
            )
            return None
        while self._trial is not None:
            if self._why_not:
                sentence = (
                    f"what this host wrote to {OPTION} {self._uri} cannot be read on the master ({self._why_not})"
                )
                self._tell("refused", f"{sentence}: it must be the same place on all of them")
                return None
            self._name(trial)
            gevent.sleep(NAME_S)
        return place

    def _lay(self, place: Place, least: int) -> bool:
        """What has gained so much, and then whatever is a whole object's worth."""
        while pieces := self.laying.due(least):
            least = OBJECT_BYTES
            for piece in pieces:
                try:
                    laid = self._waiting.call(place.put, piece.rank, piece.kind, piece.offset, piece.data)
                except OSError as error:
                    self._fall(said(error))
                    return False
                self.laying.lies(laid)
            if self.fallen:
                self.fallen = False
                self._tell("back", f"rows go to {self._uri} again")
            self._name_next()
        self._name_next()
        return True

    def _name_next(self) -> None:
        for laid in self.laying.to_name():
            self._name(laid)

    def _fall(self, why: str) -> None:
        self._down_until_s = time.monotonic() + AGAIN_S
        if not self.fallen:
            self.fallen = True
            self._tell("fallen", f"{self._uri} failed ({why}); rows go over the line to the master until it is back")
