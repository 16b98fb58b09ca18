"""What a chart is to the page: two drawings of the same figures, and the figures themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports import quantities
from reports.quantities import Formatter


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


@dataclass(frozen=True)
class Chart:
    key: str
    title: str
    note: str
    wide: Markup
    narrow: Markup
    table: Table
