"""What plans predict against what the same machine then measures, on services that two cores can carry.

    python -m tests.prove.predictions all [--write]             everything, one case after another
    python -m tests.prove.predictions measure queue_llm         one case: the run that the plan rests on, and the plan
    python -m tests.prove.predictions verify queue_llm 2        one case: the change with this number in its plan
    python -m tests.prove.predictions table [--write]           of what has been measured; into docs/accuracy.md

A case is a contract in tests/prove/capacity. Everything goes through the command line as a user would type it: `run`,
`plan`, `verify`. What comes out is kept below runs/prove-capacity; a case that is measured again begins anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.published import written
from targets.process import die_with_parent

ROOT = Path(__file__).parents[2]
CONTRACTS = Path(__file__).parent / "capacity"
KEPT = ROOT / "runs" / "prove-capacity"
PLIMSOLL = Path(sys.executable).with_name("plimsoll")
PROBE_USERS, PROBE_S, BEYOND = 12, 25, 1.6
WITHIN, COVERED, HALF_WIDTH = 0.10, 0.8, 0.15
HEADINGS = ("case", "binds", "change", "predicted (90 %)", "measured (repeats)", "error", "half-width", "inside", "by")


@dataclass(frozen=True)
class Case:
    """`peak_rps`: the last of ten steps of the run that the plan rests on, well beyond where the service breaks; `seconds`:
    of all steps together, so that a queue settles within each; `trial_s`: what `verify` may take for
    a change, long enough that a queue beyond the edge is seen; `search_s`: of the search for the line that the plan rests on
    too, where requests are so short that a search finds it.

    A real engine (`engine`) is as fast as its core, so its peak is found: 1.6 times what a closed loop gets."""

    name: str
    peak_rps: float | None
    seconds: float
    trial_s: int = 60
    engine: bool = False
    search_s: int = 0

    @property
    def folder(self) -> Path:
        return KEPT / self.name


CASES = (
    Case("queue_llm", 85, 160, 150, search_s=120),
    Case("stream_llm", 56, 200, 150, search_s=120),
    Case("upstream_encar", 16, 400, 180),
    Case("engine_encar", None, 300, 200, engine=True, search_s=150),
    Case("engine_pool", None, 450, 300, engine=True),
    Case("queue_alaw", 46, 240, 240),
    Case("queue_short", 52, 300, 290),
)


def main() -> int:
    words = argparse.ArgumentParser(prog="predictions")
    words.add_argument("what", choices=("all", "measure", "verify", "table"))
    words.add_argument("case", nargs="?", choices=[case.name for case in CASES])
    words.add_argument("change", nargs="?", type=int)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--write", action="store_true")
    given = words.parse_args()
    chosen = [case for case in CASES if given.case in (None, case.name)]
    for case in chosen if given.what != "table" else ():
        if case.engine and not _engine_is_there():
            print(
                f"{case.name}: left out, the real engine is not set up (plimsoll serve llm --engine transformers --setup)"
            )
            continue
        if given.what in ("all", "measure"):
            measure(case, given.seed)
        if given.what in ("all", "verify"):
            for number in range(len(changes(case))) if given.change is None else [given.change - 1]:
                verify(case, number, given.seed)
    rows = [row for case in CASES for row in rows_of(case)]
    print(table(rows))
    if given.write:
        written(ROOT / "docs" / "accuracy.md", "prove-capacity", table(rows))
    return 0


def measure(case: Case, seed: int) -> None:
    """Ten rising steps, a search where that helps, and the plan that rests on them."""
    shutil.rmtree(case.folder, ignore_errors=True)
    _plimsoll(
        "run", CONTRACTS / f"{case.name}.toml", "--start", "--shape", "breakpoint", "--rate", case.peak_rps or _peak_rps(case),
        "--duration", case.seconds, "--warmup", 3, "--seed", seed, "--out", case.folder, "--quiet",
    )  # fmt: skip
    runs = [(case.folder / "latest").resolve()]
    if case.search_s:
        _plimsoll(
            "search", CONTRACTS / f"{case.name}.toml", "--start", "--budget", case.search_s, "--seed", seed,
            "--out", case.folder, "--quiet",
        )  # fmt: skip
        runs.append((case.folder / "latest").resolve())
    _plimsoll("plan", *runs, "--json")
    for one in plan(case)["predictions"]:
        span = one["capacity_rps"]
        said = f"{span['mid']:.4g} ({span['low']:.4g} to {span['high']:.4g})" if span else one["refusal"]["reason"]
        print(f"{case.name}: {one['what']}: {said}", flush=True)


def _peak_rps(case: Case) -> float:
    said = _plimsoll(
        "run", CONTRACTS / f"{case.name}.toml", "--start", "--users", PROBE_USERS, "--duration", PROBE_S, "--warmup", 5,
        "--out", case.folder / "probe", "--json",
    )  # fmt: skip
    return round(BEYOND * float(json.loads(said)["achieved_rps"]), 2)


def verify(case: Case, number: int, seed: int) -> None:
    found = changes(case)
    if number >= len(found):
        print(f"{case.name}: its plan predicts {len(found)} changes; there is no number {number + 1}")
        return
    what = found[number]["what"]
    print(f"{case.name}: trying {what}", flush=True)
    said = _plimsoll(
        "verify",
        case.folder / "latest",
        "--only",
        what,
        "--budget",
        case.trial_s,
        "--seed",
        seed + 100 * number,
        "--json",
    )
    if said:
        (case.folder / f"verified-{number + 1}.json").write_text(said, encoding="utf-8")


def plan(case: Case) -> dict[str, Any]:
    path = case.folder / "latest" / "plan.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def changes(case: Case) -> list[Mapping[str, Any]]:
    """Predictions that are numbers, of something that is changed."""
    return [
        one for one in plan(case).get("predictions", []) if one["capacity_rps"] and any(one["change"].values())
    ]  # fmt: skip


@dataclass(frozen=True)
class Row:
    cells: tuple[str, ...]
    error: float | None = None
    half_width: float | None = None
    inside: bool | None = None


def rows_of(case: Case) -> list[Row]:
    """One per change: what became of it, or why there is no number."""
    document = plan(case)
    found = []
    binds = (document.get("bottleneck") or {}).get("kind", "")
    for one in document.get("predictions", []):
        if one["capacity_rps"] is None:
            found.append(Row((case.name, binds, one["what"], f"refused: {one['refusal']['reason']}", *[""] * 5)))
    if document and not document.get("predictions"):
        why = next((one["reason"] for one in document["refusals"]), "the plan predicts nothing")
        found.append(Row((case.name, binds, "any", f"refused: {why}", *[""] * 5)))
    for number, one in enumerate(changes(case), 1):
        path = case.folder / f"verified-{number}.json"
        if not path.is_file():
            continue
        test = json.loads(path.read_text(encoding="utf-8"))["tests"][0]
        found.append(_row(case.name, binds, one, test))
    return found


def _row(case: str, binds: str, one: Mapping[str, Any], test: Mapping[str, Any]) -> Row:
    span, measured = one["capacity_rps"], test["measured"]
    what = one["what"].removeprefix("capacity with ")
    predicted = f"{span['mid']:.1f} ({span['low']:.1f} to {span['high']:.1f})"
    half = (span["high"] - span["low"]) / 2 / span["mid"]
    if measured is None and (bounds := _bounds(test)):
        inside = {True: "yes", False: "no", None: "undecided"}[test["within"]]
        return Row(
            (case, binds, what, predicted, bounds, "", f"{half:.0%}", inside, one["model"]), None, half, test["within"]
        )
    if measured is None:
        return Row((case, binds, what, predicted, f"not tested: {test['note']}", "", f"{half:.0%}", "", one["model"]))
    error = span["mid"] / measured - 1
    repeats = ", ".join(f"{value:.1f}" for value in test["repeats"])
    cells = (
        case, binds, what, predicted, f"{measured:.1f} ({repeats})", f"{error:+.1%}", f"{half:.0%}",
        "yes" if test["within"] else "no", one["model"],
    )  # fmt: skip
    return Row(cells, abs(error), half, bool(test["within"]))


def _bounds(test: Mapping[str, Any]) -> str:
    """Of a line that was not crossed; empty where there is none."""
    ends = (("at least", test.get("at_least")), ("at most", test.get("at_most")))
    return ", ".join(f"{word} {value:.1f}" for word, value in ends if value is not None)


def table(rows: list[Row]) -> str:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|---|---|---|---:|---:|---|---|"]
    lines += ["| " + " | ".join(row.cells) + " |" for row in rows]
    tried = [row for row in rows if row.half_width is not None]
    if tried:
        errors = [row.error for row in tried if row.error is not None]
        decided = [row.inside for row in tried if row.inside is not None]
        near, inside = sum(error <= WITHIN for error in errors), sum(decided)
        width = float(np.median([row.half_width for row in tried if row.half_width is not None]))
        bounded = len(tried) - len(errors)
        beside = f" Of {bounded} only a bound is known, which has no error." if bounded else ""
        lines += [
            "",
            f"{len(tried)} predictions were tried. Of {len(errors)} that were measured, {near} came within {WITHIN:.0%}; of "
            f"{len(decided)} that are decided, {inside} lay in their 90 % interval; the median half-width is {width:.0%}.{beside} "
            f"Asked for: all within {WITHIN:.0%}, {COVERED:.0%} of the intervals, at most {HALF_WIDTH:.0%}.",
        ]
    measured = {row.cells[0] for row in rows}
    missing = [case.name for case in CASES if case.name not in measured]
    if missing:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    return "\n".join(lines)


def _plimsoll(*words: object) -> str:
    """Standard output; 0, 1 (an SLO was missed) and 3 (nothing to be said) are answers, anything else ends it here."""
    environment = {**os.environ}
    if _engine_is_there():
        from targets.reference.llm import transformers_engine

        environment["PLIMSOLL_ENGINE_MODEL"] = str(transformers_engine.model())
    command = [str(PLIMSOLL), *map(str, words)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False, preexec_fn=die_with_parent
    )  # fmt: skip
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def _engine_is_there() -> bool:
    from targets.reference.llm import transformers_engine

    return transformers_engine.is_ready()


if __name__ == "__main__":
    raise SystemExit(main())
