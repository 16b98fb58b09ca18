"""plimsoll compare"""

from __future__ import annotations

import json
from pathlib import Path

from measurements.rundir import RunDirectory


def compare(first: Path, second: Path, lang: str, as_json: bool) -> None:
    from reports import comparison

    older, newer = RunDirectory.open(first), RunDirectory.open(second)
    document = comparison.compare(older, newer)
    path = newer.write_text(f"compare-{older.identity}.html", comparison.page(document, lang))
    print(
        json.dumps(document, ensure_ascii=False)
        if as_json
        else "\n".join([*comparison.lines(document, lang), str(path)])
    )
