"""What must hold of a run after any fault, and the table with a line per fault over all its tries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from injection import Ended, due_exit, lost_rows, starved, wrong_rows

HEADINGS = ("fault", "tries", "requests without a row", "exit code and verdict right", "left behind")


@dataclass
class Line:
    tries: int = 0
    lost: int = 0
    right: int = 0
    left: list[str] = field(default_factory=list)
    ends: set[str] = field(default_factory=set)

    def cells(self, fault: str) -> tuple[str, ...]:
        ends = ", ".join(sorted(self.ends))
        return (fault, str(self.tries), str(self.lost), f"{self.right} of {self.tries} (exit {ends})",
                "; ".join(self.left[:3]) or "nothing")  # fmt: skip


LINES: dict[str, Line] = {}


def survived(
    fault: str, ended: Ended, *, exit: int | set[int], asked: Sequence[int] = (), lost_at_most: int = 0,
    killed: bool = False, no_run: bool = False,
) -> None:  # fmt: skip
    """A try of a fault; fails where what must hold of every fault does not.

    `asked`: arrival numbers that the server saw; each has a row, but for `lost_at_most` (a second's, after SIGKILL).
    `no_run`: the fault ends the command before there is a run.
    """
    line = LINES.setdefault(fault, Line())
    line.tries += 1
    allowed = exit if isinstance(exit, set) else {exit}
    code = ended.exit
    lost, wrong = 0, []
    if not no_run:
        assert ended.run is not None, f"{fault}: no run was left\n{ended.err}"
        lost, wrong = lost_rows(ended.run, asked), wrong_rows(ended.run, killed)
        if ended.exit != due_exit(ended.run) and not killed:
            wrong.append(f"exit {ended.exit}, though the run says {due_exit(ended.run)}")
        if code == 3 and not killed and starved(ended.run):
            allowed = allowed | {3}
    if "Traceback" in ended.err:
        wrong.append("a traceback: " + ended.err[-2_000:])
    line.lost += lost
    line.ends.add(str(code))
    line.left += ended.leftovers
    if code in allowed and not wrong and lost <= lost_at_most:
        line.right += 1
    assert wrong == [], f"{fault}: {wrong}"
    assert code in allowed, f"{fault}: exit {code}, not {exit}\n{ended.err}"
    assert lost <= lost_at_most, f"{fault}: {lost} requests have no row"
    assert ended.leftovers == [], f"{fault}: left behind: {ended.leftovers}"


def noted(fault: str, code: int, right: bool) -> None:
    """A try that involves no run of its own."""
    line = LINES.setdefault(fault, Line())
    line.tries += 1
    line.right += right
    line.ends.add(str(code))
