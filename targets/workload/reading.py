"""Files to a `Reading`: blocks are parsed by several processes and merged in their order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from measurements.errors import UsageError
from targets.workload import workers
from targets.workload.blocks import Block, LogFile
from targets.workload.columns import KEPT_EXAMPLES, Skipped
from targets.workload.formats import Format, detect
from targets.workload.merged import Merged
from targets.workload.paths import Endpoints
from targets.workload.shown import printable
from targets.workload.tally import Tally, tally

BLOCKS_AHEAD = 6

Progress = Callable[[int, int, int], None]  # bytes read, bytes in all (0: unknown), lines so far


@dataclass
class FileRead:
    """What one file gave. `lines` are those that are not blank; `damage` is empty for a sound file."""

    path: Path
    format: Format
    gzipped: bool = False
    line_breaks: int = 0
    lines: int = 0
    requests: int = 0
    skipped: int = 0
    damage: str = ""


@dataclass
class Reading:
    files: list[FileRead]
    merged: Merged
    examples: list[tuple[Path, Skipped]]

    @property
    def trace(self) -> bool:
        return self.files[0].format.trace

    @property
    def relative(self) -> bool:
        return self.files[0].format.relative


def read(paths: list[Path], progress: Progress = lambda *_: None, processes: int | None = None) -> Reading:
    """Reads every file once. UsageError for what cannot be read at all; broken lines are counted and skipped."""
    total = sum(path.stat().st_size for path in paths if path.is_file())
    reading = Reading([], Merged(), [])
    pool = workers.pool(processes or workers.suggested(paths))
    waiting: deque[tuple[FileRead, Block, Future[Tally] | Tally]] = deque()
    read_bytes = 0

    def advanced(count: int) -> None:
        nonlocal read_bytes
        read_bytes += count

    def take() -> None:
        file, block, made = waiting.popleft()
        _add(reading, file, block, made.result() if isinstance(made, Future) else made)
        progress(read_bytes, total, reading.merged.lines)

    try:
        for file, block in _blocks(paths, reading.files, advanced):
            made = pool.submit(_tallied, file.format, block.data) if pool else _tallied(file.format, block.data)
            waiting.append((file, block, made))
            if pool is None or len(waiting) > BLOCKS_AHEAD:
                take()
        while waiting:
            take()
    except BrokenProcessPool as error:
        raise UsageError(
            "a process that reads the logs was ended from outside (out of memory?); read fewer files at once"
        ) from error
    finally:
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
    return _checked(reading, paths)


def _blocks(
    paths: list[Path], files: list[FileRead], advanced: Callable[[int], None]
) -> Iterator[tuple[FileRead, Block]]:
    for path in paths:
        log, entry = LogFile(path), None
        before: list[Skipped] = []
        for block in log.blocks(advanced):
            if entry is None:
                found = detect(block.data, path)
                before += block.too_long[: KEPT_EXAMPLES - len(before)]
                if found is None:
                    continue
                entry = FileRead(path, found, log.gzipped)
                files.append(entry)
                yield entry, replace(block, too_long=before)
            else:
                yield entry, block
        if entry is None:
            what = log.damage or ("it holds overlong lines only" if before else "it is empty")
            raise UsageError(f"{printable(str(path), 200)}: {what}; there is no request to read")
        entry.damage = log.damage


_known = Endpoints()  # a cache of this process: what the same heads gave in earlier blocks


def _tallied(format_: Format, data: bytes) -> Tally:
    return tally(format_.read(data), _known)


def _add(reading: Reading, file: FileRead, block: Block, made: Tally) -> None:
    found = sorted([*block.too_long, *made.examples], key=lambda example: example.line)
    for example in found[: KEPT_EXAMPLES - len(reading.examples)]:
        reading.examples.append((file.path, replace(example, line=example.line + file.line_breaks)))
    file.line_breaks += made.line_breaks
    file.lines += made.lines + len(block.too_long)
    file.requests += made.requests
    file.skipped += made.skipped + len(block.too_long)
    reading.merged.add(made)


def _checked(reading: Reading, paths: list[Path]) -> Reading:
    named = ", ".join(printable(str(path), 200) for path in paths)
    if not reading.merged.requests:
        raise UsageError(f"{named}: no line is a request")
    formats = [file.format for file in reading.files]
    if len({(f.trace, f.relative) for f in formats}) > 1:
        raise UsageError(
            f"{named}: access logs, dated traces and traces with relative times are read apart; name one kind at a time"
        )
    return reading
