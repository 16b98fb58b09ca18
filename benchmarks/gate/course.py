"""The course of a gate: looks, one extension, and a fresh duet that has to agree before it says FAIL.

Nothing here starts a process or knows a clock: `fresh(n)` gives a context in which two newly started versions can be
recorded, and its value records so many blocks. Tests drive it in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gate.blocks import SIDES, Block, series
from benchmarks.gate.judging import Judgement, Verdict, judge
from benchmarks.gate.metrics import spoken
from benchmarks.gate.rules import Pair, Rules, looks

MOST_VOID = 0.25
MADE_UP_FOR = 0.5  # of a look's blocks; where more are void the machine is no place for a gate
BROKEN = 0.5  # a baseline that fails more of its requests than this is no baseline


@dataclass(frozen=True)
class Recorded:
    """What one recording brought. `invalid`: why its run is INVALID. `died`: version → how. `shares`: found sharing."""

    blocks: list[Block]
    invalid: list[str] = field(default_factory=list)
    died: dict[str, str] = field(default_factory=dict)
    shares: str = ""
    runs: list[str] = field(default_factory=list)
    doubts: dict[str, Any] = field(default_factory=dict)


Record = Callable[[int, int], Recorded]  # (first block's number, how many) -> what came
Fresh = Callable[[int], AbstractContextManager[Record]]
Say = Callable[[str], None]


@dataclass
class Duet:
    """All of one duet: its recordings, and what each look said."""

    number: int
    recorded: list[Recorded] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)

    @property
    def blocks(self) -> list[Block]:
        return [block for one in self.recorded for block in one.blocks]

    @property
    def kept(self) -> list[Block]:
        return [block for block in self.blocks if not block.voided]


@dataclass
class Outcome:
    """`reasons`: sentences, the most important first. `agreed`: whether a second duet confirmed (None: none was needed)."""

    verdict: Verdict
    reasons: list[str]
    duets: list[Duet]
    agreed: bool | None = None


def run(fresh: Fresh, rules: Rules, endpoints: Sequence[str], planned: int, say: Say = lambda _: None) -> Outcome:
    """Runs until the answer is clear or the extension is used up."""
    first = Duet(1)
    with fresh(1) as record:
        stopped = _duet(first, record, rules, endpoints, planned, (), say)
    if stopped:
        return Outcome(*stopped, [first])
    judged = first.judgements[-1]
    if judged.verdict is not Verdict.FAIL:
        return Outcome(judged.verdict, _why(judged), [first])
    names = ", ".join(spoken(*pair) for pair in judged.failed())
    say(f"slower in {names}; a second, fresh duet has to agree before this is a FAIL")
    second = Duet(2)
    with fresh(2) as record:
        stopped = _duet(second, record, rules, endpoints, planned, judged.failed(), say)
    if stopped:
        return Outcome(*stopped, [first, second])
    again = second.judgements[-1]
    if again.verdict is Verdict.FAIL:
        return Outcome(Verdict.FAIL, [f"slower in {names}, and a fresh duet agreed"], [first, second], True)
    reason = f"the first duet found a slowdown in {names}, a fresh one did not confirm it ({again.verdict})"
    return Outcome(Verdict.INCONCLUSIVE, [reason], [first, second], False)


def _duet(
    duet: Duet, record: Record, rules: Rules, endpoints: Sequence[str], planned: int, only: Sequence[Pair], say: Say
) -> tuple[Verdict, list[str]] | None:
    """Records up to each look until one is clear; a verdict where the duet itself cannot be used.

    Blocks that are no evidence are made up for, once a look: that the generator was late says nothing about either version.
    """
    for look in looks(planned):
        have = len(duet.kept)
        if duet.judgements:
            say(f"{duet.judgements[-1].verdict} after {have} blocks: {look.blocks - have} more")
        duet.recorded.append(record(len(duet.blocks), look.blocks - have))
        void = look.blocks - len(duet.kept)
        if 0 < void <= MADE_UP_FOR * look.blocks and not _ended(duet):
            say(f"{void} blocks are no evidence ({_first_void(duet)}): as many more in their place")
            duet.recorded.append(record(len(duet.blocks), void))
        stopped = _ended(duet) or _unusable(duet)
        if stopped:
            return stopped
        duet.judgements.append(judge(series(duet.blocks, endpoints), rules, look, only))
        if duet.judgements[-1].clear:
            break
    return None


def _ended(duet: Duet) -> tuple[Verdict, list[str]] | None:
    """What nothing more can be recorded after."""
    newest = duet.recorded[-1]
    if "baseline" in newest.died:
        return Verdict.INVALID, [f"there is nothing to compare with: {said}" for said in newest.died.values()]
    if "candidate" in newest.died:
        return Verdict.FAIL, [f"the candidate died and the baseline lived: {newest.died['candidate']}"]
    if newest.shares:
        return Verdict.INVALID, [newest.shares]
    if newest.invalid:
        return Verdict.INVALID, list(newest.invalid)
    return None


def _first_void(duet: Duet) -> str:
    return next((block.voided for block in duet.blocks if block.voided), "nothing was recorded")


def _unusable(duet: Duet) -> tuple[Verdict, list[str]] | None:
    void = len(duet.blocks) - len(duet.kept)
    if not duet.blocks or void > MOST_VOID * len(duet.blocks):
        return Verdict.INVALID, [f"{void} of {len(duet.blocks)} blocks are no evidence, e.g. {_first_void(duet)}"]
    errors = [_errors(duet.kept, side) for side in range(len(SIDES))]
    if errors[0] > BROKEN:
        return Verdict.INVALID, [f"the baseline failed {errors[0]:.0%} of its requests: it is no baseline"]
    if errors[1] > BROKEN:
        return Verdict.FAIL, [f"the candidate failed {errors[1]:.0%} of its requests, the baseline {errors[0]:.0%}"]
    return None


def _errors(blocks: Sequence[Block], side: int) -> float:
    total = sum(block.counts[side].get("all", 0) for block in blocks)
    failed = sum(
        block.figures[side].get(("all", "error_rate"), 1.0) * block.counts[side].get("all", 0) for block in blocks
    )
    return failed / total if total else 1.0


def _why(judged: Judgement) -> list[str]:
    named = [c for c in judged.comparisons if c.verdict is judged.verdict]
    if judged.verdict is Verdict.PASS:
        return ["no primary is slower by as much as the floor"]
    return [f"{c.endpoint} {c.metric}: {c.why}" if c.why else f"{c.endpoint} {c.metric}" for c in named]
