"""Rows that hosts had laid at the shared place of a run whose master is gone, brought home before the run is finished."""

from __future__ import annotations

import sys
from typing import Any

from loadtests.hosts.shared import PLACED, Place, bring, said
from loadtests.hosts.shipping import KINDS, Piece, size_of
from measurements.errors import TargetUnreachable
from measurements.rundir import RunDirectory


class Homecoming:
    """`take` before the run is finished, `clear` when it is."""

    def __init__(self, run: RunDirectory, place: Place, document: dict[str, Any]) -> None:
        self._run, self._place, self._document = run, place, document

    @classmethod
    def of(cls, run: RunDirectory, document: dict[str, Any]) -> Homecoming | None:
        """None where no row can be missing here: no shared place, a host's own part, or the run was complete."""
        rows_to = document.get("rows_to")
        if not rows_to or "ranks" in document or rows_to.get("kept") is False:
            return None
        if any((run.path / "samples").glob("worker-*.parquet")):  # it was being finished
            return None
        return cls(run, Place.at(rows_to["uri"], document["run"]), document)

    def take(self) -> None:
        damaged = []
        try:
            if not self._place.knows_the_run():
                raise FileNotFoundError("nothing of this run lies there")
            for rank in range(self._document["schedule"]["workers"]):
                for kind in PLACED:
                    damaged += bring(self._place, rank, kind, size_of(KINDS[kind](self._run, rank)), self._append)
        except OSError as error:
            raise TargetUnreachable(
                f"the rows that hosts laid at {self._uri} cannot be brought here ({said(error)}); make it reachable and repeat, "
                f"or finish the run without them: plimsoll recover {self._run.path} --without-place"
            ) from error
        if damaged:
            self._document["rows_to"].setdefault("said", []).extend(damaged)

    def _append(self, piece: Piece) -> int:
        path = KINDS[piece.kind](self._run, piece.rank)
        with path.open("ab") as file:
            file.write(piece.data[file.tell() - piece.offset :])
            return file.tell()

    def clear(self) -> None:
        """What is home needs no copy. A host that still lays rows there is too late for this run."""
        try:
            self._place.remove()
        except OSError as error:
            print(
                f"the objects at {self._uri} could not be removed ({said(error)}); the run needs them no more",
                file=sys.stderr,
            )

    @property
    def _uri(self) -> str:
        return str(self._document["rows_to"]["uri"])
