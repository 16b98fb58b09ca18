"""What load processes told each second, kept until the run is over and judged."""

from __future__ import annotations

import io
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson


class Seconds:
    """`worker`, `elapsed_s`, `cpu_cores` and `echo_us` of each report, in the order in which they came.

    With a `folder` they lie on its disk, in a file without a name, so that memory stays flat however long the run; where the
    disk is full, and without a folder, in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file: io.FileIO | None = None
        self._held: list[dict[str, Any]] = []
        if folder is not None:
            try:
                self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  it lives as long as this
            except OSError:
                self._file = None

    def append(self, news: dict[str, Any]) -> None:
        kept = {key: news[key] for key in ("worker", "elapsed_s", "cpu_cores")}
        echo_us = list(news.get("echo_us", []))
        if not (self._file is not None and not self._held and _written(self._file, {**kept, "echo_us": echo_us})):
            self._held.append({**kept, "echo_us": array("i", echo_us)})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._file is not None:
            self._file.seek(0)
            reader = io.BufferedReader(self._file)
            try:
                for line in reader:
                    if line.endswith(b"\n"):  # one that a full disk cut off is held in memory
                        yield orjson.loads(line)
            finally:
                reader.detach()
        yield from self._held

    def __iadd__(self, others: Iterable[dict[str, Any]]) -> Seconds:
        for news in others:
            self.append(news)
        return self


def _written(file: io.FileIO, kept: dict[str, Any]) -> bool:
    line = orjson.dumps(kept) + b"\n"
    try:
        file.seek(0, io.SEEK_END)
        return file.write(line) == len(line)
    except OSError:
        return False
