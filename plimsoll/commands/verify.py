"""plimsoll verify: a plan is frozen, then tried here, and what came of it goes on record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measurements.errors import Exit, FormatError, InvalidMeasurement, UsageError
from measurements.rundir import RunDirectory
from plimsoll import planning
from reports import wording

MOST_S = 86_400.0

if TYPE_CHECKING:
    from plimsoll.tryout import Frozen


def verify(plan_dir: Path, budget_s: float, seed: int, only: str | None, lang: str, as_json: bool, quiet: bool) -> None:
    from capacity import judgement
    from plimsoll.tryout import LEAST_S, now, try_out
    from reports.render import render

    wording.Words(lang)
    if not LEAST_S <= budget_s <= MOST_S:
        raise UsageError(
            f"--budget {budget_s:g}: a trial takes {LEAST_S:g} s of load, so give that or more, up to a day"
        )
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed {seed}: give a whole number from 0 to 2^63 - 1")
    frozen = freeze(plan_dir)
    tried = try_out(frozen, budget_s, seed, quiet or as_json, only)
    document = judgement.verification(frozen.sha256, tried.tests) | {"at": now(), "seed": seed}
    for folder in {frozen.folder.resolve(), frozen.home.path.resolve()}:
        RunDirectory(folder).write_json("verification.json", document)
    append(frozen.ledger, tried.entries)
    render(frozen.home, lang)
    if as_json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        print("\n".join(lines(document, len(tried.entries), frozen)))
    ends = {"HELD": Exit.OK, "MISSED": Exit.SLO_MISSED, "NOT_TESTABLE": Exit.INVALID, "UNDECIDED": Exit.UNSURE}
    raise SystemExit(int(Exit.INTERRUPTED if tried.interrupted else ends[document["verdict"]]))


def freeze(plan_dir: Path) -> Frozen:
    """Reads and hashes the plan before anything is tried; whoever changes it later cannot claim this test."""
    from capacity.judgement import plan_sha256
    from plimsoll.tryout import Frozen

    path = plan_dir / "plan.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        home = plan_dir if plan_dir.is_dir() else "review"
        raise UsageError(
            f"{plan_dir} has no plan.json; make one with: plimsoll plan RUN_DIR --demand RPS --out {home}"
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); mend that, then again") from error
    except ValueError as error:
        raise FormatError(f"{path} is damaged ({error}); plan again") from error
    if not isinstance(document, dict):
        raise FormatError(f"{path} is damaged (not a JSON object); plan again")
    if "predictions" not in document and (refusals := document.get("refusals")):
        raise InvalidMeasurement(
            f"{path} predicts nothing that could be tried: {refusals[0]['reason']}; {refusals[0]['remedy']}"
        )
    rests_on = document.get("rests_on") or []
    if not rests_on or "predictions" not in document:
        raise UsageError(
            f"{path} does not say which run it rests on; plan again: plimsoll plan RUN_DIR --out {plan_dir}"
        )
    home = Path(rests_on[-1]["path"])
    if not home.is_dir() and (plan_dir / "run.json").is_file():
        home = plan_dir  # the folder was moved as a whole
    return Frozen(document, plan_sha256(document), plan_dir, RunDirectory.open(home))


def append(ledger: Path, entries: Sequence[Any]) -> None:
    if entries:
        with ledger.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(entry.as_json(), ensure_ascii=False) + "\n" for entry in entries))


def lines(document: Mapping[str, Any], entries: int, frozen: Frozen) -> list[str]:
    """Predicted beside measured, a line each."""
    capacities = [test for test in document["tests"] if test["factor"] is None]
    factors = [test for test in document["tests"] if test["factor"] is not None]
    tried = [test for test in capacities if test["within"] is not None]
    held = sum(test["within"] for test in tried)
    said = [f"{document['verdict']}: {held} of {len(tried)} predictions held (plan {document['plan_sha256'][:12]})"]
    for test in capacities:
        said.append(f"  {_mark(test)} {test['what']}: {_figures(test)}")
    agree = sum(bool(test["within"]) for test in factors)
    if factors:
        unclear = sum(test["within"] is None for test in factors)
        note = f", {unclear} unclear" if unclear else ""
        said.append(f"  driven at 0.9, 1.0 and 1.15 times each prediction: {agree} of {len(factors)} agree{note}")
    if entries:
        said.append(f"  {entries} added to {planning.shown(frozen.ledger)}; see: plimsoll ledger")
    said.append(f"Report: {planning.shown(frozen.home.path)}/report.html")
    return said


def _mark(test: Mapping[str, Any]) -> str:
    return {True: "held  ", False: "MISSED", None: "  --  "}[test["within"]]


def _figures(test: Mapping[str, Any]) -> str:
    from capacity.figures import figure

    span = test["predicted"]
    measured = f"predicted {figure(span['mid'])} ({figure(span['low'])} to {figure(span['high'])})"
    if test["measured"] is None:
        bounded = test["at_least"] is not None or test["at_most"] is not None
        return f"{measured}, {test['note']}" if bounded else f"not tested; {test['note']}"
    spread = f", repeats {figure(test['repeat_spread'])} apart" if test["repeat_spread"] is not None else ""
    bound = f" ({test['note']})" if test["note"] else ""
    return f"{measured}, measured {figure(test['measured'])}{spread}{bound}"
