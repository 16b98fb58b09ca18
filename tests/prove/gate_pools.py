"""Records block pools for `make prove-gate` and evaluates gates drawn from them.

    python -m tests.prove.gate_pools record FILE --pieces 3                    appended to FILE
    python -m tests.prove.gate_pools evaluate FILE [--write]                   the table; into docs/accuracy.md

The service is the embedded kakao, its policy search answered from its cache (some 1 to 2 ms of CPU a request: a block of
400 requests is then short). Several instances run at once, two of them equal, the others slower by a planted delay, CPU
time or memory of known size; each request goes to all of them in turn within the same moment.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gate import blocks as gate_blocks
from benchmarks.gate.accuracy import figure, write
from benchmarks.gate.judging import Verdict
from benchmarks.gate.metrics import P95_NEEDS
from benchmarks.gate.pools import Drawn, Piece, draw
from benchmarks.gate.rules import Pair as Named
from benchmarks.gate.rules import Rules
from loadtests.arrivals import Process, Stage
from measurements import host
from plimsoll.measure import Run, measure
from plimsoll.pair import Pair
from plimsoll.placement import place
from plimsoll.spec import Spec
from targets.contract import Contract
from targets.contract_file import parse
from targets.control import Deployment

ROOT = Path(__file__).parents[2]
POOL = ROOT / "tests" / "prove" / "gate_pools.json"
MARKS = "<!-- prove-gate -->", "<!-- /prove-gate -->"
BUSY, VERSIONS = 0.5, 6
PLANNED, FLOOR, ALPHA = 24, 0.03, 0.05
EQUAL = ("equal-1", "equal-2")
NOTHING = {"planted_delay_ms": 0.0}  # what carries a planted slowdown is in all versions
QUOTED = ("equal versions", "+5 % service time", "+10 % service time")
TIMES: tuple[Named, ...] = (
    ("search", "mean_ms"), ("search", "p50_ms"), ("search", "p95_ms"), ("all", "cpu_s_per_request"), ("all", "error_rate"),
)  # fmt: skip
CONTRACT: dict[str, Any] = {
    "target": {
        "name": "kakao",
        "base_url": "http://127.0.0.1:8000",
        "control": {
            "start": "plimsoll serve kakao --port {port} --upstream {llm_url}",
            "needs": [{"name": "llm", "start": "plimsoll serve llm --port {port}"}],
        },
    },
    "endpoint": [
        {"name": "search", "kind": "search", "path": "/api/v1/policies/search", "query": {"q": "광고성 메시지", "k": 5},
         "timeout_s": 10, "expect": {"json_path": "$.policies[0].text"}}
    ],
}  # fmt: skip


def main() -> int:
    words = argparse.ArgumentParser(prog="gate_pools")
    words.add_argument("what", choices=("record", "evaluate"))
    words.add_argument("file", type=Path, nargs="?", default=POOL)
    words.add_argument("--seconds", type=float, default=50)
    words.add_argument("--pieces", type=int, default=1)
    words.add_argument("--gates", type=int, default=400)
    words.add_argument("--write", action="store_true")
    given = words.parse_args()
    pieces = (
        [Piece.from_json(one) for one in json.loads(given.file.read_text())["pieces"]] if given.file.is_file() else []
    )
    if given.what == "record":
        for _ in range(given.pieces):
            pieces.append(record(given.seconds, dict(pieces[0].planted) if pieces else None))
            pool = {"machine": machine(), "pieces": [piece.as_json() for piece in pieces]}
            given.file.write_text(json.dumps(pool, ensure_ascii=False), encoding="utf-8")
        print(f"{sum(len(p.blocks) for p in pieces)} blocks in {len(pieces)} pieces in {given.file}")
        return 0
    rows, drawn = evaluate(pieces, given.gates)
    print("\n".join(table(rows)))
    if given.write:
        publish(rows, drawn, json.loads(given.file.read_text())["machine"], pieces)
    return 0


def record(seconds: float, planted: dict[str, Any] | None) -> Piece:
    """Starts everything afresh, records, stops everything. What is planted is sized by a pilot in the first piece."""
    folder = Path(tempfile.mkdtemp(prefix="gate-pool-"))
    contract = parse(CONTRACT, folder / "contract.toml")
    cpus = place(1, True).target
    planted = planted or _sized(folder, contract, cpus)
    with ExitStack() as stack:
        pair = Pair()
        for name in EQUAL:
            _start(stack, pair, contract, folder, cpus, name, NOTHING)
        for name, settings in planted.items():
            if name != "about":
                _start(stack, pair, contract, folder, cpus, name, settings)
        labels, about = list(pair.roots), planted["about"]
        rate, block_s = about["rate_rps"], about["block_s"]
        total = rate * len(labels)
        stages = [Stage("warmup", 5.0, total, total, warmup=True)]
        stages += [Stage(f"block-{k + 1:03d}", block_s, total, total) for k in range(max(2, int(seconds / block_s)))]
        run = _run(contract, pair, folder, stages, 3 + int.from_bytes(os.urandom(2)))
    found = gate_blocks.versions(run.directory, labels, {"search": 10.0})
    invalid = [check["sentence"] for check in run.validity["checks"] if check["state"] == "invalid"]
    print(f"{rate:.0f} requests/s and version, {len(found)} blocks of {block_s:.1f} s; "
          f"void: {[why for _, _, why, _ in found if why]}; INVALID: {invalid}", flush=True)  # fmt: skip
    kept = [_only(sides) for _, _, why, sides in found if not why]
    return Piece(labels, kept, datetime.now(UTC).isoformat(timespec="seconds"), planted)


def _sized(folder: Path, contract: Contract, cpus: list[int]) -> dict[str, Any]:
    """Version → settings that slow it by the share in its name: of what equal versions need under the very load."""
    with ExitStack() as stack:
        pair = Pair()
        labels = [f"sizing-{k}" for k in range(VERSIONS)]
        for name in labels:
            _start(stack, pair, contract, folder, cpus, name, NOTHING)
        rates = [40.0]
        for _ in range(2):  # the second at the rate that the first one says is half a core
            total = VERSIONS * rates[-1]
            stages = [Stage("warmup", 4.0, total, total, warmup=True), Stage("pilot", 6.0, total, total)]
            run = _run(contract, pair, folder, stages, 2)
            [(_, _, _, sides)] = gate_blocks.versions(run.directory, labels, {"search": 10.0})
            cpu_s = float(np.median([side.figures["all", "cpu_s_per_request"] for side in sides]))
            rates.append(min(120.0, BUSY / (VERSIONS * cpu_s)))
    service_ms = float(np.median([side.figures["search", "service_mean_ms"] for side in sides]))
    rss = float(np.median([side.figures["all", "peak_memory_mib"] for side in sides]))
    return {
        "slower-5": {"planted_cpu_ms": 0.05 * service_ms},
        "slower-10": {"planted_cpu_ms": 0.10 * service_ms},
        "waits-20": {"planted_delay_ms": 0.20 * service_ms},
        "cpu-20-memory-30": {"planted_cpu_ms": 200 * cpu_s, "planted_memory_mib": 0.30 * rss},
        "about": {"service_ms": service_ms, "cpu_s_per_request": cpu_s, "rss_mib": rss, "rate_rps": rates[-1],
                  "block_s": 1.02 * P95_NEEDS / rates[-1]},
    }  # fmt: skip


def _only(sides: list[gate_blocks.Side]) -> list[gate_blocks.Side]:
    """The figures that are judged, to five digits: a pool is a file that is kept."""
    wanted = {*TIMES, ("all", "peak_memory_mib")}
    return [
        replace(s, figures={pair: float(f"{v:.5g}") for pair, v in s.figures.items() if pair in wanted}) for s in sides
    ]


def _start(
    stack: ExitStack, pair: Pair, contract: Contract, folder: Path, cpus: list[int], name: str, settings: dict[str, float]
) -> None:  # fmt: skip
    control = contract.target.control
    assert control is not None
    changed = control.model_copy(
        update={"start": control.start + "".join(f" --set {k}={v:.4f}" for k, v in settings.items())}
    )
    if pair.needs:  # the emulated LLM is asked once, then the cache answers: one will do
        llm = f"http://127.0.0.1:{pair.needs['port'][0]}"
        changed = changed.model_copy(update={"start": changed.start.replace("{llm_url}", llm), "needs": []})
    one = contract.model_copy(update={"target": contract.target.model_copy(update={"control": changed})})
    one._folder = contract.folder
    logs = folder / name
    logs.mkdir()
    deployment = stack.enter_context(Deployment(one, logs, cpus=cpus))
    if not pair.needs:
        pair.needs = {"port": [int(deployment.needs["llm"].rpartition(":")[2])]}
    pair.urls.append(deployment.base_urls[0])
    pair.roots[name] = deployment.roots["target"]


def _run(contract: Contract, pair: Pair, folder: Path, stages: list[Stage], seed: int) -> Run:
    spec = Spec(contract=contract, out=folder, name="pool", planned=tuple(stages), process=Process("constant"), pair=pair,
                seed=seed, rate_rps=stages[-1].start_rps, duration_s=1.0)  # fmt: skip
    return measure(spec)


# ---------------------------------------------------------------------- what gates drawn from it say


def evaluate(pieces: list[Piece], gates: int) -> tuple[list[dict[str, Any]], dict[str, Drawn]]:
    """Rows of the table, and what each case drew."""
    rules = Rules(FLOOR, ALPHA, TIMES, "neutral", True)
    cpu = replace(rules, primaries=(("all", "cpu_s_per_request"),))
    memory = replace(rules, primaries=(("all", "peak_memory_mib"),))
    cases = (
        ("equal versions", EQUAL, EQUAL, rules, "A/A"),
        ("+5 % service time", EQUAL, ("slower-5",), rules, "slower"),
        ("+10 % service time", EQUAL, ("slower-10",), rules, "slower"),
        ("+20 % delay", EQUAL, ("waits-20",), rules, "slower"),
        ("+20 % CPU", EQUAL, ("cpu-20-memory-30",), cpu, "slower"),
        ("+30 % memory", EQUAL, ("cpu-20-memory-30",), memory, "slower"),
    )
    rows: list[dict[str, Any]] = []
    drawn: dict[str, Drawn] = {}
    for seed, (name, base, new, by, kind) in enumerate(cases):
        found = drawn[name] = draw(pieces, base, new, by, "search", PLANNED, gates, seed)
        if not found.gates:
            continue
        unsure = found.verdicts[Verdict.BLIND] + found.verdicts[Verdict.INCONCLUSIVE]
        counts = [("FAIL", found.verdicts[Verdict.FAIL]), ("PASS", found.verdicts[Verdict.PASS])]
        counts.append(("BLIND or INCONCLUSIVE", unsure))
        ratios = sorted(found.ratios)
        seen = ratios[len(ratios) // 2] - 1 if kind == "slower" else None
        for what, hits in counts:
            row = figure(name, what, hits, found.gates, quoted=what == "FAIL" and name in QUOTED)
            rows.append(row | {"disjoint": found.disjoint, "seen": seen})
    return rows, drawn


def table(rows: list[dict[str, Any]]) -> list[str]:
    heads = ("planted", "verdict", "share", "95 % interval", "gates drawn", "of these disjoint", "change seen (median)")
    lines = ["| " + " | ".join(heads) + " |", "|---|---|---:|---|---:|---:|---:|"]
    for row in rows:
        low, high = row["ci95"]
        seen = f"{row['seen']:+.1%}" if row["seen"] is not None else ""
        cells = (
            row["case"],
            row["what"],
            f"{row['share']:.1%}",
            f"{low:.1%} – {high:.1%}",
            row["gates"],
            row["disjoint"],
            seen,
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def machine() -> str:
    found = host.fingerprint()
    return f"{found['cpu_model']}, {found['cores']} cores, {found['kernel']}"


def publish(rows: list[dict[str, Any]], drawn: dict[str, Drawn], where: str, pieces: list[Piece]) -> None:
    page = ROOT / "docs" / "accuracy.md"
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition(MARKS[0])
    tail = rest.partition(MARKS[1])[2]
    blocks = sum(len(p.blocks) for p in pieces)
    about = (
        f"{blocks} blocks in {len(pieces)} recordings on: {where}. Planned look at {PLANNED} blocks, floor {FLOOR:.0%}."
    )
    page.write_text(f"{head}{MARKS[0]}\n{about}\n\n" + "\n".join(table(rows)) + f"\n{MARKS[1]}{tail}", encoding="utf-8")
    equal = [round(ratio, 5) for ratio in drawn["equal versions"].ratios]
    at = datetime.now(UTC).date().isoformat()
    write({"machine": where, "at": at, "figures": rows, "equal": {"ratios": equal}})


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
