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
            home.read_json("run.json"),
        )  # fmt: skip
        cost = planning.money_line(made.document)
        said += [f"Money: {cost}"] if cost else []
        print(
            "\n".join(
                [
                    *said,
                    *planning.lines(made, written.parent),
                    f"Plan: {written}{_then(made, written.parent, before and out is None)}",
                ]
            )
        )
    raise SystemExit(int(Exit.INVALID if made.only_refusals else Exit.OK))


def _then(made: planning.Made, folder: Path, replaces: bool) -> str:
    """What one does with a plan; `replaces`: another one stood there."""
    said = " (in place of the one before; --out DIR keeps both)" if replaces else ""
    if made.only_refusals:
        return said
    contract = made.home.read_json("run.json").get("contract") or {}
    if (contract.get("target") or {}).get("control"):
        return f"{said}; try it with: plimsoll verify {folder}"
    return f"{said}; plimsoll verify can try it once the contract's [target.control] says how to start the service"
