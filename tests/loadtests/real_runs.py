"""Real runs against scripted servers: a contract from a few words, a finished run, its rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import Scripted

from measurements.rundir import RunDirectory
from plimsoll.measure import Run, measure
from plimsoll.spec import Spec
from targets.contract import Contract
from targets.contract_file import parse


@dataclass
class Visited:
    """A finished run with its rows, and the server that it went to."""

    run: Run
    rows: list[dict[str, Any]]
    server: Scripted

    def of(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["endpoint"] == name]


def contract(
    url: str | list[str], endpoints: list[dict[str, Any]], folder: Path | None = None, **sections: Any
) -> Contract:
    target = {"name": "scripted", "base_url": url, **sections.pop("target", {})}
    return parse({"target": target, "endpoint": endpoints, **sections}, (folder or Path.cwd()) / "scripted.toml")


def run(made: Contract, out: Path, **words: Any) -> Run:
    """Short by default: constant arrivals, one seed."""
    return measure(Spec(contract=made, out=out, **{"seed": 1, "duration_s": 1.0, **words}))


def rows(directory: RunDirectory) -> list[dict[str, Any]]:
    return sorted(directory.table("samples").to_pylist(), key=lambda row: (row["seq"], row["step"]))


def checks(made: Run) -> dict[str, str]:
    return {check["check"]: check["state"] for check in made.validity["checks"]}


def everything(folder: Path) -> bytes:
    """The bytes of all files below a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
