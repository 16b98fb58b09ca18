"""Tables of many rows that a reader sorts by a press on a column's head; without scripts they stand as they were written.

vendor/sortable-*.min.js is sortable as published (public domain, vendor/sortable-LICENSE.txt): it sorts by `data-sort` of a
cell, rows without a value last, each body of the table by itself.
"""

from importlib.resources import files

SORTABLE = 'class="sortable'
SORTER = "sortable-4.1.7"


def script() -> str:
    """The library, and a button in each head, so that the keyboard reaches it."""
    library = files("reports").joinpath("vendor").joinpath(f"{SORTER}.min.js").read_text(encoding="utf-8").strip()
    own = files("reports").joinpath("templates").joinpath("sorting.js").read_text(encoding="utf-8")
    return f"/* {SORTER}, public domain: https://github.com/tofsjonas/sortable */\n{library}\n{own}"
