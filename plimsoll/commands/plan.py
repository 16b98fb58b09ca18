"""plimsoll plan"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from measurements.errors import Exit
from plimsoll import planning
from plimsoll.planning import Wish
from reports.wording import Words


def plan(run_dirs: list[Path], wish: Wish, out: Path | None, lang: str, as_json: bool) -> None:
    from reports.render import render
    from reports.terminal import summary_lines

    made = planning.make(run_dirs, wish, datetime.now(UTC).date())
    before = made.home.has("plan.json")
    written = planning.write(made, out)
    report = render(made.home, lang)
    if out is not None:
        report = Path(shutil.copy(report, out / report.name))
    if as_json:
        print(json.dumps(made.document, ensure_ascii=False))
    else:
        home = made.home
        said = summary_lines(
            home.read_json("summary.json"), home.read_json("validity.json"), made.document, report, lang,
            home.read_json("run.json"), home.read_json("search.json") if home.has("search.json") else None,
        )  # fmt: skip
        words = Words(lang)
        cost = planning.money_line(made.document, words)
        said += [cost] if cost else []
        said += planning.lines(made, written.parent, words)
        print(
            "\n".join(
                [*said, words("made.plan", path=written) + _then(made, written.parent, before and out is None, words)]
            )
        )
    raise SystemExit(int(Exit.INVALID if made.only_refusals else Exit.OK))


def _then(made: planning.Made, folder: Path, replaces: bool, words: Words) -> str:
    """What one does with a plan; `replaces`: another one stood there."""
    said = words("made.replaces") if replaces else ""
    if made.only_refusals:
        return said
    contract = made.home.read_json("run.json").get("contract") or {}
    can_be_tried = bool((contract.get("target") or {}).get("control"))
    return said + words("made.verify" if can_be_tried else "made.verify_later", folder=folder)
