"""What load processes told each second, kept until the run is over and judged."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson


class Seconds:
    """`worker`, `elapsed_s`, `cpu_cores` and `echo_us` of each report, in the order in which they came.

    With a `folder` they lie on its disk, in a file without a name, so that memory stays flat however long the run; where the
    disk is full, and without a folder, in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file: IO[bytes] | None = None
        self._held: list[dict[str, Any]] = []
        if folder is not None:
            try:
                self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  it lives as long as this does
            except OSError:
                self._file = None

    def append(self, news: dict[str, Any]) -> None:
        kept = {key: news[key] for key in ("worker", "elapsed_s", "cpu_cores")} | {
            "echo_us": list(news.get("echo_us", []))
        }
        if self._file is not None and not self._held:
            try:
                self._file.seek(0, 2)
                self._file.write(orjson.dumps(kept) + b"\n")
                self._file.flush()
                return
            except OSError:
                pass
        self._held.append({**kept, "echo_us": array("i", kept["echo_us"])})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._file is not None:
            self._file.seek(0)
            for line in self._file:
                if line.endswith(b"\n"):  # one that a full disk cut off is held in memory too
                    yield orjson.loads(line)
        yield from self._held

    def __iadd__(self, others: Iterable[dict[str, Any]]) -> Seconds:
        for news in others:
            self.append(news)
        return self
