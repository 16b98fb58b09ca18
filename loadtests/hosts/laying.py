"""A host's side of a shared place: which piece is to be laid there next, and which the master is to be told of. No clock, no
network.

Laying does not wait for the master: what its files have gained goes to the place also while nobody reads it there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from loadtests.hosts.shared import OBJECT_BYTES, PLACED, Laid
from loadtests.hosts.shipping import KINDS, Piece, size_of
from measurements.rundir import RunDirectory

MOST_NAMED = 16  # of one file, said and not acknowledged


class Laying:
    """Of the load processes `ranks` of a run directory."""

    def __init__(self, run: RunDirectory, ranks: Collection[int]) -> None:
        self._paths = {(rank, kind): KINDS[kind](run, rank) for rank in ranks for kind in PLACED}
        self._laid = dict.fromkeys(self._paths, 0)
        self._open: dict[tuple[int, str], list[Laid]] = {key: [] for key in self._paths}
        self._named = dict.fromkeys(self._paths, 0)  # how many of the open ones

    def due(self, least: int) -> list[Piece]:
        """The next piece of each file that has gained at least so many bytes."""
        found = []
        for (rank, kind), path in self._paths.items():
            offset = self._laid[rank, kind]
            if size_of(path) - offset >= max(least, 1):
                with path.open("rb") as file:
                    file.seek(offset)
                    found.append(Piece(rank, kind, offset, file.read(OBJECT_BYTES)))
        return found

    def lies(self, laid: Laid) -> None:
        """It is at the place."""
        key = (laid.rank, laid.kind)
        if laid.offset == self._laid[key]:
            self._laid[key] = laid.end
            self._open[key].append(laid)

    def to_name(self) -> Iterator[Laid]:
        """What the master is to read next."""
        for key, waiting in self._open.items():
            while self._named[key] < min(len(waiting), MOST_NAMED):
                self._named[key] += 1
                yield waiting[self._named[key] - 1]

    def acknowledge(self, rank: int, kind: str, size: int) -> None:
        """The master has `size` bytes of the file, by whichever way."""
        key = (rank, kind)
        if key not in self._paths:
            return
        self._laid[key] = max(self._laid[key], min(size, size_of(self._paths[key])))
        waiting = self._open[key]
        while waiting and waiting[0].end <= size:
            waiting.pop(0)
            self._named[key] = max(self._named[key] - 1, 0)

    def again(self) -> None:
        """Nothing was acknowledged for a while: what is open is named once more."""
        self._named = dict.fromkeys(self._paths, 0)

    @property
    def unlaid_bytes(self) -> int:
        """Neither at the place nor at home."""
        return sum(size_of(path) - self._laid[key] for key, path in self._paths.items())
