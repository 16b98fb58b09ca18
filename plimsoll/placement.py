"""Which cores the generator has to itself and which are left to the service, on a small machine."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Placement:
    """`generator` has a list per load process; empty lists mean: not pinned."""

    generator: list[list[int]]
    target: list[int]
    reason: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def place(workers: int, target_is_here: bool, cores: list[int] | None = None) -> Placement:
    """The last cores go to the load processes, one each, while at least one core is left for the service."""
    cores = sorted(os.sched_getaffinity(0)) if cores is None and hasattr(os, "sched_getaffinity") else cores or []
    if len(cores) < 2:
        return Placement([], [], "one core (or no way to pin): generator and service share it")
    if not target_is_here:
        return Placement([], [], "the service runs elsewhere: nothing to keep apart")
    own = min(workers, len(cores) - 1)
    mine, theirs = cores[-own:], cores[:-own]
    return Placement(
        [[mine[k % own]] for k in range(workers)],
        theirs,
        f"generator on core {', '.join(map(str, mine))}, service and what it needs on {', '.join(map(str, theirs))}",
    )
