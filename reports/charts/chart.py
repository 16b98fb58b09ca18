"""What a chart is to the page: two drawings of the same figures, and the figures themselves."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from reports import quantities
from reports.explore import Explorer
from reports.quantities import Formatter

FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Column:
    """`name` is the heading; `formatter` writes its numbers (None: text as it is)."""

    name: str
    formatter: Formatter | None = None

    def show(self, value: Any) -> str:
        if value is None:
            return quantities.NOTHING
        return self.formatter(value) if self.formatter and quantities.is_number(value) else str(value)


@dataclass(frozen=True)
class Table:
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]]

    def written(self) -> list[list[str]]:
        return [[column.show(cell) for column, cell in zip(self.columns, row, strict=True)] for row in self.rows]

    def csv(self) -> str:
        """The figures as they are, unrounded; text that a spreadsheet would take for a formula is defused."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([_defused(column.name) for column in self.columns])
        writer.writerows([["" if cell is None else _defused(cell) for cell in row] for row in self.rows])
        return buffer.getvalue()


def _defused(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


@dataclass(frozen=True)
class Chart:
    """`explorer`: the same lines for a pointer, of charts over time."""

    key: str
    title: str
    note: str
    wide: Markup
    narrow: Markup
    table: Table
    explorer: Explorer | None = None

    @property
    def download(self) -> str:
        """The table as a data: address: a download that needs no server and no script."""
        return "data:text/csv;charset=utf-8," + quote("\ufeff" + self.table.csv(), safe=",")
