"""What memray captured, merged over processes: by location, by package, per request, and as a flame graph."""

import contextlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from profiles import stacks
from profiles.flamegraph import Node, svg

MIB = 2**20
AGENT_FOLDER = "agent"
Location = tuple[str, str, int]
Trace = tuple[Location, ...]  # innermost first, as memray gives it


@dataclass
class Allocations:
    """Bytes and number of allocations by stack, of all processes together."""

    bytes_by_trace: dict[Trace, int] = field(default_factory=lambda: defaultdict(int))
    count_by_trace: dict[Trace, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, records: Iterable[Any]) -> None:
        for record in records:
            trace = tuple((str(name), str(file), int(line)) for name, file, line in record.stack_trace())
            if not any(is_agent(file) for _, file, _ in trace[-12:] + trace[:2]):
                self.bytes_by_trace[trace] += record.size
                self.count_by_trace[trace] += record.n_allocations

    @property
    def total_bytes(self) -> int:
        return sum(self.bytes_by_trace.values())


class Window(NamedTuple):
    """The short time in which every single allocation was written down: moments on `time.monotonic`, and how many
    requests were answered in it."""

    from_s: float
    to_s: float
    requests: int


def summarise(folder: Path, requests: int, window: Window | None, skip: Collection[int] = ()) -> dict[str, Any]:
    """Merges what the processes wrote into `folder`, without those of `skip` (pids), whose captures are removed.

    Returns {processes, base_mib (alive when the load began), peak_mib (base + highest use under load, each process
    at its own moment), retained_mib (allocated under load, alive at its end), peak, retained: [{function, file, line,
    mib, allocations, share, via, kib_per_request}] by location, packages: [{package, mib, share}] of the peak,
    per_request: {allocations, kib, locations} or None, files_mib}. Needs memray; raises nothing for missing files.
    """
    base, peak, retained = Allocations(), Allocations(), Allocations()
    pids = set()
    for file in folder.glob("*.bin"):
        if int(file.name.split(".")[0]) in skip:
            file.unlink()
    for file in sorted(folder.glob("*.bin")):
        pid, phase = file.name.split(".")[:2]
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            _read(file, phase, base, peak, retained)
            pids.add(int(pid))
    for trace, size in base.bytes_by_trace.items():
        peak.bytes_by_trace[trace] += size
        peak.count_by_trace[trace] += base.count_by_trace[trace]
    per_request = _per_request(folder, window)
    for file in folder.glob("*.window.bin"):
        file.unlink()
    return {
        "processes": sorted(pids),
        "base_mib": base.total_bytes / MIB,
        "peak_mib": peak.total_bytes / MIB,
        "retained_mib": retained.total_bytes / MIB,
        "peak": by_location(peak, requests),
        "retained": by_location(retained, requests),
        "packages": by_package(peak),
        "per_request": per_request,
        "files_mib": sum(file.stat().st_size for file in folder.glob("*.bin")) / MIB,
        "allocations": peak,
    }


def by_location(allocations: Allocations, requests: int, most: int = 50) -> list[dict[str, Any]]:
    """Bytes by the innermost Python line outside import machinery; `via`: the service's own line that led there."""
    size: dict[Location, int] = defaultdict(int)
    count: dict[Location, int] = defaultdict(int)
    via: dict[Location, dict[Location, int]] = defaultdict(lambda: defaultdict(int))
    for trace, held in allocations.bytes_by_trace.items():
        place = charged(trace)
        size[place] += held
        count[place] += allocations.count_by_trace[trace]
        own = next((at for at in trace if stacks.package(at[1]) == stacks.OWN), None)
        if own is not None and own != place:
            via[place][own] += held
    whole = allocations.total_bytes or 1
    rows = []
    for place in sorted(size, key=lambda place: -size[place])[:most]:
        led = max(via[place], key=via[place].__getitem__, default=None)
        rows.append(
            {
                "function": place[0],
                "file": stacks.shortened(place[1]),
                "line": place[2],
                "mib": size[place] / MIB,
                "allocations": count[place],
                "share": size[place] / whole,
                "kib_per_request": size[place] / 1024 / requests if requests else None,
                "via": f"{led[0]} ({stacks.shortened(led[1])}:{led[2]})" if led else None,
            }
        )
    return rows


def by_package(allocations: Allocations) -> list[dict[str, Any]]:
    """[{package, mib, share}], largest first."""
    size: dict[str, int] = defaultdict(int)
    for trace, held in allocations.bytes_by_trace.items():
        file = charged(trace)[1]
        size[stacks.package(file) if file else stacks.NATIVE_THREADS] += held
    whole = allocations.total_bytes or 1
    ordered = sorted(size.items(), key=lambda item: -item[1])
    return [{"package": name, "mib": held / MIB, "share": held / whole} for name, held in ordered]


def charged(trace: Trace) -> Location:
    """The innermost line outside import machinery."""
    outside = (at for at in trace if not stacks.CORE.search(at[1]) and not stacks.FROZEN.search(at[1]))
    return next(outside, trace[0] if trace else ("(an extension's own thread)", "", 0))


def flame_graph(allocations: Allocations, title: str) -> str:
    """A page of its own, without network: bytes at the peak by call stack."""
    root = Node("all")
    for trace, held in allocations.bytes_by_trace.items():
        path = [at for at in reversed(trace) if not stacks.FROZEN.search(at[1])]
        root.add((f"{name} ({stacks.shortened(file)}:{line})" for name, file, line in path), held)
    drawing = svg(root, title, lambda held: f"{held / MIB:.2f} MiB")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title></head><body>{drawing}</body></html>\n"
    )


def is_agent(file: str) -> bool:
    return file.endswith(f"{AGENT_FOLDER}{os.sep}sitecustomize.py")


def _read(file: Path, phase: str, base: Allocations, peak: Allocations, retained: Allocations) -> None:
    from memray import FileReader

    if phase == "window":
        return
    with FileReader(file) as reader:
        if phase == "base":
            base.add(reader.get_leaked_allocation_records(merge_threads=True))
            return
        peak.add(reader.get_high_watermark_allocation_records(merge_threads=True))
    with FileReader(file) as reader:
        retained.add(reader.get_leaked_allocation_records(merge_threads=True))


def _per_request(folder: Path, window: Window | None) -> dict[str, Any] | None:
    """All that was allocated in the window, kept or not, over the requests answered in it. A process whose capture was
    full before its end counts for the time until then: rates, not sums, are set against each other."""
    from memray._memray import compute_statistics

    if window is None or not window.requests:
        return None
    requests_per_s = window.requests / (window.to_s - window.from_s)
    count_per_s = bytes_per_s = 0.0
    places: dict[Location, float] = defaultdict(float)
    seen = 0
    for file in folder.glob("*.window.bin"):
        length_s = _ended_s(folder, file, window) - window.from_s
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            found = compute_statistics(str(file), num_largest=10_000)
            seen += 1
            bytes_per_s += found.total_memory_allocated / length_s
            count_per_s += found.total_num_allocations / length_s
            for (name, source, line), held in found.top_locations_by_size:
                if is_agent(source):
                    bytes_per_s -= held / length_s
                else:
                    places[name, source, line] += held / length_s
            own = sum(n for (_, source, _), n in found.top_locations_by_count if is_agent(source))
            count_per_s -= own / length_s
    ordered = sorted(places.items(), key=lambda item: -item[1])[:20]
    if not seen:
        return None
    return {
        "requests": window.requests,
        "allocations": count_per_s / requests_per_s,
        "kib": bytes_per_s / 1024 / requests_per_s,
        "locations": [
            {"function": name, "file": stacks.shortened(source), "line": line, "kib": per_s / 1024 / requests_per_s}
            for (name, source, line), per_s in ordered
        ],
    }


def _ended_s(folder: Path, file: Path, window: Window) -> float:
    """When a process's capture of the window ended: with the window, or when it was full."""
    with contextlib.suppress(OSError, ValueError):
        full_ns = int((folder / f"{file.name.partition('.')[0]}.full").read_text(encoding="ascii"))
        return min(window.to_s, full_ns / 1e9)
    return window.to_s
