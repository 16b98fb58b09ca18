"""Is this a finished run? Its documents are there, its rows add up, and nothing but this machine's load made it INVALID."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from measurements.rundir import RunDirectory

MACHINE = {
    "generator_added",
    "generator_reading",
    "generator_cpu",
    "clock",
}  # a shared runner that was too busy says nothing about the code


def problems(path: Path) -> list[str]:
    """A sentence each; empty when all is well."""
    run = RunDirectory.open(path)
    found = [
        f"{name} is missing"
        for name in ("summary.json", "validity.json", "report.html", "plan.json")
        if not run.has(name)
    ]
    if found:
        return found
    summary, validity = run.read_json("summary.json"), run.read_json("validity.json")
    entries = [summary["all"], *summary["endpoints"].values()]
    entries += [entry for stage in summary["stages"] for entry in (stage["all"], *stage["endpoints"].values())]
    found += [f"{sum(e['outcomes'].values())} outcomes in an entry of {e['count']}" for e in entries
              if sum(e["outcomes"].values()) != e["count"]]  # fmt: skip
    if summary["all"]["count"] != sum(entry["count"] for entry in summary["endpoints"].values()):
        found.append("the endpoints' rows do not add up to the mix")
    table = run.table("samples", ["seq"]).to_pydict()["seq"]
    rows, counted = sum(seq >= 0 for seq in table), sum(stage["all"]["count"] for stage in summary["stages"])
    if rows != counted or not rows:
        found.append(f"{rows} rows on disk, {counted} in the stages")
    invalid = [check for check in validity["checks"] if check["state"] == "invalid"]
    found += [check["sentence"] for check in invalid if check["check"] not in MACHINE]
    if summary["exit_code"] not in (0, 3):
        found.append(f"the run ended with exit code {summary['exit_code']}")
    if summary["ended"] != "completed":
        found.append(f"the run ended as {summary['ended']!r}")
    for check in invalid:
        print(f"ci: INVALID on this machine: {check['sentence']}")
    print(f"ci: {path}: {rows} rows, {summary['all']['count']} counted, exit code {summary['exit_code']}")
    return found


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print("\n".join(f"ci: {json.dumps(sentence, ensure_ascii=False)}" for sentence in wrong), end="\n" if wrong else "")
    sys.exit(bool(wrong))
