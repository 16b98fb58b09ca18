"""Whole gates evaluated from blocks that were recorded once: how often they cry wolf, how often they miss. Pure.

A piece of a pool is one recording of several versions at once. What a live gate records with one pair of processes, some
blocks of a baseline and a candidate, is a part here; the parts of a gate come from different processes and, as far as
there are, from different recordings and moments. No part goes into two gates. Like a tournament, parts are dealt in
rounds: in a round each version has one opponent. Gates of different rounds may share one version's figures of a block,
never both; how many share nothing at all with one another is counted beside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
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
    """One recording: per block the versions' figures, in the order in which they were recorded."""

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
class Part:
    """Blocks of one pair of processes."""

    piece: Piece
    first: int
    base: str
    new: str

    @property
    def versions(self) -> frozenset[tuple[int, int, str]]:
        """(piece, first block, label) of both: what it shares with other parts."""
        return frozenset((id(self.piece), self.first, label) for label in (self.base, self.new))

    def blocks(self, place: int) -> list[Block]:
        left, right = self.piece.versions.index(self.base), self.piece.versions.index(self.new)
        recorded = self.piece.blocks[self.first : self.first + PART_BLOCKS]
        return [_block(place + k, sides[left], sides[right]) for k, sides in enumerate(recorded)]


@dataclass(frozen=True)
class Gate:
    """`change`: what its first duet measured for the first primary, a ratio. `versions`: of all its parts."""

    verdict: Verdict
    change: float | None
    versions: frozenset[tuple[int, int, str]]


def evaluate(
    pieces: Sequence[Piece], baseline: str, candidate: str, rules: Rules, endpoint: str, planned: int
) -> list[Gate]:
    """As many gates of versions of the kind `baseline` against such of the kind `candidate` as the parts suffice for."""
    longest = sum(ceil(count / PART_BLOCKS) for count in _steps(planned))
    left = deal(pieces, baseline, candidate)
    found = []
    while len(left) >= 2 * longest:  # whatever it says: a gate that had to be given up would not be any gate
        dealt = _Dealt(left)
        try:
            outcome = course.run(dealt.fresh, rules, [endpoint], planned)
        except _SpentError:
            break
        first = compare(series(outcome.duets[0].blocks, [endpoint])[rules.primaries[0]].differences)
        found.append(Gate(outcome.verdict, float(np.exp(first.theta)) if first else None, frozenset(dealt.used)))
    return found


def apart(gates: Sequence[Gate]) -> list[Gate]:
    """Those, taken in order, that share nothing at all with one another."""
    found: list[Gate] = []
    used: set[tuple[int, int, str]] = set()
    for gate in gates:
        if not gate.versions & used:
            found.append(gate)
            used |= gate.versions
    return found


def deal(pieces: Sequence[Piece], baseline: str, candidate: str) -> list[Part]:
    """Every part once, round by round; neighbours have other processes, and another recording or moment."""
    moments = [(piece, PART_BLOCKS * k) for k in range(_most(pieces)) for piece in pieces
               if len(piece.blocks) >= PART_BLOCKS * (k + 1)]  # fmt: skip
    labels = sorted({label for piece in pieces for label in piece.versions})
    bases, news = ([label for label in labels if kind_of(label) == kind] for kind in (baseline, candidate))
    return [
        Part(piece, first, *pairs[(turn + place) % len(pairs)])
        for pairs in _rounds(bases, news)
        for turn in range(len(pairs))
        for place, (piece, first) in enumerate(moments)
        if {*pairs[(turn + place) % len(pairs)]} <= {*piece.versions}
    ]


def _most(pieces: Sequence[Piece]) -> int:
    return max((len(piece.blocks) // PART_BLOCKS for piece in pieces), default=0)


def kind_of(label: str) -> str:
    """ "equal" of "equal.3"."""
    return label.partition(".")[0]


def _rounds(bases: list[str], news: list[str]) -> list[list[tuple[str, str]]]:
    """Each pair once; within a round no version twice (for equal kinds the circle method)."""
    if bases != news:
        shorter, longer = sorted((bases, news), key=len)
        found = [[(one, longer[(k + r) % len(longer)]) for k, one in enumerate(shorter)] for r in range(len(longer))]
        return found if shorter is bases else [[(base, new) for new, base in pairs] for pairs in found]
    circle = list(bases) if len(bases) % 2 == 0 else [*bases, ""]
    rounds = []
    for _ in circle[1:]:
        half = len(circle) // 2
        pairs = zip(circle[:half], reversed(circle[half:]), strict=True)
        rounds.append([pair for pair in pairs if all(pair)])
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return rounds


def _steps(planned: int) -> list[int]:
    """Blocks recorded for each look."""
    ends = [0, *(look.blocks for look in looks(planned))]
    return [end - begin for begin, end in pairwise(ends)]


class _SpentError(Exception):
    """What is left of a pool meets only what the gate has used."""


class _Dealt:
    """One gate, fed from the front of `parts`, which shrinks; no version's blocks are used twice in it."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self.used: set[tuple[int, int, str]] = set()

    @contextmanager
    def fresh(self, number: int) -> Iterator[Record]:
        def record(first: int, count: int) -> Recorded:
            blocks: list[Block] = []
            for _ in range(ceil(count / PART_BLOCKS)):
                blocks += self._next().blocks(first + len(blocks))
            return Recorded(blocks[:count])

        yield record

    def _next(self) -> Part:
        place = next((k for k, part in enumerate(self._parts) if not part.versions & self.used), None)
        if place is None:
            raise _SpentError
        part = self._parts.pop(place)
        self.used |= part.versions
        return part


def _block(place: int, base: Side, new: Side) -> Block:
    return Block(f"block-{place:03d}", (base.figures, new.figures), (base.counts, new.counts))


def _pair(text: str) -> Pair:
    endpoint, _, metric = text.rpartition(":")
    return endpoint, metric
