"""What a profile found, for a terminal: a line each, the most telling first."""

from collections.abc import Iterator
from typing import Any

from profiles.frames import BLOCKED

OTHERS_MATTER_CORES = 0.3
NOT_IN_IT = "of single requests; what the machine was slower or faster between the passes comes on top"


def lines(document: dict[str, Any]) -> list[str]:
    """From the document of `passes.profile`; what a pass could not do is a line with its remedy."""
    return [*_cpu(document), *_frames(document), *_growth(document), *_memory(document), *_overheads(document)]


def compared(document: dict[str, Any], most: int = 12) -> list[str]:
    """From the document of `compared.compare`."""
    before, after = document["cpu_ms_per_request"]
    lines = [f"CPU per request: {before:.2f} ms before, {after:.2f} after (x{after / before:.2f})"]
    for row in document["functions"][:most]:
        low, high = row["ci95_ms"]
        lines.append(f"  {row['change_ms']:+8.3f} ms ({low:+.3f} to {high:+.3f})  {row['function']}  {row['file']}")
    if not document["functions"]:
        lines.append("  no function differs by more than sampling alone would show")
    return lines


def _cpu(document: dict[str, Any]) -> Iterator[str]:
    found = document.get("cpu")
    if found is None:
        return
    if found["why_not"]:
        yield f"CPU: not recorded: {found['why_not']}"
        return
    each_ms = found["cpu_ms_per_request"]
    cost = "" if each_ms is None else f"{each_ms:.2f} ms per request (without a profiler): "
    yield f"CPU: {cost}{found['sentence']}"
    for row in found["functions"][:5]:
        place = f"{row['file']}:{row['line']}" if row["line"] else row["file"]
        yield f"  {row['self_share']:5.1%} self {row['total_share']:6.1%} total  {row['function']}  {place}"
    yield from (f"CPU: {note}" for note in found["notes"])


def _frames(document: dict[str, Any]) -> Iterator[str]:
    found = document.get("frames")
    if found is None:
        return
    if found["why_not"]:
        yield f"Blocked frames: none taken: {found['why_not']}"
        return
    waiting = [row for row in found["frames"] if row["class"] in BLOCKED and row["count"] > 1]
    if not waiting:
        yield f"Blocked frames: nothing was seen waiting twice in {found['snapshots']} snapshots"
    for row in waiting[:3]:
        yield f"Blocked: {row['class']} in {row['function']} ({row['file']}:{row['line']}), seen {row['count']} times"
    loop = found["event_loop"]
    if loop["blocked_share"]:
        yield f"Event loop: blocked in {loop['blocked_share']:.0%} of the snapshots by {loop['by']}"


def _growth(document: dict[str, Any]) -> Iterator[str]:
    found = document.get("growth")
    if found is None:
        return
    word = {"leak": "LEAK", "growing": "growing", "no_leak": "no leak", "cache": "a cache fills", "unknown": "unknown"}[
        found["verdict"]
    ]
    yield f"Memory over requests: {word}: {found['why']}"
    left = found["hours_to_limit"]
    if left is not None:
        unit, scale = ("days", 24.0) if left["low"] > 72 else ("hours", 1.0)
        latest = "" if left["high"] is None else f" to {left['high'] / scale:,.3g}"
        soonest = f"{left['low'] / scale:,.3g}"
        yield f"  {found['limit_mib']:,.0f} MiB would be reached in {soonest}{latest} {unit} at this rate"
    users = document.get("users")
    if users is not None and users["mib_per_user_at_least"] is not None:
        yield f"  each of {users['users']} connections held at least {users['mib_per_user_at_least'] * 1024:.0f} KiB"


def _memory(document: dict[str, Any]) -> Iterator[str]:
    found = document.get("memory")
    if found is None:
        return
    if found["why_not"]:
        yield f"Memory: not recorded: {found['why_not']}"
        return
    yield (
        f"Memory: {found['base_mib']:.1f} MiB before the load, {found['peak_mib']:.1f} at its peak, "
        f"{found['retained_mib']:.2f} left of the load (processes: {len(found['processes'])})"
    )
    for row in found["retained"][:3]:
        each = "" if row["kib_per_request"] is None else f"{row['kib_per_request']:.2f} KiB per request  "
        place = f"  {row['file']}:{row['line']}" if row["file"] else ""
        yield f"  left: {each}{row['function']}{place}"
    made = found["per_request"]
    if made is not None:
        yield f"  a request allocates {made['kib']:,.0f} KiB in {made['allocations']:,.0f} allocations"
    yield from (f"Memory: {note}" for note in found["notes"])


def _overheads(document: dict[str, Any]) -> Iterator[str]:
    for done in document["passes"]:
        cost = done["overhead"]
        if cost is None:
            continue
        parts = []
        if cost["response_mean"] is not None:
            low, high = cost["ci95"]
            parts.append(f"response x{cost['response_mean']:.2f} ({low:.2f} to {high:.2f}, {NOT_IN_IT})")
        if cost["cpu_per_request"] is not None:
            parts.append(f"CPU per request x{cost['cpu_per_request']:.2f}")
        yield f"Overhead of the {done['pass']} pass: {', '.join(parts) or 'not measurable'}"
    busy = max((done["other_cores"] or 0.0 for done in document["passes"]), default=0.0)
    if busy > OTHERS_MATTER_CORES:
        yield f"Other programs used up to {busy:.1f} cores meanwhile: stop them and repeat before trusting the overheads"
