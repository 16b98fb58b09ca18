"""plimsoll report"""

from __future__ import annotations

import json
from pathlib import Path

from measurements.rundir import RunDirectory


def report(run_dir: Path, lang: str, as_json: bool) -> None:
    from reports.render import render

    run = RunDirectory.open(run_dir)
    path = render(run, lang)
    print(json.dumps({"report": str(path)}) if as_json else path)
