"""Log files as blocks of whole lines, plain or gzip, in bounded memory whatever the file holds."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from measurements.errors import UsageError
from targets.workload.columns import Skipped, skipped_line

BLOCK_BYTES = 2 << 20
LONGEST_LINE_BYTES = 1 << 20
GZIP = b"\x1f\x8b"
UTF8_BOM = b"\xef\xbb\xbf"
OTHER_PACKING = {b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip"}


Source = Callable[[int], bytes]  # at most so many bytes, b"" at the end


@dataclass(frozen=True)
class Block:
    """`data` ends with a line break, or is empty. `too_long` lines are left out of it, their line breaks are not."""

    data: bytes
    too_long: list[Skipped] = field(default_factory=list)


class LogFile:
    """One file, read once from its beginning. After the end `damage` says what was wrong with it, if anything."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ""
        self.gzipped = False

    def blocks(self, advanced: Callable[[int], None] = lambda _: None) -> Iterator[Block]:
        """Blocks of about BLOCK_BYTES. `advanced` gets the bytes of the file (as stored) that were read since."""
        try:
            with self.path.open("rb") as raw:
                yield from self._cut(raw, advanced)
        except IsADirectoryError as error:
            raise UsageError(f"{self.path} is a folder; name the log files in it") from error
        except FileNotFoundError as error:
            raise UsageError(f"there is no log {self.path}") from error
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read ({error.strerror or error})") from error

    def _cut(self, raw: io.BufferedReader, advanced: Callable[[int], None]) -> Iterator[Block]:
        magic = raw.peek(8)[:8]
        for start, packing in OTHER_PACKING.items():
            if magic.startswith(start):
                raise UsageError(f"{self.path} is packed with {packing}; unpack it first (gzip and plain are read)")
        self.gzipped = magic.startswith(GZIP)
        counted = cast(BinaryIO, _Counted(raw, advanced))
        source = gzip.GzipFile(fileobj=counted, mode="rb").read1 if self.gzipped else counted.read
        rest, cutting = b"", False
        for piece in self._pieces(source):
            data, rest = (rest + piece, b"") if rest else (piece, b"")
            if cutting:  # inside a line that is being thrown away
                end = data.find(b"\n")
                if end < 0:
                    continue
                data, cutting = data[end:], False  # its line break stays, as a blank line
            whole = data.rfind(b"\n") + 1
            data, rest = data[:whole], data[whole:]
            block = _block(data)
            if len(rest) > LONGEST_LINE_BYTES:
                block.too_long.append(_too_long(data.count(b"\n") + 1, rest))
                rest, cutting = b"", True
            yield block
        if rest:
            yield _block(rest + b"\n")

    def _pieces(self, source: Source) -> Iterator[bytes]:
        """Pieces of about BLOCK_BYTES; damaged gzip data end them, after what was sound."""
        first, parts, size = True, list[bytes](), 0
        while True:
            try:
                part = source(BLOCK_BYTES - size)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                self.damage = f"the gzip data is damaged or cut short ({error}); what came before it was read"
                part = b""
            parts.append(part)
            size += len(part)
            if size >= BLOCK_BYTES or (not part and size):
                piece = b"".join(parts)
                yield piece.removeprefix(UTF8_BOM) if first else piece
                first, parts, size = False, [], 0
            if not part:
                return


class _Counted:
    """A file that tells how far it was read."""

    def __init__(self, raw: io.BufferedReader, advanced: Callable[[int], None]) -> None:
        self._raw, self._advanced = raw, advanced

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._advanced(len(data))
        return data


def _block(data: bytes) -> Block:
    """The block with its overlong lines made blank.

    A line longer than the limit lies over a multiple of the limit: only there is it looked for.
    """
    too_long: list[Skipped] = []
    kept, upto = [], 0
    for place in range(LONGEST_LINE_BYTES, len(data), LONGEST_LINE_BYTES):
        start, end = data.rfind(b"\n", 0, place) + 1, data.find(b"\n", place)
        if place >= upto and end - start > LONGEST_LINE_BYTES:
            too_long.append(_too_long(data.count(b"\n", 0, start) + 1, data[start:end]))
            kept.append(data[upto:start])
            upto = end
    if too_long:
        data = b"".join([*kept, data[upto:]])
    return Block(data, too_long)


def _too_long(line: int, text: bytes) -> Skipped:
    return skipped_line(line, f"longer than {LONGEST_LINE_BYTES >> 20} MiB", text)
