"""A trial: one rate, sent for a while. What was asked for, and what became of each request, as columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from measurements.sample import Outcome

NEVER = np.inf


@dataclass(frozen=True)
class Request:
    """`rate_rps` for `settle_s` (declared beforehand, left out of the verdict) and then for `measure_s`.

    `purpose` is warm_up, doubling, bisection or classification.
    """

    number: int
    rate_rps: float
    settle_s: float
    measure_s: float
    purpose: str
    seed: int

    @property
    def duration_s(self) -> float:
        return self.settle_s + self.measure_s


@dataclass(frozen=True)
class Generator:
    """What the generator says of its own part. `cpu_share` is the mean of its busiest load process, in cores."""

    cpu_share: float = 0.0
    faults: tuple[str, ...] = ()
    pool_too_small: bool = False


@dataclass(frozen=True)
class Rows:
    """Requests of one trial in the order in which they were intended; columns of shape (n,), seconds from its start.

    `done_s` is inf while a request is open or where it was given up; `ttft_s` and `tpot_s` are nan without tokens.
    `elapsed_s`: up to where arrivals were given (shorter than asked for where the trial was cut).
    """

    intended_s: np.ndarray
    sent_s: np.ndarray
    done_s: np.ndarray
    outcome: np.ndarray
    status: np.ndarray
    endpoint: np.ndarray
    ttft_s: np.ndarray
    tpot_s: np.ndarray
    endpoints: list[str]
    elapsed_s: float
    generator: Generator = field(default_factory=Generator)
    cut: str = ""

    def __len__(self) -> int:
        return len(self.intended_s)

    def where(self, chosen: np.ndarray) -> Rows:
        names = ("intended_s", "sent_s", "done_s", "outcome", "status", "endpoint", "ttft_s", "tpot_s")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def of(self, endpoint: str) -> Rows:
        if endpoint not in self.endpoints:
            return self.where(np.zeros(len(self), dtype=bool))
        return self.where(self.endpoint == self.endpoints.index(endpoint))

    def known_at(self, at_s: float) -> Rows:
        """What could be seen at that moment: later arrivals are not there, later answers are open."""
        seen = self.where(self.intended_s <= at_s)
        open_ = seen.done_s > at_s
        return replace(seen, done_s=np.where(open_, NEVER, seen.done_s), elapsed_s=at_s)

    @property
    def ok(self) -> np.ndarray:
        return self.outcome == Outcome.ok

    @property
    def open_at_the_end(self) -> int:
        return int(np.isin(self.outcome, (Outcome.abandoned, Outcome.timeout)).sum())


Look = Callable[[Rows], str]  # asked about once a second with what is known so far: a reason to stop, or ""
Trial = Callable[[Request, Look], Rows]
