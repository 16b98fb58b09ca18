"""Who is whose child on this machine, kept up from one look to the next."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable

import psutil

from profiles.processes import PROC, contents


class Family:
    """Asks only newborn processes for their parent: what a look costs does not grow with the threads of a service,
    each of which `processes.children` has to ask."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}
        self._children: dict[int, list[int]] = {}

    def look(self) -> int:
        """Takes in who was born and who has ended since the last look; returns how many processes there are."""
        living = set(psutil.pids())
        born, ended = living - self._parent.keys(), self._parent.keys() - living
        for pid in ended:
            del self._parent[pid]
        self._parent |= {pid: parent for pid in born if (parent := parent_of(pid)) is not None}
        if born or ended:
            self._children = _by_parent(self._parent.items())
        return len(living)

    def children(self, pid: int) -> list[int] | None:
        """As of the last look; None where there was no such process."""
        return self._children.get(pid, []) if pid in self._parent else None


def parent_of(pid: int) -> int | None:
    """None where it has ended meanwhile."""
    stat = contents(f"{PROC}/{pid}/stat")
    if stat:
        return int(stat.rpartition(b")")[2].split()[1])  # a name may hold blanks and brackets
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).ppid()
    return None


def _by_parent(pairs: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for pid, parent in pairs:
        found[parent].append(pid)
    return dict(found)
