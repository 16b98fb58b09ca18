"""What a pass over the harness left: a row per benchmark, with its raw timings and its memory; the growth of cost."""

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from measurements import host
from measurements.errors import FormatError

VERSION = 1
COLUMNS = ("min", "mean", "stddev", "median", "iqr")
SAME_MACHINE = ("cpu_model", "cores", "memory_mib")


@dataclass(frozen=True)
class Row:
    """One benchmark. Times in ms; `stats` are pytest-benchmark's own, `extra` holds p50_ms, p95_ms, p99_ms (None: too
    few rounds) and what the bench added; `raw_s`: every round; memory None where it was not measured."""

    name: str
    group: str
    rounds: int
    ops: float
    stats: dict[str, float]
    extra: dict[str, Any]
    raw_s: list[float] = field(repr=False)
    peak_mib: float | None = None
    allocations: int | None = None

    @property
    def family(self) -> str:
        """The name without its size."""
        return self.name.partition("[")[0]


@dataclass(frozen=True)
class Results:
    machine: dict[str, Any]
    rows: list[Row]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"schema": VERSION, "machine": self.machine, "rows": [asdict(row) for row in self.rows]}
        path.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")


def read(timings: Path, memory: Path | None = None) -> Results:
    """`timings`: pytest-benchmark's JSON with raw data; `memory`: folder of memray's captures, one per benchmark."""
    document = json.loads(timings.read_text(encoding="utf-8"))
    captured = _memory(memory) if memory is not None else {}
    return Results(host.fingerprint(), [_row(one, captured) for one in document["benchmarks"]])


def load(path: Path) -> Results:
    """A saved set. FormatError says what is wrong with the file; OSError is the caller's."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != VERSION:
            raise FormatError(
                f"{path} has format version {document['schema']}, this Plimsoll reads {VERSION}; save it again"
            )
        return Results(document["machine"], [Row(**row) for row in document["rows"]])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is no saved set of benchmarks ({error}); save it again") from error


def _row(one: dict[str, Any], captured: dict[str, tuple[float, int]]) -> Row:
    stats, name = one["stats"], str(one["name"]).removeprefix("bench_")
    peak_mib, allocations = captured.get(name, (None, None))
    return Row(
        name=name,
        group=str(one["group"] or ""),
        rounds=int(stats["rounds"]),
        ops=float(stats["ops"]),
        stats={key: float(stats[key]) * 1e3 for key in COLUMNS},
        extra=dict(one["extra_info"]),
        raw_s=[float(value) for value in stats["data"]],
        peak_mib=peak_mib,
        allocations=allocations,
    )


def _memory(folder: Path) -> dict[str, tuple[float, int]]:
    """name → (peak MiB, allocations) of the one call that was made under memray."""
    from memray import FileReader

    found = {}
    for path in sorted(folder.glob("*.bin")):
        with FileReader(path) as reader:
            metadata = reader.metadata
            name = path.stem.rpartition("bench_")[2]
            found[name] = (metadata.peak_memory / 2**20, metadata.total_allocations)
    return found


def growth(rows: list[Row]) -> list[dict[str, Any]]:
    """How cost grows with size, where a piece was timed at three sizes: the slope of log(time) over log(size).

    Returns [{family, unit, sizes, median_ms, slope, each_us}]; slope 1: twice the size takes twice as long.
    `each_us`: time for one more of the unit, between the two largest sizes.
    """
    families: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if "size" in row.extra:
            families[row.family].append(row)
    found = []
    for family, members in families.items():
        ordered = sorted(members, key=lambda row: row.extra["size"])
        sizes = np.array([row.extra["size"] for row in ordered], dtype=float)
        times_ms = np.array([row.stats["median"] for row in ordered])
        if len(ordered) < 3:
            continue
        slope = float(np.polyfit(np.log(sizes), np.log(times_ms), 1)[0])
        each_us = float((times_ms[-1] - times_ms[-2]) / (sizes[-1] - sizes[-2]) * 1e3)
        found.append(
            {
                "family": family,
                "unit": ordered[0].extra["unit"],
                "sizes": sizes.astype(int).tolist(),
                "median_ms": times_ms.tolist(),
                "slope": slope,
                "each_us": each_us,
            }
        )
    return found
