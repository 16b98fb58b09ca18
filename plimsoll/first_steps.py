"""The next step from where somebody stands: what `plimsoll` alone says of the folder they are in, and a run at its end."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from measurements.rundir import RunDirectory
    from reports.wording import Words

HEAD = "Plimsoll: load tests, performance gates and capacity plans for services that generate with LLMs and search."
STEPS = (
    ("plimsoll init http://127.0.0.1:8000", "write a contract from your running service"),
    ("plimsoll check plimsoll.toml", "ask each endpoint once"),
    ("plimsoll run plimsoll.toml --shape breakpoint", "find its line, write the report"),
    ("plimsoll plan runs/latest --demand 20", "what to buy for 20 requests a second at peak"),
)
OTHERS = (
    ("plimsoll doctor", "what works on this machine"),
    ("plimsoll --help", "every command; each has examples: plimsoll run --help"),
    ("plimsoll --install-completion", "the tab key completes commands and options"),
)


def lines(folder: Path) -> list[str]:
    """Where a contract or a run is there already, the way begins after it."""
    contract = _contract(folder)
    report = folder / "runs" / "latest" / "report.html"
    steps = [(command.replace("plimsoll.toml", contract or "plimsoll.toml"), why) for command, why in STEPS]
    done = 3 if report.is_file() else 1 if contract else 0
    found = [HEAD, "", "Your own service:"]
    found += [f"  {'->' if k == done else '  '} {command:<52}  {why}" for k, (command, why) in enumerate(steps)]
    if report.is_file():
        found += ["", f"The newest report is {report.relative_to(folder)}"]
    found += ["", "An embedded one, to look around (needs the extra [reference]):"]
    found += ["     plimsoll run kakao --start --shape breakpoint"]
    return [*found, "", *(f"     {command:<52}  {why}" for command, why in OTHERS)]


def behind(run: RunDirectory, contract: Path | None, started: bool, words: Words) -> list[str]:
    """The step behind a sound run: a demand of one's own for its plan, or the shape that finds the service's line."""
    if run.has("plan.json"):
        planned_rps = [option["demand_rps"] for option in run.read_json("plan.json")["scale_out"]]
        if not planned_rps:
            return []
        demand = f"{max(planned_rps):.2g}" if max(planned_rps) < 10 else f"{max(planned_rps):.0f}"
        command = f"plimsoll plan {shlex.quote(str(run.path))} --demand {demand}"
        return [words("terminal.next_plan", command=command, demand=demand)]
    if contract is None:
        return []
    command = f"plimsoll run {shlex.quote(str(contract))}{' --start' if started else ''} --shape breakpoint"
    return [words("terminal.next_line", command=command)]


def _contract(folder: Path) -> str:
    """plimsoll.toml, or the only other contract that lies here."""
    if (folder / "plimsoll.toml").is_file():
        return "plimsoll.toml"
    try:
        others = [path.name for path in sorted(folder.glob("*.toml")) if "[[endpoint]]" in path.read_text("utf-8")]
    except (OSError, UnicodeDecodeError):
        return ""
    return others[0] if len(others) == 1 else ""
