"""`make prove-gate`: records the block pool piece by piece, and evaluates gates from it.

python -m tests.prove.gate_pools record                   one recording more, --pieces 2: two
python -m tests.prove.gate_pools evaluate [--write]      the table; into docs/accuracy.md
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gate.accuracy import figure, write
from benchmarks.gate.judging import Verdict
from benchmarks.gate.metrics import P95_NEEDS
from benchmarks.gate.pools import Gate, Piece, apart, evaluate
from benchmarks.gate.rules import Rules, looks
from measurements import host
from tests.prove.gate_recording import KEPT, record

ROOT = Path(__file__).parents[2]
POOL = ROOT / "tests" / "prove" / "gate_pool.json"
MARKS = "<!-- prove-gate -->", "<!-- /prove-gate -->"
PLANNED, FLOOR, ALPHA = 20, 0.03, 0.05
RULES = Rules(FLOOR, ALPHA, KEPT[:5], "neutral", True)
CASES = (
    ("equal versions", "equal", RULES),
    ("+5 % service time", "slower-5", RULES),
    ("+10 % service time", "slower-10", RULES),
    ("+20 % delay", "waits-20", replace(RULES, primaries=(("search", "mean_ms"), ("search", "p50_ms")))),
    ("+20 % CPU", "cpu-20-memory-30", replace(RULES, primaries=(("all", "cpu_s_per_request"),))),
    ("+30 % memory", "cpu-20-memory-30", replace(RULES, primaries=(("all", "peak_memory_mib"),))),
)
QUOTED = ("equal versions", "+5 % service time", "+10 % service time")


def main() -> int:
    words = argparse.ArgumentParser(prog="gate_pools")
    words.add_argument("what", choices=("record", "evaluate"))
    words.add_argument("--parts", type=int, default=3, help="of each piece, five blocks each")
    words.add_argument("--pieces", type=int, default=1)
    words.add_argument("--write", action="store_true")
    given = words.parse_args()
    pieces = read()
    if given.what == "record":
        for _ in range(given.pieces):
            pieces.append(record(given.parts, pieces[0].planted if pieces else None))
            document = {"machine": machine(), "pieces": [piece.as_json() for piece in pieces]}
            POOL.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
        print(f"{sum(len(p.blocks) for p in pieces)} blocks in {len(pieces)} pieces in {POOL}")
        return 0
    found = gates(pieces)
    rows = figures(found)
    print("\n".join(table(rows)))
    if given.write:
        publish(rows, found, pieces)
    return 0


def read() -> list[Piece]:
    """What has been recorded so far."""
    if not POOL.is_file():
        return []
    return [Piece.from_json(one) for one in json.loads(POOL.read_text(encoding="utf-8"))["pieces"]]


def gates(pieces: list[Piece]) -> dict[str, list[Gate]]:
    return {name: evaluate(pieces, "equal", kind, rules, "search", PLANNED) for name, kind, rules in CASES}


def figures(found: dict[str, list[Gate]]) -> list[dict[str, Any]]:
    """A row per case and verdict that is asked about; `apart`: of the gates that share nothing with one another."""
    rows: list[dict[str, Any]] = []
    for name, all_gates in found.items():
        if not all_gates:
            continue
        alone = apart(all_gates)
        changes = sorted(gate.change for gate in all_gates if gate.change is not None)
        for what, states in (
            ("FAIL", (Verdict.FAIL,)), ("PASS", (Verdict.PASS,)), ("BLIND or INCONCLUSIVE", (Verdict.BLIND, Verdict.INCONCLUSIVE)),
        ):  # fmt: skip
            hits, few = (sum(gate.verdict in states for gate in some) for some in (all_gates, alone))
            row = figure(name, what, hits, len(all_gates), quoted=what == "FAIL" and name in QUOTED)
            rows.append(row | {"apart": figure(name, what, few, len(alone)), "seen": changes[len(changes) // 2] - 1})
    return rows


def table(rows: list[dict[str, Any]]) -> list[str]:
    heads = ("planted", "verdict", "share", "95 % interval", "of gates", "interval of those that share nothing", "of gates",
             "median change seen")  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|---|---|---:|---|---:|---|---:|---:|"]
    for row in rows:
        cells = [row["case"], row["what"], f"{row['share']:.1%}"]
        for one in (row, row["apart"]):
            cells += ["{:.1%} – {:.1%}".format(*one["ci95"]), str(one["gates"])]
        lines.append("| " + " | ".join([*cells, f"{row['seen']:+.1%}"]) + " |")
    return lines


def machine() -> str:
    found = host.fingerprint()
    return f"{found['cpu_model']}, {found['cores']} cores, {found['kernel']}"


def publish(rows: list[dict[str, Any]], found: dict[str, list[Gate]], pieces: list[Piece]) -> None:
    page = ROOT / "docs" / "accuracy.md"
    head, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    tail = rest.partition(MARKS[1])[2]
    where, about = json.loads(POOL.read_text(encoding="utf-8"))["machine"], pieces[0].planted["about"]
    blocks = sum(len(piece.blocks) for piece in pieces)
    ends = ", ".join(str(look.blocks) for look in looks(PLANNED))
    text = [
        f"Machine: {where}. {blocks} blocks of {about['block_s']:.1f} s, recordings: {len(pieces)}; "
        f"{about['rate_rps']:.0f} requests/s and version, {about['service_ms']:.2f} ms of service and "
        f"{1e3 * about['cpu_s_per_request']:.2f} ms of CPU a request. A gate: looks at {ends} blocks of {P95_NEEDS} requests "
        f"for each version, as three minutes hold at 50 requests/s; floor {FLOOR:.0%}, α {ALPHA:g}.",
        "",
    ]
    text += table(rows)
    page.write_text("\n".join([f"{head}{MARKS[0]}", *text, f"{MARKS[1]}{tail}"]), encoding="utf-8")
    equal = [round(gate.change, 5) for gate in found["equal versions"] if gate.change]
    write({"machine": where, "at": datetime.now(UTC).date().isoformat(), "figures": rows, "equal": {"ratios": equal}})


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
