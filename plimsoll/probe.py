"""How much to aim at when nobody named a rate: a short closed loop finds what the service completes, as warm-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from loadtests.runner import Hooks, Runner
from measurements.errors import Interrupted, TargetUnreachable
from measurements.rundir import RunDirectory
from plimsoll.placement import Placement
from plimsoll.spec import Spec, load_plan

USERS = 64
SECONDS = 16.0
SETTLE_S = 6.0
ABOVE = 1.5  # a breakpoint's last step: clearly past the plateau, not far


@dataclass(frozen=True)
class Probe:
    """`ok_rps` is what `users` in a closed loop got answered well after the first six seconds."""

    users: int
    seconds: float
    ok_rps: float
    rate_rps: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def rate(spec: Spec, urls: list[str], placement: Placement, folder: Path, stop: Callable[[], str | None]) -> Probe:
    """TargetUnreachable when nothing was answered well. The rate is rounded to two digits; at least 1 per second."""
    quiet = replace(spec, users=USERS, rate_rps=None, shape="load", duration_s=SECONDS, warmup_s=0.0, workers=1)
    run = RunDirectory.create(folder, "probe")
    plan = replace(load_plan(quiet, run.identity, urls, placement.generator, 1.0), drain_s=2.0)
    counts: list[tuple[float, int]] = []
    at_s = 0.0

    def progress(_: int, news: dict[str, Any]) -> None:
        nonlocal at_s
        at_s += news["elapsed_s"]
        counts.append((at_s, news["outcomes"].get("ok", 0)))

    runner = Runner(plan, run)
    try:
        runner.prepare()
        runner.run(Hooks(progress=progress, stop=stop))
    finally:
        runner.close()
    if stop():
        raise Interrupted("interrupted while probing for a rate; nothing was measured, what was started is stopped")
    if not counts or counts[-1][1] == 0:
        raise TargetUnreachable(
            f"the service answered nothing well in {SECONDS:g} s with {USERS} users; look at its log, try: plimsoll check, "
            "or name a rate with --rate"
        )
    first = next((count for count in counts if count[0] >= SETTLE_S), (0.0, 0))
    ok_rps = (counts[-1][1] - first[1]) / max(counts[-1][0] - first[0], 1e-3)
    return Probe(USERS, SECONDS, ok_rps, _two_digits(max(1.0, ABOVE * ok_rps)))


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")
