"""Database connections that scaling opens without saying so: every process has a pool of its own, R·W·P of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from capacity.documents import RunDocuments

GENERAL = (
    "every process opens database connections of its own: processes × pool size stays below the database's "
    "max_connections less its reserve"
)


@dataclass(frozen=True)
class Connections:
    """`opened`: at most, with every pool full; `available`: the database's maximum less what is kept for others."""

    replicas: int
    workers: int
    pool_size: int
    available: int

    @property
    def opened(self) -> int:
        return self.replicas * self.workers * self.pool_size

    @property
    def replicas_at_most(self) -> int:
        return self.available // (self.workers * self.pool_size)

    def as_json(self) -> dict[str, Any]:
        return {"opened": self.opened, "available": self.available, "replicas_at_most": self.replicas_at_most}

    def __str__(self) -> str:
        opened = (
            f"{self.replicas} replica(s) × {self.workers} worker(s) × a pool of {self.pool_size} open up to {self.opened} "
            f"database connections of {self.available} available"
        )
        if self.opened <= self.available:
            return f"{opened}; they are full beyond {self.replicas_at_most} such replica(s)"
        fits = self.available // (self.replicas * self.workers)
        smaller = f"pool_size to at most {fits} or " if fits else ""
        return f"{opened}, which is too many: set {smaller}max_connections higher by {self.opened - self.available}"


def of(run: RunDocuments, replicas: float, workers: float) -> Connections | None:
    """None where the contract does not state the pool and the database's maximum."""
    stated = run.section("limits").get("database")
    if not stated:
        return None
    available = int(stated["max_connections"]) - int(stated.get("reserved") or 0)
    return Connections(round(replicas), round(workers), int(stated["pool_size"]), available)
