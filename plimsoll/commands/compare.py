"""plimsoll compare"""

from __future__ import annotations

import json
from pathlib import Path

from measurements.rundir import RunDirectory


def compare(first: Path, second: Path, lang: str, as_json: bool) -> None:
    from reports import comparison

    older, newer = RunDirectory.open(first), RunDirectory.open(second)
    if "profile" in {run.read_json("run.json").get("kind") for run in (older, newer)}:
        _profiles(older, newer, as_json)
        return
    document = comparison.compare(older, newer)
    path = newer.write_text(f"compare-{older.identity}.html", comparison.page(document, lang))
    print(
        json.dumps(document, ensure_ascii=False)
        if as_json
        else "\n".join([*comparison.lines(document, lang), str(path)])
    )


def _profiles(older: RunDirectory, newer: RunDirectory, as_json: bool) -> None:
    """Two CPU captures: which functions a request costs more or less of, beyond what sampling alone would show."""
    from profiles import compared, sentences

    document = compared.compare(older.path, newer.path)
    path = newer.write_text(f"profiles/compare-{older.identity}.svg", document.pop("svg"))
    print(
        json.dumps(document, ensure_ascii=False)
        if as_json
        else "\n".join([*sentences.compared(document), f"flame graph of the difference: {path}"])
    )
