"""A CPU profile of the service that a run has just loaded, in passes of its own: no figure of the run is touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory
from plimsoll.placement import Placement
from plimsoll.spec import Spec
from profiles import passes

SECONDS = 8.0
MOST_RPS = 200.0  # the passes' load is simple, and a profile needs no more


def profile(
    spec: Spec, run: RunDirectory, urls: Sequence[str], roots: Mapping[str, Sequence[int]], summary: dict[str, Any],
    placement: Placement, say: Callable[[str], None],
) -> None:  # fmt: skip
    """Writes profiles/profiles.json; what stands against it is one sentence, and the run stands as it is."""
    why_not = _why_not(spec, roots)
    if why_not:
        say(f"no profile: {why_not}")
        return
    assert spec.contract is not None
    target = spec.contract.target.model_copy(update={"base_url": urls[0]})
    contract = spec.contract.model_copy(update={"target": target})
    contract._folder = spec.contract.folder
    rate_rps = round(min(MOST_RPS, _calm_rps(summary) / len(urls)), 3)
    say(f"profile of the service at {rate_rps:g} requests/s, apart from the run")
    try:
        with _beside(placement):
            document = passes.profile(
                contract, run.path, rate_rps=rate_rps, duration_s=SECONDS, pid=roots["target"][0], want_memory=False,
                say=say,
            )  # fmt: skip
    except PlimsollError as error:
        say(f"no profile: {error}")
        return
    except Exception as error:  # a fault of ours: the run is measured, and its report must not be lost for a profile
        say(f"no profile, by a fault of Plimsoll ({type(error).__name__}: {error}); the run stands as it is")
        return
    run.write_json("profiles/profiles.json", document)


def _why_not(spec: Spec, roots: Mapping[str, Sequence[int]]) -> str:
    contract = spec.contract
    if contract is None:
        return "a locustfile alone does not say what to ask; give a contract"
    if contract.upstream and contract.upstream.paid:
        return "the upstream is paid; profile it with: plimsoll profile CONTRACT"
    return "" if roots.get("target") else "the service's processes are not on this machine"


def _calm_rps(summary: dict[str, Any]) -> float:
    """The highest rate that was worked off as it came, else the lowest that was tried."""
    stages = [stage for stage in summary.get("stages") or [] if not stage.get("warmup") and stage.get("achieved_rps")]
    calm = [stage["achieved_rps"] for stage in stages if stage.get("state") != "saturated"]
    return float(max(calm) if calm else min((stage["achieved_rps"] for stage in stages), default=1.0))


@contextmanager
def _beside(placement: Placement) -> Iterator[None]:
    """The load and py-spy go where the run's load came from, so that the service keeps its cores."""
    own = {core for cores in placement.generator for core in cores}
    if not own or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, own)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
