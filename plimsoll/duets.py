"""Live duets for a gate: both versions started afresh, a pilot, and recordings of so many blocks through `measure`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.gate import blocks as gate_blocks
from benchmarks.gate import doubts
from benchmarks.gate.blocks import Block, Side
from benchmarks.gate.course import Record, Recorded
from benchmarks.gate.rules import sent_endpoints
from loadtests.arrivals import Process, Stage
from measurements.errors import Exit, Interrupted, TargetUnreachable
from plimsoll import pair as pairs
from plimsoll import sharing
from plimsoll.measure import Run, measure
from plimsoll.pair import Pair, Version
from plimsoll.placement import place
from plimsoll.spec import Spec
from plimsoll.watcher import Watcher
from profiles.rates import per_window
from targets.contract import Contract

PILOT_WARM_S, PILOT_S, PILOT_RPS = 2.0, 6.0, 4.0
WARMUP_S = 5.0
MOST_RPS, FEWEST_RPS = 50.0, 0.1
BUSY = 0.4  # of the cores that both versions share: well under half
IN_FLIGHT = 4.0
PER_BLOCK = {"generator_added"}  # judged block by block instead: a block in which the generator was late is voided


def pilot_s(rate_rps: float) -> float:
    """Long enough for two requests to each version."""
    return max(PILOT_S, 2 / rate_rps)


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
    alternate: bool = False  # never both at once
    part_blocks: int = 5  # recorded with one pair of processes
    services: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    _first: ExitStack = field(default_factory=ExitStack)
    _pair: Pair | None = None

    def pilot(self) -> Pilot:
        """Starts the first pair and asks a little, gently. Afterwards `rate_rps` and `block_s` may be set."""
        stages = [Stage("warmup", PILOT_WARM_S, self.rate_rps, self.rate_rps, warmup=True)]
        stages.append(Stage("pilot", pilot_s(self.rate_rps), self.rate_rps, self.rate_rps))
        if self.alternate:
            runs = []
            for side in pairs.SIDES:
                with self._running(1, [side]) as pair:
                    runs.append(self._measure(pair, f"pilot-{side}", stages, 500, 1))
            return _pilot_of(runs)
        self._pair = self._first.enter_context(self._running(1))
        both = [replace(stage, start_rps=2 * stage.start_rps, end_rps=2 * stage.end_rps) for stage in stages]
        return _pilot_of([self._measure(self._pair, "pilot", both, 500, 1)])

    @contextmanager
    def fresh(self, number: int) -> Iterator[Record]:
        yield lambda first, count: (self._record_apart if self.alternate else self._record_parts)(number, first, count)

    def _record_parts(self, number: int, first: int, count: int) -> Recorded:
        """Each part of some blocks has processes of its own: equal ones differ by a percent or two for as long as they
        live (where their memory lies, how their dictionaries are filled), which more blocks of one pair never average out.
        """
        parts: list[Recorded] = []
        for begin in range(first, first + count, self.part_blocks):
            with self._instance(number) as pair:
                parts.append(self._record(pair, number, begin, min(self.part_blocks, first + count - begin)))
            if parts[-1].died or parts[-1].shares:
                break
        newest = parts[-1]
        return Recorded(
            [block for part in parts for block in part.blocks], [said for part in parts for said in part.invalid],
            newest.died, newest.shares, [run for part in parts for run in part.runs], newest.doubts,
        )  # fmt: skip

    @contextmanager
    def _instance(self, number: int) -> Iterator[Pair]:
        """The pilot's pair first, then new ones."""
        if self._pair is None:
            with self._running(number) as pair:
                yield pair
            return
        pair, self._pair = self._pair, None
        with self._first:
            yield pair

    def close(self) -> None:
        self._first.close()

    @contextmanager
    def _running(self, number: int, sides: Sequence[str] = pairs.SIDES) -> Iterator[Pair]:
        cpus = place(1, True).target
        where = self.folder / f"duet-{number}"
        where.mkdir(parents=True, exist_ok=True)
        with pairs.running(self.contract, self.versions, where, cpus, self.watcher.phase, sides) as pair:
            self.services[number] = pair.services
            yield pair

    def _record(self, pair: Pair, number: int, first: int, count: int) -> Recorded:
        roots = [pair.roots.get(side, []) for side in pairs.SIDES]
        shares = sharing.found(roots, self.contract.gate.may_share)
        if shares:
            return Recorded([], shares=shares)
        rps = 2 * self.rate_rps
        stages = [Stage("warmup", WARMUP_S, rps, rps, warmup=True)]
        stages += [Stage(f"block-{first + k + 1:03d}", self.block_s, rps, rps) for k in range(count)]
        run = self._measure(pair, f"duet-{number}", stages, first, number)
        found = gate_blocks.read(run.directory, self._timeouts_s, number)
        rows = doubts.rows_of(run.directory)
        overlap = doubts.overlap(rows)
        seen: dict[str, Any] = {"apart": pair.halves is not None, "cache_hit_ratio": _cache_hits(run)}
        if overlap is not None:
            seen |= {"overlap_share": overlap.share, "stretch": overlap.stretch, "attenuation": overlap.attenuation}
        invalid, void = _objections(run)
        found = [replace(block, voided=block.voided or void.get(block.name, "")) for block in found]
        where = str(run.directory.path.relative_to(self.folder))
        return Recorded(found, invalid, pair.died(), doubts.second_is_faster(rows), [where], seen)

    def _record_apart(self, number: int, first: int, count: int) -> Recorded:
        """One version at a time, started for each half of a block, in the order ABBA; both get the same requests."""
        blocks: list[Block] = []
        invalid: list[str] = []
        for k in range(first, first + count):
            name, order = f"block-{k + 1:03d}", (0, 1) if k % 2 == 0 else (1, 0)
            halves: dict[int, Side] = {}
            voided = ""
            for side in order:
                label = pairs.SIDES[side]
                rps = self.rate_rps
                stages = [Stage("warmup", WARMUP_S, rps, rps, warmup=True), Stage(name, self.block_s, rps, rps)]
                with self._running(number, [label]) as pair:
                    run = self._measure(pair, f"duet-{number}-{label}", stages, k, number)
                    died = pair.died()
                if died:
                    return Recorded(blocks, invalid, died)
                objections, void = _objections(run)
                invalid += objections
                [(_, _, why, [halves[side]])] = gate_blocks.versions(run.directory, [label], self._timeouts_s)
                voided = voided or why or void.get(name, "")
            sides = halves[0], halves[1]
            blocks.append(
                Block(
                    name,
                    (sides[0].figures, sides[1].figures),
                    (sides[0].counts, sides[1].counts),
                    order[0],
                    voided,
                    number,
                )
            )
        return Recorded(blocks, invalid, doubts={"alternating": True})

    @property
    def _timeouts_s(self) -> dict[str, float]:
        return {endpoint.name: endpoint.timeout_s for endpoint in self.contract.endpoint}

    def _measure(self, pair: Pair, name: str, stages: Sequence[Stage], first: int, number: int) -> Run:
        spec = Spec(
            contract=self.contract, out=self.folder, name=name, planned=tuple(stages), process=Process("constant"),
            pair=pair, seed=self.seed + 1_000 * number + first, rate_rps=stages[-1].start_rps,
            duration_s=sum(stage.duration_s for stage in stages),
        )  # fmt: skip
        run = measure(spec, self.watcher)
        if run.exit is Exit.INTERRUPTED:
            raise Interrupted(f"interrupted; what was measured is kept in {self.folder}, there is no verdict")
        return run


def _pilot_of(runs: Sequence[Run]) -> Pilot:
    """TargetUnreachable when nothing was answered as expected."""
    tables, cpu_s = [], []
    for run in runs:
        columns = ["seq", "stage", "endpoint", "outcome", "intended_ns", "sent_ns", "done_ns"]
        rows = run.directory.table("samples", columns).to_pandas()
        rows = rows[rows["stage"].astype(str) == "pilot"].copy()
        rows["endpoint"] = rows["endpoint"].astype(str)
        tables.append(rows[(rows["outcome"] == "ok") & (rows["seq"] >= 0)])
        readings = [one for one in run.directory.read_json("duet.json")["readings"] if one["block"] == "pilot"]
        each = run.summary["all"]["count"] / max(1, len(readings))
        cpu_s += [one["cpu_s"] / each for one in readings if one["cpu_s"] is not None and each]
    rows = pd.concat(tables)
    if rows.empty:
        total = sum(run.summary["all"]["count"] for run in runs)
        raise TargetUnreachable(
            f"not one of {total} requests was answered as expected; see {runs[0].directory.path}, or try: plimsoll check"
        )
    times = {
        str(name): ((own["done_ns"] - own["intended_ns"]) / 1e6).to_numpy() for name, own in rows.groupby("endpoint")
    }
    service_s = float(((rows["done_ns"] - rows["sent_ns"]) / 1e9).mean())
    return Pilot(times, max(cpu_s) if len(cpu_s) == 2 else None, service_s)


def _objections(run: Run) -> tuple[list[str], dict[str, str]]:
    """(why the whole recording is INVALID, block → why it alone is no evidence)."""
    invalid, void = [], {}
    for check in run.validity["checks"]:
        if check["state"] != "invalid" or check["check"] in PER_BLOCK:
            continue
        scope, _, stage = str(check["scope"]).partition(":")
        if scope == "stage" and stage.startswith("block-"):
            void[stage] = str(check["sentence"])
        elif stage not in ("warmup", "pilot"):
            invalid.append(f"{check['sentence']}: {check['remedy']}")
    return invalid, void


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
