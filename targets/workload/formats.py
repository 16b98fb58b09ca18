"""Which format a file is in, told from its first lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from measurements.errors import UsageError
from targets.workload import json_lines, nginx, traces, uvicorn
from targets.workload.columns import Columns
from targets.workload.shown import printable

SAMPLE_BYTES = 64 << 10

READERS: dict[str, Callable[[bytes, tuple[str, ...]], Columns]] = {
    "nginx combined": nginx.read,
    "uvicorn": uvicorn.read,
    "JSON lines": json_lines.read,
    "Azure LLM inference trace": traces.azure,
    "BurstGPT trace": traces.burstgpt,
    "Mooncake trace": traces.mooncake,
}
KNOWN = (
    "nginx combined, uvicorn, JSON lines with path and status, "
    "the Azure LLM inference, BurstGPT and Mooncake traces; plain or gzip"
)


@dataclass(frozen=True)
class Format:
    """`header` is the first line of a CSV trace, split. `relative`: its times count from the trace's start."""

    name: str
    header: tuple[str, ...] = ()

    @property
    def trace(self) -> bool:
        return self.name.endswith("trace")

    @property
    def relative(self) -> bool:
        return self.name in ("BurstGPT trace", "Mooncake trace")

    def read(self, block: bytes) -> Columns:
        return READERS[self.name](block, self.header)


def detect(block: bytes, path: Path) -> Format | None:
    """The format in which most of the first lines are requests; None for an empty block. UsageError names the known."""
    sample = block[:SAMPLE_BYTES]
    sample = sample[: sample.rfind(b"\n") + 1] or block[: block.find(b"\n") + 1]
    lines = [line for line in sample.split(b"\n") if line.strip()]
    if not lines:
        return None
    header = tuple(name.strip() for name in lines[0].decode("utf-8", "replace").split(","))
    if header == traces.AZURE_HEADER:
        return Format("Azure LLM inference trace", header)
    if set(traces.BURSTGPT_COLUMNS) <= set(header):
        return Format("BurstGPT trace", header)
    if _is_mooncake(lines):
        return Format("Mooncake trace")
    found = {name: READERS[name](sample, ()).requests for name in ("nginx combined", "uvicorn", "JSON lines")}
    best = max(found, key=lambda name: found[name])
    if not found[best]:
        first = printable(lines[0], 80)
        raise UsageError(f'{path}: its first lines are in no known format (line 1: "{first}"); known are {KNOWN}')
    return Format(best)


def _is_mooncake(lines: list[bytes]) -> bool:
    for line in lines[:20]:
        try:
            row = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            return {"timestamp", "input_length", "output_length"} <= set(row)
    return False
