"""Live duets for a gate: both versions started afresh, a pilot, and recordings of so many blocks through `measure`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gate import blocks as gate_blocks
from benchmarks.gate import doubts
from benchmarks.gate.course import Record, Recorded
from benchmarks.gate.rules import sent_endpoints
from loadtests.arrivals import Process, Stage
from measurements.errors import Exit, Interrupted, TargetUnreachable
from plimsoll import pair as pairs
from plimsoll import sharing
from plimsoll.measure import Run, Watcher, measure
from plimsoll.pair import Pair, Version
from plimsoll.placement import place
from plimsoll.spec import Spec
from profiles.rates import per_window
from targets.contract import Contract

PILOT_S, PILOT_RPS = 6.0, 4.0
WARMUP_S, SETTLE_S = 5.0, 1.0
MOST_RPS, FEWEST_RPS = 50.0, 0.1
BUSY = 0.4  # of the cores that both versions share: well under half
IN_FLIGHT = 4.0
PER_BLOCK = {"generator_added"}  # judged block by block instead: a block in which the generator was late is voided


@dataclass(frozen=True)
class Pilot:
    """What a short recording at a low rate showed. `times`: endpoint → response times in ms, both versions."""

    times: dict[str, np.ndarray]
    cpu_s_per_request: float | None
    service_s: float


@dataclass
class LiveDuets:
    """`fresh(n)` is what the gate's course asks for. `rate_rps` is per version. Everything lands below `folder`."""

    contract: Contract
    versions: Sequence[Version]
    folder: Path
    seed: int
    watcher: Watcher
    rate_rps: float = PILOT_RPS
    block_s: float = PILOT_S
    services: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    _first: ExitStack = field(default_factory=ExitStack)
    _pair: Pair | None = None

    def pilot(self) -> Pilot:
        """Starts the first pair and asks a little, gently. Afterwards `rate_rps` and `block_s` may be set."""
        self._pair = self._first.enter_context(self._running(1))
        run = self._measure(self._pair, "pilot", [Stage("pilot", PILOT_S, 2 * self.rate_rps, 2 * self.rate_rps)], 0, 1)
        rows = run.directory.table(
            "samples", ["seq", "endpoint", "outcome", "intended_ns", "sent_ns", "done_ns"]
        ).to_pandas()
        rows = rows[(rows["outcome"] == "ok") & (rows["seq"] >= 0)]
        if rows.empty:
            raise TargetUnreachable(
                f"not one of {run.summary['all']['count']} requests was answered as expected; see {run.directory.path}, "
                "or try: plimsoll check"
            )
        readings = run.directory.read_json("duet.json")["readings"]
        spent = [one["cpu_s"] for one in readings if one["cpu_s"] is not None]
        each = run.summary["all"]["count"] / 2
        times = {
            str(name): ((own["done_ns"] - own["intended_ns"]) / 1e6).to_numpy()
            for name, own in rows.groupby(rows["endpoint"].astype(str))
        }
        service_s = float(((rows["done_ns"] - rows["sent_ns"]) / 1e9).mean())
        return Pilot(times, max(spent) / each if len(spent) == 2 else None, service_s)

    @contextmanager
    def fresh(self, number: int) -> Iterator[Record]:
        with ExitStack() as stack:
            if number == 1 and self._pair is not None:
                stack.push(self._first.pop_all())
                pair = self._pair
            else:
                pair = stack.enter_context(self._running(number))
            yield lambda first, count: self._record(pair, number, first, count)

    def close(self) -> None:
        self._first.close()

    @contextmanager
    def _running(self, number: int) -> Iterator[Pair]:
        cpus = place(1, True).target
        where = self.folder / f"duet-{number}"
        where.mkdir(parents=True, exist_ok=True)
        with pairs.running(self.contract, self.versions, where, cpus, self.watcher.phase) as pair:
            self.services[number] = pair.services
            yield pair

    def _record(self, pair: Pair, number: int, first: int, count: int) -> Recorded:
        shares = (
            sharing.found([pair.roots.get(side, []) for side in pairs.SIDES], self.contract.gate.may_share)
            if first == 0
            else ""
        )
        if shares:
            return Recorded([], shares=shares)
        rps = 2 * self.rate_rps
        stages = [Stage("warmup", WARMUP_S if first == 0 else SETTLE_S, rps, rps, warmup=True)]
        stages += [Stage(f"block-{first + k + 1:03d}", self.block_s, rps, rps) for k in range(count)]
        run = self._measure(pair, f"duet-{number}", stages, first, number)
        died = pair.died()
        timeouts_s = {endpoint.name: endpoint.timeout_s for endpoint in self.contract.endpoint}
        found = gate_blocks.read(run.directory, timeouts_s, number)
        rows = doubts.rows_of(run.directory)
        overlap = doubts.overlap(rows)
        seen: dict[str, Any] = {"apart": pair.halves is not None, "cache_hit_ratio": _cache_hits(run)}
        if overlap is not None:
            seen |= {"overlap_share": overlap.share, "stretch": overlap.stretch, "attenuation": overlap.attenuation}
        invalid = [
            f"{check['sentence']}: {check['remedy']}"
            for check in run.validity["checks"]
            if check["state"] == "invalid" and check["check"] not in PER_BLOCK
        ]
        where = str(run.directory.path.relative_to(self.folder))
        return Recorded(found, invalid, died, doubts.second_is_faster(rows), where, seen)

    def _measure(self, pair: Pair, name: str, stages: Sequence[Stage], first: int, number: int) -> Run:
        seed = self.seed + 1_000 * number + first + (0 if name != "pilot" else 500)
        spec = Spec(
            contract=self.contract, out=self.folder, name=name, planned=tuple(stages), process=Process("constant"),
            pair=pair, seed=seed, rate_rps=2 * self.rate_rps, duration_s=sum(stage.duration_s for stage in stages),
        )  # fmt: skip
        run = measure(spec, self.watcher)
        if run.exit is Exit.INTERRUPTED:
            raise Interrupted(f"interrupted; what was measured is kept in {self.folder}, there is no verdict")
        return run


def choose_rate(pilot: Pilot, cores: int) -> float:
    """Per version: the shared cores well under half busy, few requests at once, two digits."""
    limits = [MOST_RPS, IN_FLIGHT / max(pilot.service_s, 1e-3)]
    if pilot.cpu_s_per_request:
        limits.append(BUSY * max(1, cores) / (2 * pilot.cpu_s_per_request))
    return float(f"{max(FEWEST_RPS, min(limits)):.2g}")


def requests_per_block(contract: Contract, rate_rps: float, block_s: float) -> dict[str, float]:
    """Per version and endpoint; "all" is their sum."""
    used = sent_endpoints(contract)
    total = sum(endpoint.weight for endpoint in used)
    return {"all": rate_rps * block_s} | {e.name: rate_rps * block_s * e.weight / total for e in used}


def _cache_hits(run: Run) -> list[dict[str, Any]]:
    """As the versions' own metrics tell, over the recording; empty where they tell nothing."""
    if not run.directory.has("server.parquet"):
        return []
    duration_s = float(run.summary.get("duration_s") or 0.0)
    found = per_window(run.directory.table("server"), [("run", 0.0, duration_s)])["run"]["cache_hit_ratio"]
    return list(found)
