"""What a load child is told to do: plain data, written to run.json and handed over as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from loadtests.arrivals import Process, Stage


@dataclass(frozen=True)
class LoadPlan:
    """One run. `loop` is open (arrivals from `stages`) or closed (`users` greenlets over the stages' durations)."""

    run: str
    base_urls: list[str]
    addresses: list[str]
    stages: list[Stage]
    process: Process
    seed: int
    nonce: str
    loop: str = "open"
    users: int = 0
    workers: int = 1
    contract: dict[str, Any] | None = None  # as in TOML
    contract_folder: str = "."
    locustfile: str | None = None
    endpoint: str | None = None  # only this one
    drain_s: float = 30.0
    drain_stopped_s: float = 2.0  # the most, once somebody asked to stop
    timeout_s: float = 30.0
    pool_cap: int = 1000
    max_spend_requests: int | None = None
    cpus: list[list[int]] = field(default_factory=list)  # per worker; empty: not pinned
    ui_host: str | None = None  # where Locust's web UI listens; none: no UI
    ui_token: str = ""  # asked for where that is beyond loopback
    duet: bool = False  # each request goes to every replica in turn, and who is first changes from stage to stage

    @property
    def duration_s(self) -> float:
        """Without the warm-up and without the drain."""
        return sum(stage.duration_s for stage in self.stages if not stage.warmup)

    @property
    def peak_rps(self) -> float:
        """The most that is sent in a second; a closed loop has no upper rate (infinite)."""
        if self.loop == "closed":
            return float("inf")
        if self.process.kind == "replay":
            return self.process.peak_rps(1.0)
        return max(max(stage.start_rps, stage.end_rps) for stage in self.stages)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> LoadPlan:
        process = document["process"]
        return cls(
            **{
                **document,
                "stages": [Stage(**stage) for stage in document["stages"]],
                "process": Process(process["kind"], process["cv"], tuple(process["times_s"])),
            }
        )
