"""When requests are intended: a pure function of stages, arrival process and seed; no clock anywhere.

Time rescaling (Çinlar 1975; Brown et al. 2002): a unit-rate process E_0 < E_1 < … is mapped through the inverse of the
cumulative rate Λ(t) = ∫λ. Constant arrivals take E_k = k + ½, Poisson adds exponential gaps, gamma adds gaps with
coefficient of variation CV (CV = 1 is Poisson, above it bursts). One global schedule; arrival k goes to worker k mod n.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from measurements.errors import UsageError

BLOCK = 4_096  # a fraction of a millisecond to draw: a load process does it while it sends


@dataclass(frozen=True)
class Stage:
    """`duration_s` long; the rate goes linearly from `start_rps` to `end_rps`. `warmup` stages are left out of statistics."""

    name: str
    duration_s: float
    start_rps: float
    end_rps: float
    warmup: bool = False

    @property
    def expected(self) -> float:
        """Mean number of arrivals: the area under the rate."""
        return self.duration_s * (self.start_rps + self.end_rps) / 2

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Process:
    """`kind` is constant, poisson, gamma (with `cv`) or replay (with `times_s`, ascending, from 0)."""

    kind: str = "poisson"
    cv: float = 1.0
    times_s: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        return f"gamma:{self.cv:g}" if self.kind == "gamma" else self.kind

    def peak_rps(self, window_s: float) -> float:
        """The most that a replay has in any window of that length, per second; other kinds have their stages' rates."""
        times = np.asarray(self.times_s)
        inside = np.searchsorted(times, times + window_s, side="left") - np.arange(len(times))
        return float(inside.max(initial=0)) / window_s


def parse_process(text: str) -> Process:
    """constant, poisson, gamma:CV; else a file of timestamps (read by `loadtests.replay`), FILE@4 four times as fast."""
    if text in ("constant", "poisson"):
        return Process(text)
    match = re.fullmatch(r"gamma:(\d+(?:\.\d+)?)", text)
    if match and 0 < float(match.group(1)) <= 20:
        return Process("gamma", float(match.group(1)))
    if text.startswith("gamma"):
        raise UsageError(
            f"--arrivals {text}: write gamma:CV with a coefficient of variation above 0 and up to 20, e.g. gamma:2"
        )
    name, _, speed = text.rpartition("@")
    if Path(text).is_file():
        name, speed = text, "1"
    if Path(name).is_file():
        from loadtests.replay import read_times

        return Process("replay", times_s=tuple(read_times(Path(name), _speed(text, speed))))
    raise UsageError(
        f"--arrivals {text}: write constant, poisson, gamma:CV, or the path of a file with timestamps "
        "(FILE@4 plays it four times as fast)"
    )


def _speed(text: str, speed: str) -> float:
    if re.fullmatch(r"\d+(?:\.\d+)?", speed) and 0 < float(speed) <= 100_000:
        return float(speed)
    raise UsageError(f"--arrivals {text}: behind the @ stands how many times as fast, a number above 0, e.g. FILE@4")


def schedule(stages: list[Stage], process: Process, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of (times_s, stage indices), both shape (m,), ascending over the whole run, in bounded memory."""
    edges = np.concatenate([[0.0], np.cumsum([stage.duration_s for stage in stages])])
    if process.kind == "replay":
        yield from _replayed(process.times_s, edges)
        return
    areas = np.concatenate([[0.0], np.cumsum([stage.expected for stage in stages])])
    last_s = 0.0
    for unit in _unit_process(process, seed, areas[-1]):
        index = np.searchsorted(areas, unit, side="right") - 1
        times = np.empty_like(unit)
        for k in np.unique(index):
            chosen = index == k
            times[chosen] = edges[k] + _inverse(stages[k], unit[chosen] - areas[k])
        np.maximum.accumulate(np.maximum(times, last_s), out=times)  # rounding must not put two arrivals out of order
        last_s = times[-1]
        yield times, index.astype(np.int16)


def _unit_process(process: Process, seed: int, total: float) -> Iterator[np.ndarray]:
    """Blocks of the unit-rate arrival times below `total`."""
    random = np.random.default_rng([seed, 0xA221])
    last, count = 0.0, 0
    while last < total:
        if process.kind == "constant":
            block = np.arange(count, count + BLOCK) + 0.5
        else:
            shape = 1.0 if process.kind == "poisson" else 1 / process.cv**2
            gaps = random.exponential(1.0, BLOCK) if shape == 1.0 else random.gamma(shape, 1 / shape, BLOCK)
            block = last + np.cumsum(gaps)
        last, count = float(block[-1]), count + BLOCK
        inside = block[block < total]
        if len(inside):
            yield inside


def _inverse(stage: Stage, area: np.ndarray) -> np.ndarray:
    """Time within the stage at which its cumulative rate a·t + b·t²/2 reaches `area`."""
    slope = (stage.end_rps - stage.start_rps) / stage.duration_s
    if slope == 0:
        return area / stage.start_rps
    root = np.sqrt(np.maximum(stage.start_rps**2 + 2 * slope * area, 0))
    speed = stage.start_rps + root
    return np.divide(2 * area, speed, out=np.zeros_like(area), where=speed > 0)


def _replayed(times_s: tuple[float, ...], edges: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    times = np.asarray(times_s, dtype=np.float64)
    times = times[times < edges[-1]]
    for start in range(0, len(times), BLOCK):
        block = times[start : start + BLOCK]
        yield block, (np.searchsorted(edges, block, side="right") - 1).astype(np.int16)
