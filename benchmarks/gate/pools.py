"""Whole gates evaluated from blocks that were recorded once: how often they cry wolf, how often they miss. Pure.

A piece of a pool is one recording of several versions at once, from processes started for it. What a live gate records
with one pair of processes, some blocks of a baseline and a candidate, is a part here, and each part of a duet comes from
another piece while there are enough of them. No part goes into two gates. Like a tournament, parts are dealt in rounds:
in a round each version has one opponent, so that its gates share nothing at all; gates of different rounds may share one
version's figures of a block, never both.
"""

from __future__ import annotations

from collections import Counter
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

    def blocks(self, place: int) -> list[Block]:
        left, right = self.piece.versions.index(self.base), self.piece.versions.index(self.new)
        recorded = self.piece.blocks[self.first : self.first + PART_BLOCKS]
        return [_block(place + k, sides[left], sides[right]) for k, sides in enumerate(recorded)]


@dataclass(frozen=True)
class Evaluated:
    """What gates said, per round. `ratios`: what their first duet measured for the first primary."""

    rounds: list[Counter[Verdict]]
    ratios: list[float]

    @property
    def verdicts(self) -> Counter[Verdict]:
        return sum(self.rounds, Counter())

    @property
    def fullest(self) -> Counter[Verdict]:
        """Of the round with the most gates, which share nothing."""
        return max(self.rounds, key=Counter.total, default=Counter())


def evaluate(
    pieces: Sequence[Piece], baseline: str, candidate: str, rules: Rules, endpoint: str, planned: int
) -> Evaluated:
    """As many gates of versions of the kind `baseline` against such of the kind `candidate` as the parts suffice for."""
    longest = sum(ceil(count / PART_BLOCKS) for count in _steps(planned))
    found, ratios = [], []
    for dealt in deal(pieces, baseline, candidate):
        verdicts: Counter[Verdict] = Counter()
        left = list(dealt)
        while len(left) >= 2 * longest:  # whatever it says: a gate that had to be given up would not be any gate
            outcome = course.run(_Dealt(left).fresh, rules, [endpoint], planned)
            verdicts[outcome.verdict] += 1
            first = compare(series(outcome.duets[0].blocks, [endpoint])[rules.primaries[0]].differences)
            ratios += [float(np.exp(first.theta))] if first else []
        if verdicts:
            found.append(verdicts)
    return Evaluated(found, ratios)


def deal(pieces: Sequence[Piece], baseline: str, candidate: str) -> list[list[Part]]:
    """Per round its parts, neighbours from different pieces."""
    most = max((len(piece.blocks) // PART_BLOCKS for piece in pieces), default=0)
    labels = sorted({label for piece in pieces for label in piece.versions})
    bases, news = ([label for label in labels if kind_of(label) == kind] for kind in (baseline, candidate))
    return [
        [
            Part(piece, PART_BLOCKS * k, base, new)
            for k in range(most)
            for base, new in pairs
            for piece in pieces
            if len(piece.blocks) >= PART_BLOCKS * (k + 1) and {base, new} <= {*piece.versions}
        ]
        for pairs in _rounds(bases, news)
    ]


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


class _Dealt:
    """One gate, fed from the front of `parts`, which shrinks."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts

    @contextmanager
    def fresh(self, number: int) -> Iterator[Record]:
        def record(first: int, count: int) -> Recorded:
            blocks: list[Block] = []
            for _ in range(ceil(count / PART_BLOCKS)):
                blocks += self._parts.pop(0).blocks(first + len(blocks))
            return Recorded(blocks[:count])

        yield record


def _block(place: int, base: Side, new: Side) -> Block:
    return Block(f"block-{place:03d}", (base.figures, new.figures), (base.counts, new.counts))


def _pair(text: str) -> Pair:
    endpoint, _, metric = text.rpartition(":")
    return endpoint, metric
