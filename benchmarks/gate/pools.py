"""Whole gates drawn from blocks that were recorded once: how often they cry wolf, how often they miss. Pure.

A piece of a pool is one recording of several versions at once, from processes started for it. A gate records parts of
some blocks, each with processes of its own; so each part is drawn from another piece, those of the confirmation from
pieces that the first duet had no block of while there are any, and no block is used twice within a gate. Gates drawn
from one pool share blocks with each other: the count of gates that share none is given beside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.gate import course
from benchmarks.gate.blocks import Block, Side, series
from benchmarks.gate.course import Record, Recorded
from benchmarks.gate.judging import Verdict
from benchmarks.gate.paired import compare
from benchmarks.gate.rules import Pair, Rules, looks

PART_BLOCKS = 5  # as plimsoll records them


@dataclass(frozen=True)
class Piece:
    """One recording: per block the versions' figures, in the order in which they were recorded. `void`: not to be used."""

    versions: list[str]
    blocks: list[list[Side]]
    at: str = ""
    planted: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "versions": self.versions, "at": self.at, "planted": dict(self.planted),
            "blocks": [[{"figures": {":".join(k): v for k, v in s.figures.items()}, "counts": s.counts} for s in sides]
                       for sides in self.blocks],
        }  # fmt: skip

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Piece:
        blocks = [
            [Side({_pair(k): float(v) for k, v in side["figures"].items()}, dict(side["counts"])) for side in sides]
            for sides in document["blocks"]
        ]
        return cls(list(document["versions"]), blocks, document["at"], document["planted"])


@dataclass(frozen=True)
class Drawn:
    """What gates drawn from a pool said. `ratios`: what their first duet measured for the first primary."""

    verdicts: Counter[Verdict]
    ratios: list[float]
    disjoint: int

    @property
    def gates(self) -> int:
        return self.verdicts.total()


def draw(
    pieces: Sequence[Piece], baselines: Sequence[str], candidates: Sequence[str], rules: Rules, endpoint: str, planned: int,
    gates: int, seed: int,
) -> Drawn:  # fmt: skip
    """`gates` gates of any of `baselines` against any of `candidates` (never a version against itself)."""
    random = np.random.default_rng(seed)
    usable = [p for p in pieces if {*baselines} & {*p.versions} and {*candidates} & {*p.versions}]
    usable = [p for p in usable if len(p.blocks) >= PART_BLOCKS]
    enough = sum(len(p.blocks) // PART_BLOCKS for p in usable) * PART_BLOCKS >= 2 * looks(planned)[0].blocks
    verdicts: Counter[Verdict] = Counter()
    ratios = []
    for _ in range(gates if enough else 0):
        fresh = _Fresh(usable, baselines, candidates, random)
        outcome = course.run(fresh.fresh, rules, [endpoint], planned)
        verdicts[outcome.verdict] += 1
        first = compare(series(outcome.duets[0].blocks, [endpoint])[rules.primaries[0]].differences)
        ratios += [float(np.exp(first.theta))] if first else []
    return Drawn(verdicts, ratios, sum(len(p.blocks) for p in usable) // planned)


class _Fresh:
    """One gate: its parts come from different pieces, its versions stay the same."""

    def __init__(
        self, pieces: Sequence[Piece], baselines: Sequence[str], candidates: Sequence[str], random: np.random.Generator
    ) -> None:  # fmt: skip
        shuffled = [pieces[k] for k in random.permutation(len(pieces))]
        left = [(piece, [piece.blocks[k] for k in random.permutation(len(piece.blocks))]) for piece in shuffled]
        rounds = range(max(len(piece.blocks) for piece in pieces) // PART_BLOCKS)
        self._parts = [
            (piece, blocks[k * PART_BLOCKS : (k + 1) * PART_BLOCKS])
            for k in rounds
            for piece, blocks in left
            if len(blocks) >= (k + 1) * PART_BLOCKS
        ]
        while True:
            self._base, self._new = (str(random.choice(list(names))) for names in (baselines, candidates))
            if self._base != self._new:
                break

    @contextmanager
    def fresh(self, number: int) -> Iterator[Record]:
        def record(first: int, count: int) -> Recorded:
            blocks: list[Block] = []
            for begin in range(0, count, PART_BLOCKS):
                if not self._parts:
                    break
                piece, part = self._parts.pop(0)
                left, right = piece.versions.index(self._base), piece.versions.index(self._new)
                for sides in part[: count - begin]:
                    blocks.append(_block(first + len(blocks), sides[left], sides[right]))
            return Recorded(blocks)

        yield record


def _block(place: int, base: Side, new: Side) -> Block:
    return Block(f"block-{place:03d}", (base.figures, new.figures), (base.counts, new.counts))


def _pair(text: str) -> Pair:
    endpoint, _, metric = text.rpartition(":")
    return endpoint, metric
