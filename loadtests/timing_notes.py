"""`Server-Timing` headers as they came, beside the rows: read when the run is over, so that nobody waits for that.

Of fast services a sample: looking costs a fifth of a percent of a core at most, however many answers come.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

MOST_LOOKS = 500  # a second
MOST_BYTES = 4_096
NAME = b"\r\nserver-timing:"
SUFFIX = ".timing"


class TimingNotes:
    """`take` looks into one answer's head; a line per header is written at `flush`: seq, step, value."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._lines: list[bytes] = []
        self._looks = 0
        self.stride = 1

    def take(self, head: bytes, seq: int, step: int) -> int:
        """Returns after how many answers to look again."""
        self._looks += 1
        head = head[: head.find(b"\r\n\r\n") + 2]
        found, at = [], -1
        lower = head.lower()
        while (at := lower.find(NAME, at + 1)) >= 0:
            start = at + len(NAME)
            found.append(head[start : head.find(b"\r\n", start)].strip())
        if found:
            value = b", ".join(found)
            if len(value) <= MOST_BYTES:
                self._lines.append(b"%d %d %b\n" % (seq, step, value.replace(b"\n", b" ")))
        return self.stride

    def flush(self) -> None:
        """Once a second. A disk that is full costs these notes, and the rows say so themselves."""
        if self._looks > MOST_LOOKS:
            self.stride *= 2
        self._looks = 0
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            if self._file is None:
                self._file = self._path.open("ab")
            self._file.write(b"".join(lines))
            self._file.flush()
        except OSError:
            self._lines.clear()

    def close(self) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()


def noted(folder: Path) -> list[tuple[int, int, int, str]]:
    """(worker, seq, step, header) of all load processes of a run; the last line of a killed one may be cut."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        worker = int(path.stem.rpartition("-")[2])
        for line in path.read_bytes().splitlines():
            seq, _, rest = line.partition(b" ")
            step, _, header = rest.partition(b" ")
            if seq.isdigit() and step.isdigit():
                found.append((worker, int(seq), int(step), header.decode("latin-1")))
    return found


def forget(folder: Path) -> None:
    for path in folder.glob(f"*{SUFFIX}"):
        path.unlink()
