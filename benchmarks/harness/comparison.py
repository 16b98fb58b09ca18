"""A set of benchmarks beside a saved one, time and memory. Fails closed: what cannot be compared is no pass.

One process on a shared machine moves by tens of percent from one minute to the next, so a row is slower only where its
median is past the tolerance and the middle halves of the two do not touch. Memory hardly moves; what is less than a
MiB more is an allocator's step. Versions of a service are compared by `plimsoll gate`, which is made for that.
"""

from dataclasses import dataclass

from benchmarks.harness.results import SAME_MACHINE, Results, Row

TOLERANCE = 1.3
LEAST_MIB = 1.0


@dataclass(frozen=True)
class Compared:
    """`state`: same, faster, slower, missing (here), new (not in the saved set); `memory`: same, less, more, missing (in
    one of the two), or none (in neither). `ratio` of medians, `memory_ratio` of peaks."""

    name: str
    state: str
    ratio: float | None = None
    memory: str = "none"
    memory_ratio: float | None = None


def compare(now: Results, saved: Results, tolerance: float = TOLERANCE) -> list[Compared]:
    """Every row of either set, in their order."""
    here, there = {row.name: row for row in now.rows}, {row.name: row for row in saved.rows}
    found = [_compared(row, there[name], tolerance) for name, row in here.items() if name in there]
    found += [Compared(name, "missing") for name in there if name not in here]
    return found + [Compared(name, "new") for name in here if name not in there]


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
        if one.memory == "more":
            found.append(f"{one.name} takes {one.memory_ratio:.2f} times the memory")
        elif one.memory == "missing":
            found.append(f"the memory of {one.name} was measured in one of the two sets only; save a new one")
    return found


def _compared(row: Row, before: Row, tolerance: float) -> Compared:
    ratio = row.stats["median"] / before.stats["median"]
    apart_ms = abs(row.stats["median"] - before.stats["median"]) - (row.stats["iqr"] + before.stats["iqr"]) / 2
    state = "same"
    if apart_ms > 0 and ratio > tolerance:
        state = "slower"
    elif apart_ms > 0 and ratio < 1 / tolerance:
        state = "faster"
    return Compared(row.name, state, ratio, *_memory(row.peak_mib, before.peak_mib, tolerance))


def _memory(now: float | None, before: float | None, tolerance: float) -> tuple[str, float | None]:
    if not now or not before:
        return ("none" if now is None and before is None else "missing"), None
    ratio = now / before
    if abs(now - before) < LEAST_MIB or 1 / tolerance <= ratio <= tolerance:
        return "same", ratio
    return ("more" if ratio > 1 else "less"), ratio
