"""What an incident that was made on purpose cost: requests lost, time to recover, share of an error budget.

Steps are what was done and when, in seconds from the run's start; rows are judged by when they ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from measurements.distributions import binomial_quantile
from measurements.rundir import RunDirectory
from measurements.sample import OUTCOMES, Outcome

AVAILABILITY = 0.999
MONTH_S = 30 * 86_400.0
WINDOW_S = 1.0
BY_CHANCE = 0.01  # that any window of a run fails more than what failed before explains (Bonferroni over the windows)
NOT_THE_SERVICES = [Outcome.dropped, Outcome.lost]  # the generator's
RULE_OF_THREE = 3.0  # no failure in n: at most 3/n with 95 % confidence (Hanley, Lippman-Hand, JAMA 249(13), 1983)

Steps = list[dict[str, Any]]


@dataclass(frozen=True)
class Rows:
    """Columns of shape (n,) of what the service is answerable for: neither what the generator did not send or lost, nor
    what a limit of its own refused (429). `ended_s` of what has no end is when it was intended."""

    intended_s: np.ndarray
    ended_s: np.ndarray
    outcome: np.ndarray

    @property
    def bad(self) -> np.ndarray:
        return self.outcome != Outcome.ok

    def where(self, chosen: np.ndarray) -> Rows:
        return Rows(self.intended_s[chosen], self.ended_s[chosen], self.outcome[chosen])

    @property
    def outcomes(self) -> dict[str, int]:
        names, counts = np.unique(self.outcome, return_counts=True)
        return {OUTCOMES[int(name)]: int(n) for name, n in zip(names, counts, strict=True)}


def rows(run: RunDirectory) -> Rows:
    table = run.table("samples", ["seq", "intended_ns", "done_ns", "outcome", "status"])
    table = table.filter(pc.greater_equal(table["seq"], 0))
    words = table["outcome"].cast("string").to_pylist()
    outcome = np.array([OUTCOMES.index(word) for word in words], dtype=np.int8)
    intended_ns = table["intended_ns"].to_numpy()
    done_ns = pc.coalesce(table["done_ns"], table["intended_ns"]).to_numpy()
    status = pc.fill_null(table["status"], 0).to_numpy()
    answerable = ~np.isin(outcome, NOT_THE_SERVICES) & ~((outcome == Outcome.rejected) & (status == 429))
    return Rows(intended_ns / 1e9, done_ns / 1e9, outcome).where(answerable)


def failover(found: Rows, steps: Steps, end_s: float) -> dict[str, Any]:
    """A replica was killed at `killed`, another stood in its place at `started` (or never)."""
    killed_s = _at(steps, "killed")
    if killed_s is None:
        return {"complete": False, "steps": steps}
    earlier = found.where(found.ended_s < killed_s)
    found = _during(found, killed_s, end_s)
    recovery = _recovery(found, float(earlier.bad.mean()) if len(earlier.bad) else 0.0, killed_s)
    count, failed = len(found.bad), int(found.bad.sum())
    rate_rps = count / max(end_s - killed_s, 1e-9)
    outage_s = failed / rate_rps if rate_rps else 0.0
    budget_s = (1 - AVAILABILITY) * MONTH_S
    return {
        "complete": _at(steps, "started") is not None,
        "steps": steps,
        "killed_s": killed_s,
        "requests": count,
        "failed": failed,
        "outcomes": found.outcomes,
        "time_to_recover_s": recovery,
        "outage_equivalent_s": outage_s,
        "availability": AVAILABILITY,
        "month_budget_s": budget_s,
        "share_of_month_budget": outage_s / budget_s,
        "failed_share": {"value": failed / count if count else None, "at_most": _at_most(failed, count)},
    }


def rollout(found: Rows, steps: Steps, end_s: float) -> dict[str, Any]:
    """A new version took the old one's place between the first step and `finished`; lost requests must be none."""
    begin_s, finished_s = _at(steps, "begun"), _at(steps, "finished")
    if begin_s is None:
        return {"complete": False, "steps": steps}
    found = _during(found, begin_s, end_s)
    lost, count = int(found.bad.sum()), len(found.bad)
    return {
        "complete": finished_s is not None,
        "steps": steps,
        "begun_s": begin_s,
        "took_s": None if finished_s is None else finished_s - begin_s,
        "requests": count,
        "lost": lost,
        "outcomes": found.outcomes,
        "lost_share_at_most": _at_most(lost, count),
    }


def sentences(shape: str, found: dict[str, Any]) -> list[str]:
    """The same in words."""
    if "requests" not in found:
        return []
    if shape == "rollout":
        took = f"in {found['took_s']:.1f} s" if found["took_s"] is not None else "and was not finished"
        lost = f"{found['lost']:,} of {found['requests']:,} requests were lost"
        if not found["lost"] and found["requests"]:
            lost += f" (at most {found['lost_share_at_most']:.2%} with 95 % confidence)"
        return [f"The new version replaced the old one {took}; {lost}."]
    recovery = found["time_to_recover_s"]
    if recovery["low"] is None:
        recovered = "the service did not recover by the end"
    elif recovery["high"] == 0:
        recovered = "and no request failed for it"
    else:
        recovered = (
            f"the last one {recovery['low']:.2f} s after the kill, the next good answer at {recovery['high']:.2f} s"
        )
    cost = (
        f"One such failure costs as much as {found['outage_equivalent_s']:.2f} s of full outage: "
        f"{found['share_of_month_budget']:.2%} of the {found['month_budget_s']:,.0f} s that {found['availability']:.1%} "
        "availability leaves in 30 days."
    )
    return [
        f"A replica was killed at {found['killed_s']:.1f} s: {found['failed']:,} of {found['requests']:,} requests failed "
        f"from then on, {recovered}.",
        cost,
    ]


def _during(found: Rows, after_s: float, end_s: float) -> Rows:
    """What ended after a moment, also what was under way then."""
    return found.where((found.ended_s >= after_s) & (found.intended_s < end_s))


def _recovery(found: Rows, before: float, killed_s: float) -> dict[str, float | None]:
    """Recovered after the last window with more failures than the budget, and than what failed before, allows. `low` is
    the last failed arrival in it, `high` the next that was answered; both null: not recovered by the end."""
    at_s, bad = found.intended_s, found.bad
    window = ((at_s - killed_s) // WINDOW_S).astype(np.int64)
    numbers = np.unique(window)
    last = None
    for number in numbers:
        mine = window == number
        n = int(mine.sum())
        by_chance = binomial_quantile(1 - BY_CHANCE / len(numbers), n, before)
        if bad[mine].sum() > max((1 - AVAILABILITY) * n, by_chance):
            last = int(number)
    if last is None:
        return {"low": 0.0, "high": 0.0}
    last_s = at_s[(window == last) & bad].max()
    later = at_s[(at_s > last_s) & ~bad]
    if not len(later):
        return {"low": None, "high": None}
    return {"low": max(0.0, float(last_s - killed_s)), "high": float(later.min() - killed_s)}


def _at(steps: Steps, what: str) -> float | None:
    return next((step["at_s"] for step in steps if step["what"] == what), None)


def _at_most(failed: int, count: int) -> float | None:
    if failed or not count:
        return None
    return RULE_OF_THREE / count
