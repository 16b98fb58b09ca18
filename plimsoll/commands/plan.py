"""plimsoll plan"""

from __future__ import annotations

import json
from pathlib import Path

from measurements.errors import Exit, UsageError
from measurements.rundir import RunDirectory
from plimsoll import observed


def plan(
    run_dirs: list[Path], demand: float | None, users: int | None, growth: str | None, horizon: str | None,
    prices: Path | None, out: Path | None, lang: str, as_json: bool,
) -> None:  # fmt: skip
    from capacity.plan import make_plan
    from reports.render import render
    from reports.terminal import summary_lines

    if demand is not None and demand <= 0:
        raise UsageError(f"--demand {demand:g}: give requests per second above 0")
    for word, given in (("--users", users), ("--growth", growth), ("--horizon", horizon), ("--prices", prices)):
        if given is not None:
            raise UsageError(f"{word} is not built yet; plan for a peak rate with --demand RPS")
    runs = [RunDirectory.open(path) for path in run_dirs]
    documents = [observed.documents(run) for run in runs]
    made = make_plan(documents, demand)
    document = made.as_json()
    home = runs[-1]
    target = home
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "plan.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        path = str(out / "plan.json")
    else:
        target.write_json("plan.json", document)
        path = str(render(home, lang))
    if as_json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        print(
            "\n".join(
                summary_lines(home.read_json("summary.json"), home.read_json("validity.json"), document, path, lang)
            )
        )
    only_refusals = (
        document.get("capacity_rps") is None and not document.get("scale_up") and not document.get("scale_out")
    )
    raise SystemExit(int(Exit.INVALID if only_refusals else Exit.OK))
