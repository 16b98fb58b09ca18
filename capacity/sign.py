"""One recogniser's word: a kind of bottleneck, how sure, and by what.

Confidence is a judgement of how much else could look the same, not a frequency. A resource stands at its limit from
90 % of it on the mean of a stage of seconds, which hides shorter peaks (Gregg, Systems Performance, 2nd ed., 2.5).
"""

from __future__ import annotations

from dataclasses import dataclass

AT_LIMIT = 0.9


@dataclass(frozen=True)
class Sign:
    """`bench`: what of it is a fact of this test bench and would not be so in production."""

    kind: str
    confidence: float
    evidence: list[str]
    bench: str | None = None
