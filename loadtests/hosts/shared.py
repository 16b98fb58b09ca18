"""A place that every host and the master reach: a directory that all have mounted, or a bucket; whatever pyarrow opens by
its URI. On it lie pieces of files that only grow, PLACE/<run>/<rank>/<kind>/<offset>-<SHA-256 of the piece>.

The name says what the object must be, so one that was cut off in the middle of its writing is known as such, by
whoever finds it and on every kind of file system.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pyarrow.fs

from loadtests.hosts.shipping import Piece
from measurements.errors import UsageError
from measurements.redaction import Redactor, of_environment

# known secrets are out of these; out of logs and raw headers not yet
PLACED = ("samples", "tokens", "errors", "examples")
TRIAL = "trial"
OBJECT_BYTES = 4 << 20
OPTION = "--rows-to"
CREDENTIALS = "credentials come from the environment, as AWS_ACCESS_KEY_ID or a role does, and never stand in the URI"
SECRET_PARAMETER = re.compile(r"(?i)key|secret|token|passw|credential|sas|sig")
NAME = re.compile(r"([0-9]{20})-([0-9a-f]{64})")
RUN = re.compile(r"[A-Za-z0-9-]{1,100}")


def parse(text: str) -> str:
    """A URI, or an absolute path of a directory. What has credentials in it is refused, and not said again."""
    if "://" not in text:
        return str(Path(text).absolute())
    try:
        parts = urlsplit(text)
        named = parts.username is not None
        secret = parts.password is not None or (named and parts.scheme == "s3")
    except ValueError as error:
        raise UsageError(f"{OPTION}: that is no URI ({error}); write one like s3://bucket/prefix") from error
    if secret:
        raise UsageError(f"{OPTION}: take what stands before the @ out of the URI: {CREDENTIALS}")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if SECRET_PARAMETER.search(name) or "@" in value:
            raise UsageError(f"{OPTION}: take the parameter {name[:40]!r} out of the URI: {CREDENTIALS}")
    return text


@dataclass(frozen=True)
class Laid:
    """An object at the place: `size` bytes of a file, from `offset` on."""

    rank: int
    kind: str
    offset: int
    size: int
    digest: str

    @property
    def end(self) -> int:
        return self.offset + self.size

    def as_message(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_message(cls, said: dict[str, Any]) -> Laid:
        """ValueError where it cannot be one of ours."""
        rank, kind, offset, size, digest = (said[key] for key in ("rank", "kind", "offset", "size", "digest"))
        numbers = all(type(number) is int and number >= 0 for number in (rank, offset, size))
        if not numbers or kind not in (*PLACED, TRIAL) or not 0 < size <= OBJECT_BYTES:
            raise ValueError("no object of ours")
        if not isinstance(digest, str) or not NAME.fullmatch(f"{offset:020d}-{digest}"):
            raise ValueError("no name of ours")
        return cls(rank, kind, offset, size, digest)


class Damaged(Exception):
    """What lies there is not what its name says."""


class Place:
    """Everything here waits for the place, so it is called in threads. Raises OSError where the place fails, else `Damaged`."""

    def __init__(self, system: pa.fs.FileSystem, base: str, run: str) -> None:
        if not RUN.fullmatch(run):
            raise UsageError("the name of the run is none that Plimsoll gives; nothing is laid at the shared place")
        self._system, self._run = system, f"{base.rstrip('/')}/{run}"

    @classmethod
    def at(cls, uri: str, run: str) -> Place:
        """UsageError where pyarrow knows no such kind of place; the place itself need not answer yet."""
        try:
            system, base = pa.fs.FileSystem.from_uri(_frugal(parse(uri)))
            if not base.strip("/"):
                raise ValueError("it names no bucket and no folder")
        except (OSError, ValueError, NotImplementedError, ImportError) as error:
            raise UsageError(
                f"{OPTION} {uri} cannot be opened ({said(error)}); name a directory that every host has mounted, or a URI that "
                "pyarrow takes: s3://bucket/prefix, gs://, abfs://, hdfs://, file:///"
            ) from error
        return cls(system, base, run)

    def put(self, rank: int, kind: str, offset: int, data: bytes) -> Laid:
        laid = Laid(rank, kind, offset, len(data), hashlib.sha256(data).hexdigest())
        path = self._path(laid)
        with _as_os_error():
            try:
                stream = self._system.open_output_stream(path)
            except FileNotFoundError:  # a file system with folders
                self._system.create_dir(path.rpartition("/")[0], recursive=True)
                stream = self._system.open_output_stream(path)
            with stream:
                stream.write(data)
        return laid

    def get(self, laid: Laid) -> bytes:
        with _as_os_error(), self._system.open_input_stream(self._path(laid)) as stream:
            data: bytes = stream.read(laid.size + 1)
        if len(data) != laid.size or hashlib.sha256(data).hexdigest() != laid.digest:
            raise Damaged(f"{self._path(laid)} is damaged ({len(data):,} bytes)")
        return data

    def try_out(self, rank: int) -> Laid:
        return self.put(rank, TRIAL, 0, secrets.token_bytes(16))

    def knows_the_run(self) -> bool:
        """Whether the master's own trial lies there: else it is another place, one that is not mounted, or all is removed."""
        return bool(self.laid(0, TRIAL))

    def laid(self, rank: int, kind: str) -> list[Laid]:
        """What lies there of one file, by offset; foreign names are passed over."""
        folder = f"{self._run}/{rank}/{kind}"
        with _as_os_error():
            there = self._system.get_file_info(pa.fs.FileSelector(folder, allow_not_found=True))
        found = []
        for info in there:
            name = NAME.fullmatch(info.base_name)
            if name and info.is_file and 0 < info.size <= OBJECT_BYTES:
                found.append(Laid(rank, kind, int(name[1]), info.size, name[2]))
        return sorted(found, key=lambda one: (one.offset, one.size))

    def remove(self) -> None:
        """All of this run."""
        with _as_os_error():
            if self._system.get_file_info(self._run).type is not pa.fs.FileType.NotFound:
                self._system.delete_dir(self._run)

    def _path(self, laid: Laid) -> str:
        return f"{self._run}/{laid.rank}/{laid.kind}/{laid.offset:020d}-{laid.digest}"


def bring(place: Place, rank: int, kind: str, size: int, take: Callable[[Piece], int]) -> list[str]:
    """Gives `take` what continues a file of `size` bytes, up to the first gap; returns what was damaged, a sentence each."""
    damaged = []
    for one in place.laid(rank, kind):
        if one.offset <= size < one.end:
            try:
                size = take(Piece(rank, kind, one.offset, place.get(one)))
            except Damaged as error:
                damaged.append(str(error))
    return damaged


def said(error: BaseException) -> str:
    """The first line of it, without secrets: libraries put whole stacks of causes into one."""
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
    before, aws, reason = text.partition("AWS Error ")  # before it stands the whole key
    return Redactor(of_environment())((aws + reason if aws else before)[:300])


def _frugal(uri: str) -> str:
    """S3: an object of ours is one request, not the three of an upload in parts."""
    if not uri.startswith("s3://") or "allow_delayed_open=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}allow_delayed_open=true"


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        if isinstance(error, OSError):
            raise
        raise OSError(str(error)) from error
