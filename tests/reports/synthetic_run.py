"""Run directories made from queueing theory instead of a service: same files, same schemas, known content."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from measurements.quantiles import Distribution, distribution
from measurements.rundir import RunDirectory
from measurements.sample import NULL, PACKED, Outcome, batch

ENDPOINTS = {"generate": (0.180, 0.75), "search": (0.012, 0.25)}  # mean service time in s, share of arrivals
SERVERS = 8
TIMEOUT_S = 30.0
SLO = {"generate": {"p95_ms": 3000, "error_rate": 0.05}, "search": {"p95_ms": 300}}


def rows_of(rates: list[float], stage_s: float, seed: int = 7) -> np.ndarray:
    """An M/M/8 with a queue limit of 120 (rejected beyond), over stages of `stage_s` seconds: packed records."""
    random = np.random.default_rng(seed)
    names = list(ENDPOINTS)
    free_at = np.zeros(SERVERS)
    starts: list[float] = []
    records = []
    for stage, rate in enumerate(rates):
        count = random.poisson(rate * stage_s)
        for intended in np.sort(random.uniform(stage * stage_s, (stage + 1) * stage_s, count)):
            endpoint = int(random.random() > ENDPOINTS[names[0]][1])
            record = np.zeros(1, dtype=PACKED)
            for column in ("connect_ns", "first_token_ns", "error_id", "tokens_in", "tokens_out"):
                record[column] = NULL
            sent = intended + random.exponential(0.0002)
            server = int(free_at.argmin())
            starts = [start for start in starts if start > sent]
            service = random.exponential(ENDPOINTS[names[endpoint]][0])
            rejected = len(starts) >= 120
            begin = max(sent, free_at[server])
            done = sent + 0.002 if rejected else begin + service
            if not rejected:
                free_at[server] = done
                starts.append(begin)
            record["seq"], record["stage"], record["endpoint"] = len(records), stage, endpoint
            record["intended_ns"], record["sent_ns"] = intended * 1e9, sent * 1e9
            record["done_ns"], record["first_byte_ns"] = done * 1e9, done * 1e9
            record["status"] = 503 if rejected else 200
            record["outcome"] = Outcome.rejected if rejected else Outcome.ok
            if endpoint == 0 and not rejected:
                record["first_token_ns"], record["tokens_out"] = (begin + service * 0.2) * 1e9, 120
            records.append(record)
    return np.concatenate(records)


def document(found: Distribution) -> dict[str, Any]:
    quantiles = found.quantiles
    return {
        "n": found.n,
        "min": found.minimum,
        "mean": found.mean,
        **{name: quantile.value for name, quantile in quantiles.items()},
        "max": found.maximum,
        "ci95": {name: list(q.ci95) for name, q in quantiles.items() if q.ci95}
        | ({"mean": list(found.mean_ci95)} if found.mean_ci95 else {}),
        "bounds": {name: {"at_least": q.at_least} for name, q in quantiles.items() if q.at_least is not None},
        "n_effective": {name: q.n_effective for name, q in quantiles.items()},
        "method": {name: q.method for name, q in quantiles.items()},
    }


def entry(rows: np.ndarray, duration_s: float) -> dict[str, Any]:
    outcomes = {o.name: int((rows["outcome"] == o).sum()) for o in Outcome if (rows["outcome"] == o).any()}
    ok = outcomes.get("ok", 0)
    timed = rows[rows["outcome"] == Outcome.ok]
    streamed = timed[timed["first_token_ns"] != NULL]
    found = {
        "count": len(rows),
        "ok": ok,
        "success_rate": ok / len(rows) if len(rows) else None,
        "error_rate": 1 - ok / len(rows) if len(rows) else None,
        "outcomes": outcomes,
        "response_ms": document(distribution((timed["done_ns"] - timed["intended_ns"]) / 1e6)),
        "service_ms": document(distribution((timed["done_ns"] - timed["sent_ns"]) / 1e6)),
        "lateness_ms": document(distribution((timed["sent_ns"] - timed["intended_ns"]) / 1e6)),
        "goodput_rps": ok / duration_s,
    }
    if len(streamed):
        found["ttft_ms"] = document(distribution((streamed["first_token_ns"] - streamed["intended_ns"]) / 1e6))
        found["tpot_ms"] = document(distribution((streamed["done_ns"] - streamed["first_token_ns"]) / 1e6 / 119))
        found["itl_ms"] = found["tpot_ms"]
        found["output_tokens_per_s"] = 120 * len(streamed) / duration_s
    return found


def summary_of(rows: np.ndarray, rates: list[float], stage_s: float) -> dict[str, Any]:
    stages = []
    for index, rate in enumerate(rates):
        part = rows[rows["stage"] == index]
        load = rate * 0.138 / SERVERS
        stages.append(
            {
                "name": f"step-{index + 1:02d}",
                "state": "saturated" if load > 1 else "steady",
                "warmup": False,
                "start_s": index * stage_s,
                "duration_s": stage_s,
                "offered_rps": len(part) / stage_s,
                "achieved_rps": len(part) / stage_s,
                "ok_rps": int((part["outcome"] == Outcome.ok).sum()) / stage_s,
                "dropped": 0,
                "in_flight_mean": rate * 0.138,
                "in_flight_max": 90,
                "all": entry(part, stage_s),
                "endpoints": {name: entry(part[part["endpoint"] == i], stage_s) for i, name in enumerate(ENDPOINTS)},
                "resources": {"target": {"cpu_cores_mean": 0.05 + 0.9 * min(1, load), "rss_mib_mean": 310 + index}},
            }
        )
    total_s = stage_s * len(rates)
    endpoints = {name: entry(rows[rows["endpoint"] == i], total_s) for i, name in enumerate(ENDPOINTS)}
    why = {
        f"{prefix}.{metric}.{name}": "needs 3688 samples, has fewer: run longer"
        for prefix, source in [(f"endpoints.{name}", found) for name, found in endpoints.items()]
        for metric in ("response_ms", "service_ms")
        for name, value in source[metric].items()
        if value is None
    }
    slo = [
        {
            "endpoint": name,
            "metric": metric,
            "limit": limit,
            "value": endpoints[name]["error_rate" if metric == "error_rate" else "response_ms"]
            if metric == "error_rate"
            else endpoints[name]["response_ms"][metric.removesuffix("_ms")],
        }
        for name, limits in SLO.items()
        for metric, limit in limits.items()
    ]
    for judged in slo:
        judged["state"] = (
            "unknown" if judged["value"] is None else "met" if judged["value"] <= judged["limit"] else "missed"
        )
    return {
        "schema": 1,
        "run": "synthetic",
        "loop": "open",
        "arrivals": "poisson",
        "seed": 7,
        "ended": "completed",
        "exit_code": 0,
        "valid": True,
        "indicative": False,
        "reasons": [],
        "offered_rps": len(rows) / total_s,
        "achieved_rps": len(rows) / total_s,
        "duration_s": total_s,
        "slo": slo,
        "all": entry(rows, total_s),
        "endpoints": endpoints,
        "why_null": why,
        "resources": {"target": {"cpu_cores_mean": 0.6, "rss_mib_max": 330.0}, "generator": {"cpu_cores_mean": 0.2}},
        "stages": stages,
    }


VALIDITY = {
    "valid": True,
    "indicative": False,
    "checks": [
        {"check": "accounting", "scope": "run", "state": "ok", "measured": 0, "limit": 0, "remedy": "",
         "sentence": "Every intended request ended as exactly one row."},
        {"check": "generator_cpu", "scope": "stage step-10", "state": "note", "measured": 0.83, "limit": 0.8,
         "remedy": "Give the generator a core of its own.",
         "sentence": "The generator used 83 % of its core for two seconds; no quantile moved."},
    ],
}  # fmt: skip

RUN = {
    "schema": 1,
    "run": "synthetic",
    "command": "plimsoll run targets/kakao.toml --rate 80 --duration 100 --shape breakpoint --seed 7",
    "contract": {"target": {"name": "kakao", "base_url": "http://127.0.0.1:8000"}, "slo": SLO,
                 "resources": {"cpu": 1, "memory_mib": 2048, "workers": 1, "replicas": 1}},
    "schedule": {"process": "poisson", "loop": "open", "stages": [], "drain_s": 30},
    "seed": 7,
    "nonce": "a1b2",
    "host": {"cpu_model": "Example CPU", "cores": 2, "memory_mib": 3900, "kernel": "6.1", "python": "3.11.2"},
    "versions": {"plimsoll": "0.1.0", "locust": "2.47.0"},
    "git_commit": "0123abc",
    "workers": [{"worker": 0, "pid": 1, "start_monotonic_ns": 10, "start_unix_ns": 1_790_000_000_000_000_000,
                 "boot_id": "b"}],
    "placement": {"generator_cpus": [0], "target_cpus": [1]},
    "services": [{"role": "target", "url": "http://127.0.0.1:8000", "command": "plimsoll serve kakao", "pid": 2}],
    "ended": "completed",
    "exit_code": 0,
}  # fmt: skip

PLAN = {
    "indicative": False,
    "evidence_grade": "C",
    "capacity_rps": {"low": 38.5, "mid": 44.2, "high": 48.9, "confidence": 0.9},
    "bottleneck": {"kind": "cpu_one_core", "confidence": 0.85,
                   "evidence": ["one process used 0.97 of a core at 56 requests/s while the host stood at 61 %"],
                   "next": {"kind": "upstream", "at_rps": 96.0}},
    "binding_rule": "cpu",
    "demand_rps": 120,
    "scale_up": [{"workers": {"low": 3, "mid": 4, "high": 4, "confidence": 0.9}, "cpu_cores": 4, "memory_mib": 2600,
                  "assumptions": ["the upstream answers as it did here"]}],
    "scale_out": [{"replicas": {"low": 4, "mid": 4, "high": 5, "confidence": 0.9}, "cpu_cores": 1, "memory_mib": 2048,
                   "assumptions": ["requests are spread evenly"]}],
    "do_nothing": {"carries_until": "2027-02", "sentence": "At 120 requests/s, 62 % of requests would miss the SLO."},
    "rule_of_thumb": {"cpu_cores": 21, "memory_mib": 9162},
    "refusals": [{"field": "scale_up[0].usd_per_month", "reason": "no prices were given",
                  "remedy": "name a price file with --prices"}],
    "expires_when": ["the contract changes", "another CPU type is used"],
}  # fmt: skip


def resources_table(rates: list[float], stage_s: float) -> pa.Table:
    seconds = np.arange(int(stage_s * len(rates)))
    rows: list[dict[str, Any]] = []
    used = {"target": 0.0, "llm": 0.0, "generator": 0.0}
    host = 0.0
    for second in seconds:
        load = min(1.0, rates[int(second // stage_s)] * 0.138 / SERVERS)
        step = {"target": 0.05 + 0.9 * load, "llm": 0.3 * load, "generator": 0.1 + 0.2 * load}
        host += sum(step.values())
        for pid, role in enumerate(used, start=100):
            used[role] += step[role]
            rss_bytes = int((150 + 60 * pid % 300 + second) * 2**20)
            rows.append({"at_ns": int(second * 1e9), "role": role, "pid": pid, "cpu_user_s": used[role] * 0.9,
                         "cpu_system_s": used[role] * 0.1, "rss_bytes": rss_bytes})  # fmt: skip
        rows.append({"at_ns": int(second * 1e9), "role": "host", "pid": None, "host_cpu_busy_s": host,
                     "host_memory_used_bytes": 2 * 2**30})  # fmt: skip
    names = [
        "at_ns",
        "role",
        "pid",
        "cpu_user_s",
        "cpu_system_s",
        "rss_bytes",
        "host_cpu_busy_s",
        "host_memory_used_bytes",
    ]
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def write(out: Path, rates: list[float] | None = None, stage_s: float = 10.0, plan: bool = True) -> RunDirectory:
    """A whole run directory inside `out`; `rates` are the stages' arrivals per second."""
    rates = rates if rates is not None else [8.0 * step for step in range(1, 11)]
    run = RunDirectory.create(out, "kakao")
    rows = rows_of(rates, stage_s)
    stages = [f"step-{index + 1:02d}" for index in range(len(rates))]
    pq.write_table(
        pa.Table.from_batches([batch(rows, 0, stages, list(ENDPOINTS))]), run.path / "samples/worker-000.parquet"
    )
    pq.write_table(resources_table(rates, stage_s), run.path / "resources.parquet")
    run.write_json("run.json", RUN)
    run.write_json("summary.json", json.loads(json.dumps(summary_of(rows, rates, stage_s), default=float)))
    run.write_json("validity.json", VALIDITY)
    if plan:
        run.write_json("plan.json", PLAN)
    return run
