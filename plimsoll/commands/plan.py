"""plimsoll plan"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from measurements.errors import Exit
from plimsoll import planning
from plimsoll.planning import Wish


def plan(run_dirs: list[Path], wish: Wish, out: Path | None, lang: str, as_json: bool) -> None:
    from reports.render import render
    from reports.terminal import summary_lines

    made = planning.make(run_dirs, wish, datetime.now(UTC).date())
    written = planning.write(made, out)
    report = render(made.home, lang)
    if out is not None:
        report = Path(shutil.copy(report, out / report.name))
    if as_json:
        print(json.dumps(made.document, ensure_ascii=False))
    else:
        home = made.home
        said = summary_lines(
            home.read_json("summary.json"), home.read_json("validity.json"), made.document, report, lang
        )
        cost = planning.money_line(made.document)
        said += [f"Money: {cost}"] if cost else []
        then = "" if made.only_refusals else f"; try it with: plimsoll verify {written.parent}"
        print("\n".join([*said, *planning.lines(made), f"Plan: {written}{then}"]))
    raise SystemExit(int(Exit.INVALID if made.only_refusals else Exit.OK))
