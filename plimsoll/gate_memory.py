"""Where it is asked for: what a request of each version allocates, by a pass of each under memray, in fresh processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory
from plimsoll import pair as pairs
from plimsoll.pair import SIDES, Pair, Version
from plimsoll.placement import place
from plimsoll.watcher import Watcher
from targets.contract import Contract

WARM_S, WINDOW_S = 5.0, 10.0
TOO_MUCH = 1.10  # allocations are counted, not timed: what moves from pass to pass is a few percent


def allocated(
    contract: Contract, versions: Sequence[Version], run: RunDirectory, rate_rps: float, watcher: Watcher
) -> dict[str, Any]:  # fmt: skip
    """{"baseline": {"kib", "allocations"} per request, "candidate": …}, or "why" where one is not known."""
    from profiles.memory import Agents

    found: dict[str, Any] = {}
    for side, version in zip(SIDES, versions, strict=True):
        if version.url is not None or contract.target.control is None:
            return found | {
                "why": f"what a request allocates is known of versions that are started here; the {side} is not"
            }
        watcher.phase(f"memory pass: the {side} under memray")
        folder = run.path / "memory" / f"{side}-captures"
        folder.mkdir(parents=True)
        agents = Agents(folder)
        control = contract.target.control
        traced = control.model_copy(update={"env": {**control.env, **agents.environment()}})
        one = contract.model_copy(update={"target": contract.target.model_copy(update={"control": traced})})
        one._folder = contract.folder
        try:
            with pairs.running(
                one, versions, run.path / "memory", place(1, True).target, watcher.phase, [side]
            ) as pair:
                told = _window(one, pair, agents, rate_rps)
        except PlimsollError as error:
            return found | {"why": f"what a request of the {side} allocates is not known: {error}"}
        if told is None:
            return found | {
                "why": f"what a request of the {side} allocates is not known: {'; '.join(agents.notes([]))}"
            }
        found[side] = told
    return found


def _window(contract: Contract, pair: Pair, agents: Any, rate_rps: float) -> dict[str, float] | None:
    from profiles import allocations
    from profiles.traffic import ContractLoad

    target = contract.target.model_copy(update={"base_url": pair.urls[0]})
    here = contract.model_copy(update={"target": target})
    here._folder = contract.folder
    load = ContractLoad(here)
    load(rate_rps, WARM_S)
    agents.enter("load")
    begun_s = agents.enter("window")
    window = load(rate_rps, WINDOW_S)
    ended_s = time.monotonic()
    agents.enter("end")
    inside = sum(begun_s <= at_s <= ended_s for at_s in window.done_s)
    seen = allocations.Window(begun_s, ended_s, inside)
    told = allocations.summarise(agents.folder, window.sent, seen)["per_request"]
    return {key: float(told[key]) for key in ("kib", "allocations")} if told else None


def sentence(found: dict[str, Any]) -> tuple[str, bool]:
    """For the notes, and whether the candidate allocates too much more."""
    if "why" in found:
        return str(found["why"]), False
    base, new = (found[side] for side in SIDES)
    ratio = new["kib"] / base["kib"] if base["kib"] else 1.0
    text = f"a request allocates {new['kib']:.1f} KiB in the candidate, {base['kib']:.1f} in the baseline ({ratio - 1:+.1%})"
    return text, ratio > TOO_MUCH
