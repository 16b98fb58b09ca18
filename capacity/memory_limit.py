"""Memory as the bottleneck: it fills with the load, before anything waits; a process that is killed there ends with 137.

A backlog fills memory as well, whatever made it, and a heap or a cache that was full from the start binds nothing: both are
told apart by what stood where in the stages before.
"""

from __future__ import annotations

import re

from capacity import declared
from capacity.documents import Stage
from capacity.facts import Facts
from capacity.figures import figure
from capacity.plateau import overloaded
from capacity.sign import AT_LIMIT, Sign

GREW = 0.1  # of the limit, from the lowest level seen
SLOWER = 1.5  # answers that take so much longer have waited for something
STILL = 1.02
# As the command that started it words it: 128 + 9, the signal of the kernel's OOM killer (Linux, mm/oom_kill.c).
KILLED = re.compile(r"ended by SIGKILL")


def killed(facts: Facts) -> bool:
    """One of the service's own processes ended by SIGKILL, and with it the run."""
    name = str(facts.run.section("target").get("name"))
    reasons = {str(stage.run.run.get("stop_reason") or "") for stage in facts.stages}
    return any(reason.startswith(f"{name} ") and KILLED.search(reason) for reason in reasons)


def memory(facts: Facts) -> Sign | None:
    """RSS ≥ 90 % of the limit, risen with the load, and no stage before it in which requests waited."""
    limit, end = declared.memory_mib(facts.run, facts.top), killed(facts)
    if not limit:
        return _unstated(facts) if end else None
    full = next((stage for stage in facts.stages if _highest_mib(stage) >= AT_LIMIT * limit), None)
    if full is None:
        return _far_below(facts, limit) if end else None
    if not _grew(facts, full, limit) or (not end and _stands_still(facts, full)):
        return None
    first = next((stage for stage in facts.stages if overloaded(stage)), None)
    if first is not None and first.rate_rps < full.rate_rps:
        return _after_a_backlog(first) if end else None
    held = (
        f"the service held {_highest_mib(full):.0f} of {limit:.0f} MiB at {figure(full.rate_rps)} rps, "
        f"risen from {_lowest_mib(facts):.0f}"
    )
    killing = ["one of its processes was killed there (SIGKILL, exit code 137)"] if end else []
    if _waited(full, facts):
        doubt = f"{held}, and answers took longer by then: which of the two came first is not told"
        return Sign("memory", 0.55, [doubt, *killing])
    said = f"{held}, while nothing waited"
    if end:
        return Sign("memory", 0.9, [said, *killing])
    enforced = full.figure("target", "cgroup_memory_max_mib") is not None
    ends = "its control group ends what needs more (exit code 137)"
    would = "nothing enforced that limit here: where it is enforced, what needs more is ended (exit code 137)"
    return Sign("memory", 0.8 if enforced else 0.7, [said, ends if enforced else would])


def _highest_mib(stage: Stage) -> float:
    return stage.figure("target", "rss_mib_max") or 0.0


def _lowest_mib(facts: Facts) -> float:
    seen = [stage.figure("target", "rss_mib_mean") for stage in facts.stages]
    return min((value for value in seen if value is not None), default=0.0)


def _grew(facts: Facts, full: Stage, limit: float) -> bool:
    return _highest_mib(full) - _lowest_mib(facts) >= GREW * limit


def _stands_still(facts: Facts, full: Stage) -> bool:
    """More came, and memory did not rise any more: a heap or a cache that fills once."""
    levels = [_highest_mib(stage) for stage in facts.stages if stage.rate_rps >= full.rate_rps]
    half = (len(levels) + 1) // 2
    return len(levels) > 1 and max(levels[half:]) <= STILL * max(levels[:half])


def _waited(stage: Stage, facts: Facts) -> bool:
    now, calm = stage.response_mean_ms, facts.calm.response_mean_ms
    return now is None or calm is None or now > SLOWER * calm


def _after_a_backlog(first: Stage) -> Sign:
    said = (
        f"a process of the service was killed at its memory limit (exit code 137), but requests waited from "
        f"{figure(first.rate_rps)} rps on: their backlog filled it"
    )
    return Sign("unidentified", 0.5, [said])


def _far_below(facts: Facts, limit: float) -> Sign:
    highest = max(_highest_mib(stage) for stage in facts.stages)
    said = (
        f"a process of the service was killed (SIGKILL, exit code 137) while at most {highest:.0f} of {limit:.0f} MiB were "
        "seen in use: memory that rose within a second, or somebody else; the kernel's log (dmesg) tells"
    )
    return Sign("unidentified", 0.5, [said])


def _unstated(facts: Facts) -> Sign:
    highest = max(_highest_mib(stage) for stage in facts.stages)
    said = (
        f"a process of the service was killed (SIGKILL, exit code 137) with {highest:.0f} MiB in use, and no limit is known: "
        f"state memory_mib under [resources], then: plimsoll run {facts.run.contract_path} --shape breakpoint"
    )
    return Sign("unidentified", 0.5, [said])
