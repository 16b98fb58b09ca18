"""A run on disk: `runs/<utc-time>-<name>-<id>/` with `runs/latest` pointing at the newest.

Documents are written whole or not at all (a temporary file, then a rename). Samples are journals while the run goes
on and Parquet afterwards; `dataset` reads whichever is there. docs/format.md describes every file.
"""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from measurements import journal
from measurements.errors import FormatError, GeneratorFault, UsageError
from measurements.sample import SAMPLES, SCHEMA_VERSION, TOKENS

SHARDED = {"samples": SAMPLES, "tokens": TOKENS}


class RunDirectory:
    """Paths, documents and shards of one run; `path` exists."""

    def __init__(self, path: Path) -> None:
        self.path = path

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

    def discard_if_empty(self) -> None:
        """Removes a directory that nothing was written into: the run was refused before it began."""
        if self.has("run.json"):
            return
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
        target = self.path / name
        partial = target.with_name(f".{target.name}.partial")
        try:
            with partial.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            raise GeneratorFault(
                f"{target} cannot be written ({error.strerror}); free disk space and repeat"
            ) from error
        return target

    def read_json(self, name: str) -> dict[str, Any]:
        try:
            document = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UsageError(f"{self.path} has no {name}; finish the run with: plimsoll recover {self.path}") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise FormatError(
                f"{self.path / name} is damaged ({error}); finish the run again with: plimsoll recover {self.path}"
            ) from error
        if not isinstance(document, dict):
            raise FormatError(f"{self.path / name} is damaged (not a JSON object); restore it, or run again")
        return document

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def journal_path(self, kind: str, worker: int) -> Path:
        return self.path / kind / f"worker-{worker:03d}{journal.SUFFIX}"

    def finish_shards(self) -> dict[str, list[str]]:
        """Turns every journal into Parquet and removes it. Returns the journals whose end was missing, by kind."""
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
            return pq.read_table(self.path / f"{name}.parquet", columns=columns)
        schema = SHARDED[name] if columns is None else pa.schema([SHARDED[name].field(c) for c in columns])
        tables = [schema.empty_table()]
        for shard in sorted((self.path / name).iterdir()):
            if shard.suffix == ".parquet":
                tables.append(pq.read_table(shard, columns=columns).cast(schema))
            elif shard.suffix == journal.SUFFIX:
                whole = pa.Table.from_batches(journal.batches(shard), SHARDED[name])
                tables.append(whole.select(schema.names))
        return pa.concat_tables(tables).unify_dictionaries()
