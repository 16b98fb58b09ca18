"""Files that only grow, on their way to another host by offset: what was sent twice is written once, what is missing is
sent again. No clock, no network: `Shipper` says what is to be sent, `Store` writes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from loadtests.recorder import sidecar
from loadtests.timing_notes import SUFFIX
from measurements.rundir import RunDirectory

PIECE_BYTES = 256 << 10
WINDOW_BYTES = 4 << 20  # of one file, sent and not acknowledged: a broken line must not fill the queue
NEWS = "news"

Where = Callable[[RunDirectory, int], Path]
KINDS: dict[str, Where] = {
    "samples": lambda run, rank: run.journal_path("samples", rank),
    "tokens": lambda run, rank: run.journal_path("tokens", rank),
    "errors": lambda run, rank: sidecar(run, "errors", rank),
    "examples": lambda run, rank: sidecar(run, "examples", rank),
    "timings": lambda run, rank: sidecar(run, "timings", rank).with_suffix(SUFFIX),
    "log": lambda run, rank: run.path / f"load-{rank:03d}.log",
    NEWS: lambda run, rank: run.path / f"news-{rank:03d}.jsonl",  # what a load process says, a line each
}


@dataclass(frozen=True)
class Piece:
    rank: int
    kind: str
    offset: int
    data: bytes


class Shipper:
    """The sender's side for the load processes `ranks` of a run directory."""

    def __init__(self, run: RunDirectory, ranks: Collection[int]) -> None:
        self._paths = {(rank, kind): where(run, rank) for rank in ranks for kind, where in KINDS.items()}
        self._sent = dict.fromkeys(self._paths, 0)
        self._there = dict.fromkeys(self._paths, 0)

    def due(self, kinds: Collection[str] = tuple(KINDS)) -> Iterator[Piece]:
        """What has been written and not been sent yet, as far as the window allows; one piece of each file in turn."""
        more = True
        while more:
            more = False
            for key, path in self._paths.items():
                if key[1] not in kinds:
                    continue
                offset = self._sent[key]
                if offset - self._there[key] >= WINDOW_BYTES or size_of(path) <= offset:
                    continue
                with path.open("rb") as file:
                    file.seek(offset)
                    data = file.read(PIECE_BYTES)
                self._sent[key] = offset + len(data)
                more = True
                yield Piece(*key, offset, data)

    def acknowledge(self, rank: int, kind: str, size: int) -> None:
        """The other side has `size` bytes of the file."""
        key = (rank, kind)
        if key in self._there and self._there[key] < size <= size_of(self._paths[key]):
            self._there[key] = size
            self._sent[key] = max(self._sent[key], size)

    def again(self) -> None:
        """Nothing was acknowledged for a while: what is open counts as not sent."""
        self._sent = dict(self._there)

    @property
    def open_bytes(self) -> int:
        return sum(size_of(path) - self._there[key] for key, path in self._paths.items())

    def sizes(self) -> list[tuple[int, str, int]]:
        """(rank, kind, bytes) of every file there is."""
        return [(rank, kind, size_of(path)) for (rank, kind), path in self._paths.items() if size_of(path)]


class Store:
    """The receiver's side. Paths are made from numbers and known kinds alone."""

    def __init__(self, run: RunDirectory, news: Callable[[int, bytes], None]) -> None:
        self._run, self._news = run, news
        self._files: dict[tuple[int, str], IO[bytes]] = {}
        self._size: dict[tuple[int, str], int] = {}
        self._cut: dict[int, bytes] = {}

    def take(self, piece: Piece) -> int:
        """Appends what is new of a piece; returns the size of the file afterwards. A gap is left to be sent again."""
        key = (piece.rank, piece.kind)
        size = self._size.get(key, 0)
        fresh = piece.data[size - piece.offset :] if piece.offset <= size else b""
        if not fresh:
            return size
        if piece.kind == NEWS:
            *lines, self._cut[piece.rank] = (self._cut.get(piece.rank, b"") + fresh).split(b"\n")
            for line in lines:
                self._news(piece.rank, line)
        else:
            if key not in self._files:
                self._files[key] = KINDS[piece.kind](self._run, piece.rank).open("xb", buffering=0)
            self._files[key].write(fresh)
        self._size[key] = size + len(fresh)
        return self._size[key]

    def size(self, rank: int, kind: str) -> int:
        return self._size.get((rank, kind), 0)

    def has(self, rank: int, kind: str, size: int) -> bool:
        return self.size(rank, kind) == size

    def settle(self, ranks: Collection[int]) -> None:
        """What came from these load processes is on the disk."""
        for (rank, _), file in self._files.items():
            if rank in ranks:
                os.fsync(file.fileno())

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
