"""Records block pools for `make prove-gate` and evaluates gates drawn from them.

    python -m tests.prove.gate_pools record times --pieces 1          one recording more for that pool
    python -m tests.prove.gate_pools evaluate [--write]               the table; into docs/accuracy.md

The service is the embedded kakao, its policy search answered from its cache. In the pool `times` every version has
1.5 ms of CPU time planted in each answer, so that an answer takes some 2 ms (of less the host's own jitter is a tenth),
and two versions 5 and 10 % of the service time more. In the pool `resources` answers take half a millisecond, and others
wait 20 % longer, need 20 % more CPU and hold 30 % more memory. All versions run at once; each request goes to all of them
in turn within the same moment.
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
POOLS = {name: ROOT / "tests" / "prove" / f"gate_pool_{name}.json" for name in ("times", "resources")}
MARKS = "<!-- prove-gate -->", "<!-- /prove-gate -->"
BUSY = 0.5
PLANNED, FLOOR, ALPHA = 24, 0.03, 0.05
EQUAL = ("equal-1", "equal-2")
BASE_CPU_MS = {"times": 1.5, "resources": 0.0}  # in all versions, and with it what carries a planted slowdown
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
    words.add_argument("pool", choices=tuple(POOLS), nargs="?", default="times")
    words.add_argument("--seconds", type=float, default=80)
    words.add_argument("--pieces", type=int, default=1)
    words.add_argument("--gates", type=int, default=400)
    words.add_argument("--write", action="store_true")
    given = words.parse_args()
    pools = read()
    if given.what == "record":
        pieces, path = pools[given.pool], POOLS[given.pool]
        for _ in range(given.pieces):
            pieces.append(record(given.pool, given.seconds, dict(pieces[0].planted) if pieces else None))
            document = {"machine": machine(), "pieces": [piece.as_json() for piece in pieces]}
            path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
        print(f"{sum(len(p.blocks) for p in pieces)} blocks in {len(pieces)} pieces in {path}")
        return 0
    rows, drawn = evaluate(pools, given.gates)
    print("\n".join(table(rows)))
    if given.write:
        publish(rows, drawn, pools)
    return 0


def read() -> dict[str, list[Piece]]:
    """Every pool that has been recorded."""
    return {
        name: [Piece.from_json(one) for one in json.loads(path.read_text(encoding="utf-8"))["pieces"]] if path.is_file() else []
        for name, path in POOLS.items()
    }  # fmt: skip


def record(pool: str, seconds: float, planted: dict[str, Any] | None) -> Piece:
    """Starts everything afresh, records, stops everything. What is planted is sized by a pilot in the first piece."""
    folder = Path(tempfile.mkdtemp(prefix="gate-pool-"))
    contract = parse(CONTRACT, folder / "contract.toml")
    cpus = place(1, True).target
    planted = planted or _sized(pool, folder, contract, cpus)
    base = {"planted_cpu_ms": BASE_CPU_MS[pool]}
    with ExitStack() as stack:
        pair = Pair()
        for name in EQUAL:
            _start(stack, pair, contract, folder, cpus, name, base)
        for name, settings in planted.items():
            if name != "about":
                _start(stack, pair, contract, folder, cpus, name, base | settings)
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


def _sized(pool: str, folder: Path, contract: Contract, cpus: list[int]) -> dict[str, Any]:
    """Version → settings that slow it by the share in its name: of what equal versions need under the very load."""
    base_ms = BASE_CPU_MS[pool]
    with ExitStack() as stack:
        pair = Pair()
        labels = [f"sizing-{k}" for k in range(4)]
        for name in labels:
            _start(stack, pair, contract, folder, cpus, name, {"planted_cpu_ms": base_ms})
        rates = [40.0]
        for _ in range(2):  # the second at the rate that the first one says is half a core
            total = len(labels) * rates[-1]
            stages = [Stage("warmup", 4.0, total, total, warmup=True), Stage("pilot", 6.0, total, total)]
            run = _run(contract, pair, folder, stages, 2)
            [(_, _, _, sides)] = gate_blocks.versions(run.directory, labels, {"search": 10.0})
            cpu_s = float(np.median([side.figures["all", "cpu_s_per_request"] for side in sides]))
            rates.append(min(120.0, BUSY / (len(labels) * cpu_s)))
    service_ms = float(np.median([side.figures["search", "service_mean_ms"] for side in sides]))
    rss = float(np.median([side.figures["all", "peak_memory_mib"] for side in sides]))
    slower: dict[str, Any] = {
        "times": {
            "slower-5": {"planted_cpu_ms": base_ms + 0.05 * service_ms},
            "slower-10": {"planted_cpu_ms": base_ms + 0.10 * service_ms},
        },
        "resources": {
            "waits-20": {"planted_delay_ms": 0.20 * service_ms},
            "cpu-20-memory-30": {"planted_cpu_ms": base_ms + 200 * cpu_s, "planted_memory_mib": 0.30 * rss},
        },
    }
    about = {"service_ms": service_ms, "cpu_s_per_request": cpu_s, "rss_mib": rss, "rate_rps": rates[-1],
             "block_s": 1.02 * P95_NEEDS / rates[-1]}  # fmt: skip
    return slower[pool] | {"about": about}


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


def evaluate(pools: dict[str, list[Piece]], gates: int) -> tuple[list[dict[str, Any]], dict[str, Drawn]]:
    """Rows of the table, and what each case drew."""
    rules = Rules(FLOOR, ALPHA, TIMES, "neutral", True)
    wait = replace(rules, primaries=(("search", "mean_ms"), ("search", "p50_ms")))
    cpu = replace(rules, primaries=(("all", "cpu_s_per_request"),))
    memory = replace(rules, primaries=(("all", "peak_memory_mib"),))
    cases = (
        ("equal versions", "times", EQUAL, rules),
        ("+5 % service time", "times", ("slower-5",), rules),
        ("+10 % service time", "times", ("slower-10",), rules),
        ("+20 % delay", "resources", ("waits-20",), wait),
        ("+20 % CPU", "resources", ("cpu-20-memory-30",), cpu),
        ("+30 % memory", "resources", ("cpu-20-memory-30",), memory),
    )
    rows: list[dict[str, Any]] = []
    drawn: dict[str, Drawn] = {}
    for seed, (name, pool, new, by) in enumerate(cases):
        found = drawn[name] = draw(pools[pool], EQUAL, new, by, "search", PLANNED, gates, seed)
        if not found.gates:
            continue
        unsure = found.verdicts[Verdict.BLIND] + found.verdicts[Verdict.INCONCLUSIVE]
        counts = [("FAIL", found.verdicts[Verdict.FAIL]), ("PASS", found.verdicts[Verdict.PASS])]
        counts.append(("BLIND or INCONCLUSIVE", unsure))
        ratios = sorted(found.ratios)
        seen = ratios[len(ratios) // 2] - 1 if new != EQUAL else None
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


def publish(rows: list[dict[str, Any]], drawn: dict[str, Drawn], pools: dict[str, list[Piece]]) -> None:
    page = ROOT / "docs" / "accuracy.md"
    head, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    tail = rest.partition(MARKS[1])[2]
    where = json.loads(POOLS["times"].read_text(encoding="utf-8"))["machine"]
    about = [
        f"Machine: {where}. Planned look at {PLANNED} blocks of {P95_NEEDS} requests, floor {FLOOR:.0%}, α {ALPHA:g}.",
        "",
    ]
    for name, pieces in pools.items():
        if pieces:
            blocks, seen = sum(len(p.blocks) for p in pieces), pieces[0].planted["about"]
            about.append(
                f"- pool `{name}`: {blocks} blocks in {len(pieces)} recordings, {seen['rate_rps']:.0f} requests/s and version, "
                f"{seen['service_ms']:.2f} ms of service and {1e3 * seen['cpu_s_per_request']:.2f} ms of CPU a request"
            )
    text = "\n".join([*about, "", *table(rows)])
    page.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{tail}", encoding="utf-8")
    equal = [round(ratio, 5) for ratio in drawn["equal versions"].ratios]
    write({"machine": where, "at": datetime.now(UTC).date().isoformat(), "figures": rows, "equal": {"ratios": equal}})


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
