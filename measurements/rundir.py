"""A run on disk: `runs/<utc-time>-<name>-<id>/` with `runs/latest` pointing at the newest.

Documents are written whole or not at all (a temporary file, then a rename). Samples are journals while the run goes
on and Parquet afterwards; `dataset` reads whichever is there. docs/format.md describes every file.
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from measurements import journal
from measurements.errors import FormatError, GeneratorFault, UsageError
from measurements.plain import plain
from measurements.redaction import redacted
from measurements.sample import SAMPLES, SCHEMA_VERSION, TOKENS

SHARDED = {"samples": SAMPLES, "tokens": TOKENS}
FINISHING = ("summary.json", "validity.json")  # what `recover` makes anew from the rows


class RunDirectory:
    """Paths, documents and shards of one run; `path` exists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._locks: list[Callable[[], object]] = []
        self.redact: Callable[[str], str] = lambda text: text  # known secrets, out of whatever is written here

    @classmethod
    def create(cls, out: Path, name: str, now: datetime | None = None) -> "RunDirectory":
        """Makes the directory inside `out`. `latest` points at it from its run.json on: before, there is no run to show."""
        now = now or datetime.now(UTC)
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"
        identity = f"{now:%Y%m%dT%H%M%SZ}-{slug}-{secrets.token_hex(3)}"
        path = out / identity
        try:
            for folder in ("samples", "tokens", "profiles"):
                (path / folder).mkdir(parents=True)
        except OSError as error:
            raise UsageError(f"{path} cannot be made ({error.strerror}); name a writable folder with --out") from error
        return cls(path)

    def hold(self) -> None:
        """The run is being measured until `release`, or the end of this process: `take_over` says no until then."""
        self._lock(fcntl.LOCK_SH)

    def take_over(self, patience_s: float = 5.0) -> None:
        """For `recover`: waits for load processes that still notice that their parent is gone; UsageError where the run
        goes on, or somebody else finishes it."""
        until = time.monotonic() + patience_s
        while not self._lock(fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise UsageError(
                    f"{self.path} is still being measured, or somebody else recovers it; wait for its end, or end it with Ctrl-C"
                )
            time.sleep(0.1)

    def _lock(self, kind: int) -> bool:
        """On the directory itself, so that no file is left; the kernel lets go of it when the process ends."""
        held = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(held, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            return False
        except OSError:
            pass  # a file system without locks
        self._locks.append(weakref.finalize(self, os.close, held))
        return True

    def release(self) -> None:
        """Nobody is at work on it any more."""
        while self._locks:
            self._locks.pop()()

    def discard_if_empty(self) -> None:
        """Removes a directory that nothing was written into: the run was refused before it began."""
        if self.has("run.json"):
            return
        self._remove_partial()
        with contextlib.suppress(OSError):
            for folder in ("samples", "tokens", "profiles", "."):
                (self.path / folder).rmdir()

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run; refuses other folders and other format versions with both versions named."""
        path = path.resolve()
        if not (path / "run.json").is_file():
            raise UsageError(
                f"{path} is not a run directory (no run.json in it); runs lie in runs/, the newest is runs/latest"
            )
        run = cls(path)
        version = run.read_json("run.json").get("schema")
        if version != SCHEMA_VERSION:
            raise FormatError(
                f"{path} has format version {version}; this Plimsoll reads version {SCHEMA_VERSION}: "
                "open it with the Plimsoll that wrote it, or run again"
            )
        return run

    @property
    def identity(self) -> str:
        return self.path.name

    def write_json(self, name: str, document: Mapping[str, Any]) -> Path:
        first = name == "run.json" and not self.has(name)
        path = self.write_text(name, json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
        if first:
            link = self.path.with_name(f".latest-{secrets.token_hex(3)}")
            link.symlink_to(self.identity)
            link.replace(self.path.with_name("latest"))
        return path

    def write_text(self, name: str, text: str) -> Path:
        text = plain(self.redact(text))
        target = self.path / name
        partial = target.with_name(f".{target.name}.partial")
        try:
            with partial.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise GeneratorFault(
                f"{target} cannot be written ({error.strerror}); free disk space, then repeat, or finish a run that measured "
                f"with: plimsoll recover {self.path}"
            ) from error
        return target

    def write_table(self, name: str, table: pa.Table) -> Path:
        """A Parquet file, whole or not at all; known secrets are cut out of its dictionary columns."""
        target = self.path / name
        partial = target.with_name(f".{target.name}.partial")
        try:
            pq.write_table(redacted(table, self.redact), partial, compression="zstd")
            partial.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise GeneratorFault(
                f"{target} cannot be written ({error.strerror or error}); free disk space, then finish the run with: "
                f"plimsoll recover {self.path}"
            ) from error
        return target

    def redact_logs(self) -> None:
        """What services and load processes printed, line by line; a log without secrets stays as it is."""
        for log in self.path.rglob("*.log"):
            partial = log.with_name(f".{log.name}.partial")
            try:
                with log.open(encoding="utf-8", errors="surrogateescape") as lines:
                    if not any(self.redact(line) != line for line in lines):
                        continue
                    lines.seek(0)
                    with partial.open("w", encoding="utf-8", errors="surrogateescape") as file:
                        file.writelines(map(self.redact, lines))
                partial.replace(log)
            except OSError:
                log.unlink(missing_ok=True)  # rather no log than one with secrets in it
                partial.unlink(missing_ok=True)

    def read_json(self, name: str) -> dict[str, Any]:
        try:
            document = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UsageError(f"{self.path} has no {name}; {self._missing(name)}") from error
        except OSError as error:
            raise UsageError(f"{self.path / name} cannot be read ({error.strerror}); mend that, then again") from error
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{self.path / name} is damaged ({error}); {self._remedy(name)}") from error
        if not isinstance(document, dict):
            raise FormatError(f"{self.path / name} is damaged (not a JSON object); {self._remedy(name)}")
        return document

    def _missing(self, name: str) -> str:
        if name == "summary.json" and self.read_json("run.json").get("kind") == "profile":
            return "it is a profile, which has none: name the directory of a run"
        return f"finish the run with: plimsoll recover {self.path}"

    def _remedy(self, name: str) -> str:
        if name in FINISHING:
            return f"finish the run again with: plimsoll recover {self.path}"
        return "restore it from a copy, or run again"

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def _remove_partial(self) -> None:
        """What was half written when its writer was killed, or met a full disk."""
        for path in [*self.path.glob(".*.partial"), *self.path.glob("*/*.partial"), *self.path.glob("*/.*.partial")]:
            with contextlib.suppress(OSError):
                path.unlink()

    def journal_path(self, kind: str, worker: int) -> Path:
        return self.path / kind / f"worker-{worker:03d}{journal.SUFFIX}"

    def finish_shards(self) -> dict[str, list[str]]:
        """Turns every journal into Parquet and removes it. Returns the journals whose end was missing, by kind."""
        self._remove_partial()
        torn: dict[str, list[str]] = {kind: [] for kind in SHARDED}
        for kind, schema in SHARDED.items():
            for source in sorted((self.path / kind).glob(f"*{journal.SUFFIX}")):
                if not journal.is_whole(source):
                    torn[kind].append(source.name)
                journal.to_parquet(source, source.with_suffix(".parquet"), schema)
                source.unlink()
        return torn

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """`samples`, `tokens` (all shards, Parquet or journal) or one Parquet file by its name without ending."""
        if name not in SHARDED:
            return read_parquet(self.path / f"{name}.parquet", columns)
        schema = SHARDED[name] if columns is None else pa.schema([SHARDED[name].field(c) for c in columns])
        tables = [schema.empty_table()]
        for shard in sorted((self.path / name).iterdir()):
            if shard.suffix == ".parquet":
                tables.append(_cast(shard, read_parquet(shard, columns), schema))
            elif shard.suffix == journal.SUFFIX:
                whole = pa.Table.from_batches(journal.batches(shard, SHARDED[name]), SHARDED[name])
                tables.append(whole.select(schema.names))
        return pa.concat_tables(tables).unify_dictionaries()


def read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    """FormatError where the file is damaged, cut off, or lacks a column."""
    try:
        table = pq.read_table(path, columns=columns)
    except FileNotFoundError as error:
        raise FormatError(f"{path} is missing; restore it from a copy, or run again") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if columns and (missing := sorted(set(columns) - set(table.column_names))):
        raise FormatError(f"{path} is damaged (it has no column {', '.join(missing)}); restore it, or run again")
    return table


def _cast(path: Path, table: pa.Table, schema: pa.Schema) -> pa.Table:
    try:
        return table.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> FormatError:
    first = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
    return FormatError(f"{path} is damaged ({first}); restore it from a copy, or run again")
