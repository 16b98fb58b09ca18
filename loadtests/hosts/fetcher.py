"""What hosts have laid at the shared place, read from there; the part of `hub` that waits for that place.

A file has one reader at a time, so its pieces come in their order; files wait for each other only where all threads are busy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import gevent

from loadtests.hosts.laying import MOST_NAMED
from loadtests.hosts.shared import OPTION, PLACED, TRIAL, Damaged, Laid, Place, bring, said
from loadtests.hosts.shipping import Piece, Store
from loadtests.hosts.waiting import Waiting
from measurements.errors import UsageError

TRIES, TRY_S = 4, 0.5  # a network's file system may show a new file a moment late
BRING_S = 60.0

Key = tuple[int, str]


class Fetcher:
    """`take` writes a piece and acknowledges it, False where this disk does not take it; `unread` tells the host why not."""

    def __init__(
        self, uri: str, run: str, store: Store, take: Callable[[str, Piece], bool], have: Callable[[str, int, str, int], None],
        unread: Callable[[str, Laid, str], None],
    ) -> None:  # fmt: skip
        self._uri, self._store, self._take, self._have, self._unread = uri, store, take, have, unread
        self._waiting = Waiting()
        self._noted: dict[Key, dict[int, tuple[str, Laid]]] = {}
        self._busy: set[Key] = set()
        self.objects, self.bytes = 0, 0  # that were read
        self.place = self._tried(run)

    def _tried(self, run: str) -> Place:
        """UsageError where the place cannot be written and read from here."""
        try:
            place = self._waiting.call(Place.at, self._uri, run)
            trial = self._waiting.call(place.try_out, 0)
            self._waiting.call(place.get, trial)
        except (OSError, Damaged) as error:
            raise UsageError(
                f"{OPTION} {self._uri} cannot be written and read from here ({said(error)}); correct it, or leave {OPTION} out: "
                "then rows go over the line to this machine"
            ) from error
        return place

    def hear(self, host: str, laid: Laid) -> None:
        key = (laid.rank, laid.kind)
        if laid.kind != TRIAL and laid.end <= self._store.size(*key):
            self._have(host, *key, self._store.size(*key))
            return
        noted = self._noted.setdefault(key, {})
        if len(noted) < 2 * MOST_NAMED:
            noted[laid.offset] = (host, laid)
        if key not in self._busy:
            self._busy.add(key)
            gevent.spawn(self._read, key)

    def _read(self, key: Key) -> None:
        try:
            while (found := self._next(key)) is not None:
                host, laid = found
                data = self._patiently(host, laid)
                if data is None:
                    self._noted.pop(key, None)
                elif laid.kind == TRIAL:
                    self._have(host, *key, laid.size)
                elif not self._take(host, Piece(laid.rank, laid.kind, laid.offset, data)):
                    return
                else:
                    self.objects += 1
                    self.bytes += laid.size
        finally:
            self._busy.discard(key)

    def _next(self, key: Key) -> tuple[str, Laid] | None:
        """Where what is here ends; what is here already is forgotten, and what leaves a gap waits."""
        size = 0 if key[1] == TRIAL else self._store.size(*key)
        noted = self._noted.get(key, {})
        for offset in sorted(noted):
            if noted[offset][1].end <= size:
                del noted[offset]
            elif offset <= size:
                return noted.pop(offset)
        return None

    def _patiently(self, host: str, laid: Laid) -> bytes | None:
        why = ""
        for number in range(TRIES):
            if number:
                gevent.sleep(TRY_S)
            try:
                return self._waiting.call(self.place.get, laid)
            except (OSError, Damaged) as error:
                why = said(error)
                if isinstance(error, TimeoutError):
                    break
        self._unread(host, laid, why)
        return None

    def bring(self, ranks: Collection[int]) -> str:
        """What hosts that are lost had laid and could not say any more; returns why not all of it, or nothing."""
        waiting, damaged = Waiting(BRING_S), []
        try:
            for rank in sorted(ranks):
                for kind in PLACED:
                    damaged += waiting.call(
                        bring, self.place, rank, kind, self._store.size(rank, kind), self._store.take
                    )
        except OSError as error:
            return f"what lost hosts had laid at {self._uri} could not be taken ({said(error)})"
        return "; ".join(damaged)

    def remove(self) -> str:
        """The run's objects; returns why not, or nothing."""
        try:
            self._waiting.call(self.place.remove)
        except OSError as error:
            return f"this run's objects could not be removed from {self._uri} ({said(error)}); nothing there is needed any more"
        return ""
