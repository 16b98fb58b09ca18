"""Duets in virtual time: blocks drawn from a law that is known, recorded in no time at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from benchmarks.gate.blocks import Block
from benchmarks.gate.course import Record, Recorded
from benchmarks.gate.rules import Pair, Rules

PRIMARIES: tuple[Pair, ...] = (
    ("search", "mean_ms"), ("search", "p50_ms"), ("search", "p95_ms"), ("all", "cpu_s_per_request"), ("all", "error_rate"),
)  # fmt: skip
NOISE = {"mean_ms": 0.008, "p50_ms": 0.011, "p95_ms": 0.031, "cpu_s_per_request": 0.006}  # measured, per block of 400
TYPICAL = {"mean_ms": 20.0, "p50_ms": 18.0, "p95_ms": 40.0, "cpu_s_per_request": 0.007}
RULES = Rules(floor=0.03, alpha=0.05, primaries=PRIMARIES, on_unsure="neutral", declared=False)


@dataclass
class Virtual:
    """Two versions whose truth is known. `change`: metric → ratio − 1; `noise`: a factor on the noise of all."""

    seed: int
    change: Mapping[str, float] = field(default_factory=dict)
    noise: float = 1.0
    errors: tuple[float, float] = (0.0, 0.0)
    requests: int = 400
    die_after: int | None = None
    who_dies: str = "candidate"
    second_change: Mapping[str, float] | None = None
    invalid: str = ""
    late_share: float = 0.0
    recorded: list[int] = field(default_factory=list)

    @contextmanager
    def fresh(self, number: int) -> Iterator[Record]:
        random = np.random.default_rng([self.seed, number])
        change = self.change if number == 1 or self.second_change is None else self.second_change

        def record(first: int, count: int) -> Recorded:
            self.recorded.append(count)
            if self.die_after is not None and first + count > self.die_after:
                return Recorded([], died={self.who_dies: "ended by SIGKILL (out of memory?)"})
            blocks = [self._block(random, first + k, change, number) for k in range(count)]
            return Recorded(blocks, [self.invalid] if self.invalid else [])

        yield record

    def _block(self, random: np.random.Generator, place: int, change: Mapping[str, float], number: int) -> Block:
        mood = 1 + 0.06 * random.standard_normal()  # what both meet in that block
        shared = 0.004 * random.standard_t(4)
        sides = []
        for side in (0, 1):
            figures = {}
            for endpoint, metric in PRIMARIES[:4]:
                noise = self.noise * NOISE[metric] / 2**0.5 * random.standard_t(6) / 1.5**0.5
                step = (1 + change.get(metric, 0.0)) if side else 1.0
                figures[endpoint, metric] = TYPICAL[metric] * mood * step * float(np.exp(noise + shared))
            figures["all", "error_rate"] = float(random.binomial(self.requests, self.errors[side]) / self.requests)
            sides.append(figures)
        counts = {"all": self.requests, "search": self.requests}
        late = "the generator was 40.0 ms late at p95 (limit 1.0 ms)" if random.random() < self.late_share else ""
        return Block(f"block-{place + 1:03d}", (sides[0], sides[1]), (counts, dict(counts)), place % 2, late, number)
