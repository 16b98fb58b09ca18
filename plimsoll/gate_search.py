"""Where it is asked for: the highest rate within the SLO of each version, one after the other, in fresh processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadtests.search.course import Wishes
from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory
from plimsoll import pair as pairs
from plimsoll.pair import SIDES, Version
from plimsoll.placement import place
from plimsoll.searching import search
from plimsoll.spec import Spec
from plimsoll.watcher import Watcher
from targets.contract import Contract


def highest_rates(
    contract: Contract, versions: Sequence[Version], run: RunDirectory, budget_s: float, seed: int, watcher: Watcher
) -> dict[str, Any]:  # fmt: skip
    """{"baseline": {"lower_rps", "upper_rps", "confidence"}, "candidate": …}, and "why" where one of them is missing.

    Reported beside the verdict: two searches at two times are no paired comparison.
    """
    found: dict[str, Any] = {}
    for side in SIDES:
        watcher.phase(f"searching the {side}'s highest rate within the SLO")
        try:
            with pairs.running(
                contract, versions, run.path / "search", place(1, True).target, watcher.phase, [side]
            ) as pair:
                target = contract.target.model_copy(update={"base_url": pair.urls[0]})
                one = contract.model_copy(update={"target": target})
                one._folder = contract.folder
                spec = Spec(contract=one, out=run.path / "search", name=side, seed=seed)
                document = search(spec, None, Wishes(budget_s, seed=seed), watcher).document
        except PlimsollError as error:
            return found | {"why": f"the {side}'s highest rate is not known: {error}"}
        found[side] = {key: document.get(key) for key in ("lower_rps", "upper_rps", "confidence", "valid")}
    return found


def sentence(found: dict[str, Any]) -> str:
    """For the notes of a report."""
    if "why" in found:
        return str(found["why"])
    base, new = (_bracket(found[side]) for side in SIDES)
    upper, lower = found["candidate"]["upper_rps"], found["baseline"]["lower_rps"]
    less = upper is not None and lower is not None and upper < lower
    text = f"highest rate within the SLO: baseline {base}, candidate {new}"
    return f"{text}; the candidate carries less" if less else text


def _bracket(one: dict[str, Any]) -> str:
    low, high = (one[key] for key in ("lower_rps", "upper_rps"))
    if low is None and high is None:
        return "not found"
    if high is None:
        return f"at least {low:.4g}/s"
    return f"{low or 0.0:.4g} to {high:.4g}/s"
