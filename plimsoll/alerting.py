"""The contract's alert rules over a finished run: who breached what, and who is told."""

from __future__ import annotations

from typing import Any

from benchmarks.gate.alerts import Breach, Measured, breaches
from measurements.rundir import RunDirectory
from plimsoll.notify import send
from targets.contract import Contract


def found(run: RunDirectory, contract: Contract, role: str = "target", replica: int | None = None) -> list[Breach]:
    """`replica`: only what went to that one, for a gate's candidate."""
    rows = run.table("samples", ["seq", "replica", "intended_ns", "done_ns", "outcome"]).to_pandas()
    rows = rows[(rows["seq"] >= 0) & ((rows["replica"] == replica) if replica is not None else True)]
    resources = run.table("resources").to_pandas()
    health = run.read_json("summary.json").get("health") if run.has("summary.json") else None
    stages = run.read_json("run.json")["schedule"]["stages"]
    measured = Measured(rows, resources, sum(stage["duration_s"] for stage in stages), role, _failures(health))
    return breaches(contract.alert.rule, measured)


def _failures(health: Any) -> list[float] | None:
    """When health checks failed under load; None where none was asked."""
    checks = [check for check in health.values() if isinstance(check, dict)] if isinstance(health, dict) else []
    if not any(check.get("asked") for check in checks):
        return None
    return sorted(float(one["at_s"]) for check in checks for one in check.get("failures") or [])


def tell(breached: list[Breach], contract: Contract, run: RunDirectory) -> list[str]:
    """Sends each breach to the channels of its severity; returns lines for the terminal."""
    lines = [f"alert ({breach.rule.severity}): {breach.sentence}" for breach in breached]
    for breach in breached:
        title = f"{breach.rule.severity}: {contract.target.name}"
        lines += send(contract.alert, breach.rule.severity, title, f"{breach.sentence}\nrun {run.identity}")
    return lines
