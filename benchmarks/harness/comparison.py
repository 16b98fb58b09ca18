"""A set of benchmarks beside a saved one. Fails closed: what cannot be compared is no pass.

One process on a shared machine moves by tens of percent from one minute to the next, so a row is slower only where its
median is past the tolerance and the middle halves of the two do not touch. Versions of a service are compared by
`plimsoll gate`, which is made for that.
"""

from dataclasses import dataclass, replace

from benchmarks.harness.results import SAME_MACHINE, Results, Row

TOLERANCE = 1.3
SMALL_MIB, FEW_ALLOCATIONS = 1.0, 200  # below, what the interpreter does beside it decides


@dataclass(frozen=True)
class Compared:
    """`state`: same, faster, slower, missing (here), new (not in the saved set). `ratio` of medians. `heavier`: what
    of its memory grew past the tolerance."""

    name: str
    state: str
    ratio: float | None
    memory_ratio: float | None
    heavier: str = ""


def compare(now: Results, saved: Results, tolerance: float = TOLERANCE) -> list[Compared]:
    """Every row of either set, in their order."""
    here, there = {row.name: row for row in now.rows}, {row.name: row for row in saved.rows}
    found = [_compared(row, there[name], tolerance) for name, row in here.items() if name in there]
    found += [Compared(name, "missing", None, None) for name in there if name not in here]
    return found + [Compared(name, "new", None, None) for name in here if name not in there]


def chosen(saved: Results, now: Results, words: str) -> Results:
    """Of a saved set what a choice of benches (`words`) speaks of: the sizes of every bench measured now, and whatever has
    the words in its name. Without words all of it."""
    measured = {_bench(row.name) for row in now.rows}
    kept = [row for row in saved.rows if not words or _bench(row.name) in measured or words in row.name]
    return replace(saved, rows=kept)


def _bench(name: str) -> str:
    return name.partition("[")[0]


def objections(now: Results, saved: Results, compared: list[Compared]) -> list[str]:
    """Why this is no pass, a sentence each; empty: nothing is slower and nothing is missing."""
    found = [
        f"the saved set was made on another machine ({key}: {saved.machine.get(key)}, here {now.machine.get(key)})"
        for key in SAME_MACHINE
        if saved.machine.get(key) != now.machine.get(key)
    ]
    if not saved.rows:
        found.append("the saved set is empty")
    for one in compared:
        if one.state == "missing":
            found.append(f"{one.name} is in the saved set and was not measured now")
        elif one.state == "new":
            found.append(f"{one.name} is not in the saved set; save a new one")
        elif one.state == "slower":
            found.append(f"{one.name} takes {one.ratio:.2f} times as long")
        if one.heavier:
            found.append(f"{one.name} {one.heavier}")
    return found


def _compared(row: Row, before: Row, tolerance: float) -> Compared:
    ratio = row.stats["median"] / before.stats["median"]
    apart_ms = abs(row.stats["median"] - before.stats["median"]) - (row.stats["iqr"] + before.stats["iqr"]) / 2
    state = "same"
    if apart_ms > 0 and ratio > tolerance:
        state = "slower"
    elif apart_ms > 0 and ratio < 1 / tolerance:
        state = "faster"
    memory = row.peak_mib / before.peak_mib if row.peak_mib and before.peak_mib else None
    return Compared(row.name, state, ratio, memory, _heavier(row, before, tolerance))


def _heavier(row: Row, before: Row, tolerance: float) -> str:
    """One call under memray: its allocations are counted, not timed, and hardly move."""
    if (before.peak_mib is None) != (row.peak_mib is None):
        return "has memory figures in one of the two sets only"
    if row.peak_mib is None or before.peak_mib is None or row.allocations is None or before.allocations is None:
        return ""
    if row.allocations > tolerance * before.allocations + FEW_ALLOCATIONS:
        return f"allocates {row.allocations:,} times a call, {before.allocations:,} in the saved set"
    if row.peak_mib > tolerance * before.peak_mib + SMALL_MIB:
        return f"needs {row.peak_mib:.1f} MiB at its peak, {before.peak_mib:.1f} in the saved set"
    return ""
