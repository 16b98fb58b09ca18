"""Run directories made from queueing theory instead of a service: same files, same schemas, known content."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from measurements import frame, streams
from measurements.rundir import RunDirectory
from measurements.sample import NULL, PACKED, TOKENS, Outcome, batch
from measurements.summary import RunFacts, Window, summarise
from profiles.resources import RESOURCES

ENDPOINTS = {"generate": (0.180, 0.75), "search": (0.012, 0.25)}  # mean service time in s, share of arrivals
SERVERS = 8
TIMEOUT_S = 30.0
TOKENS_OUT = 6
SLO: dict[str, dict[str, float]] = {"generate": {"p95_ms": 3000, "error_rate": 0.05}, "search": {"p95_ms": 300}}


def rows_of(rates: list[float], stage_s: float, seed: int = 7) -> np.ndarray:
    """An M/M/8 with a queue limit of 120 (rejected beyond), over stages of `stage_s` seconds: packed records."""
    random = np.random.default_rng(seed)
    names = list(ENDPOINTS)
    free_at = np.zeros(SERVERS)
    starts: list[float] = []
    records: list[np.ndarray] = []
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
            record["bytes_out"], record["bytes_in"] = 310, 190 if rejected else 1_240
            record["outcome"] = Outcome.rejected if rejected else Outcome.ok
            if endpoint == 0 and not rejected:
                record["first_token_ns"], record["tokens_out"] = (begin + service * 0.2) * 1e9, TOKENS_OUT
            records.append(record)
    return np.concatenate(records)


def streamed_events(rows: np.ndarray) -> pa.Table:
    """A content event per token of every streamed answer, evenly between its first token and its end."""
    streamed = rows[rows["first_token_ns"] != NULL]
    count = len(streamed)
    steps = np.tile(np.arange(TOKENS_OUT), count)
    gap_ns = (streamed["done_ns"] - streamed["first_token_ns"]) / TOKENS_OUT
    columns = {
        "worker": np.zeros(count * TOKENS_OUT, dtype=np.int16),
        "seq": np.repeat(streamed["seq"], TOKENS_OUT),
        "step": np.zeros(count * TOKENS_OUT, dtype=np.int32),
        "event": steps.astype(np.int32),
        "at_ns": (np.repeat(streamed["first_token_ns"], TOKENS_OUT) + steps * np.repeat(gap_ns, TOKENS_OUT)).astype(
            np.int64
        ),
        "tokens": np.ones(count * TOKENS_OUT, dtype=np.int32),
    }
    return pa.table(columns, schema=TOKENS)


def summary_of(run: RunDirectory, rates: list[float], stage_s: float) -> dict[str, Any]:
    windows = [
        Window(f"step-{index + 1:02d}", index * stage_s, (index + 1) * stage_s, rate, rate)
        for index, rate in enumerate(rates)
    ]
    facts = RunFacts("synthetic", "open", "poisson", 7, "completed", windows, {}, TIMEOUT_S, SLO)
    summary = summarise(frame.read(run), streams.read(run), facts)
    return summary | {"valid": True, "indicative": False, "reasons": [], "exit_code": 0}


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
    "placement": {"generator": [[0]], "target": [1]},
    "services": [{"role": "target", "url": "http://127.0.0.1:8000", "command": "plimsoll serve kakao", "pid": 2}],
    "ended": "completed",
    "exit_code": 0,
}  # fmt: skip

PRICE: dict[str, Any] = {"machine": "example.large", "currency": "USD", "price_date": "2026-11-01",
                         "price_source": "example price list"}  # fmt: skip
PLAN = {
    "schema": 1,
    "sentence": "For 120 rps run 5 replicas.",
    "indicative": False,
    "evidence_grade": "C",
    "grade_reasons": ["the upstream was emulated"],
    "demand": {"demand_rps": 60.0, "given": True, "planned_rps": [60.0, 120.0], "note": "as given"},
    "capacity_rps": {"low": 38.5, "mid": 44.2, "high": 48.9, "confidence": 0.9},
    "capacity_at_least_rps": 38.5,
    "bottleneck": {"kind": "cpu_one_core", "confidence": 0.85, "candidates": [], "bench": None,
                   "evidence": ["one process used 0.97 of a core at 56 requests/s while the host stood at 61 %"],
                   "next": {"kind": "upstream", "who": "llm", "at_least_rps": None, "reason": "", "at_rps":
                            {"low": 88.0, "mid": 96.0, "high": 104.0, "confidence": 0.9}}},
    "binding_rule": "cpu_50_percent",
    "scale_up": [
        {"demand_rps": demand, "what": "workers", "workers_now": 1, "extrapolated": demand / 80,
         "workers": {"low": low, "mid": low + 1, "high": low + 1, "confidence": 0.9},
         "cores": {"low": low, "mid": low + 1, "high": low + 1, "confidence": 0.9},
         "cores_busy": {"low": low * 0.4, "mid": low * 0.45, "high": low * 0.5, "confidence": 0.9},
         "memory_mib": None, "assumptions": ["a core for each worker; more cores without more workers gain 0"],
         "cost": [PRICE | {"per_month": 73.25, "per_year": 879.0, "per_1000_requests_within_slo": 0.0004}]}
        for demand, low in ((60.0, 2.0), (120.0, 3.0))
    ],
    "scale_out": [
        {"demand_rps": demand, "conditional": False, "recommended": most, "replicas_at_most": None, "workers_each": 1,
         "replicas": {"low": most - 1.0, "mid": most - 1.0, "high": float(most), "confidence": 0.9},
         "binding_rule": "cpu_50_percent", "by_rule": {"n_plus_1": most - 1, "cpu_50_percent": most},
         "per_replica_rps": {"low": 38.5, "mid": 44.2, "high": 48.9, "confidence": 0.9}, "cpu_share": 0.46,
         "memory_share": 0.31, "survivors": most - 1, "survivors_hold": True,
         "assumptions": ["each replica stands on cores of its own and gets an equal share of the load"],
         "cost": [PRICE | {"per_month": 412.0, "per_year": 4944.0, "per_1000_requests_within_slo": 0.0021,
                           "per_month_range": [329.6, 412.0]},
                  PRICE | {"machine": "dear.large", "per_month": 600.0, "per_year": 7200.0}]}
        for demand, most in ((60.0, 3), (120.0, 5))
    ],
    "do_nothing": {"demand_rps": 120.0, "state": "breaks", "text": "120 rps is above 48.9 rps",
                   "loss_share": {"low": 0.41, "mid": 0.45, "high": 0.52, "confidence": 0.9},
                   "today_share_of_line": 60.0 / 38.5, "breaks_on": "2027-03-01", "order_by": "2027-02-01", "lead_time_days": 28},
    "cost_of_being_wrong": {"too_many": [{"currency": "USD", "replicas": 1, "per_month": 82.4, "per_year": 988.8}],
                            "too_few": {"replicas_short": 1.0, "peak_share_beyond_slo": 0.2}},
    "upstream_cost": {"model": "some-llm", "currency": "USD", "per_month": 51234.0, "per_year": 614808.0,
                      "per_1000_requests": 0.51, "price_date": "2026-11-01", "price_source": "provider's list",
                      "assumptions": ["0.3 calls per request"]},
    "cost_assumptions": ["machines run all month"],
    "track_record": {"entries": 12, "verdict": "on record", "nominal": 0.9, "coverage": 0.75,
                     "coverage_ci95": [0.43, 0.95], "bias": -0.04, "median_error": 0.06,
                     "half_widths_multiplied_by": 1.4},
    "next_best_measurement": {"measurement": "the CPU time per request", "load_seconds": 300.0,
                              "command": "plimsoll run targets/kakao.toml --shape breakpoint",
                              "replicas_now": {"low": 4.0, "mid": 4.0, "high": 5.0, "confidence": 0.9},
                              "replicas_after": {"low": 5.0, "mid": 5.0, "high": 5.0, "confidence": 0.9}},
    "memory": {"growth_mib_per_1000_requests": {"low": 0.2, "mid": 0.3, "high": 0.4, "confidence": 0.9}},
    "rule_of_thumb": [
        {"users": 10, "rule_cores": 4.5, "rule_memory_mb": 3312.4, "rate_rps": 12.0, "measured_cores": 0.51,
         "measured_memory_mb": 480.0, "rule_over_measured": 8.8},
        {"users": 100, "rule_cores": 18.0, "rule_memory_mb": 9162.4, "rate_rps": None, "measured_cores": None,
         "measured_memory_mb": None, "rule_over_measured": None},
    ],
    "assumptions": ["the mix of requests stays as measured"],
    "refusals": [{"field": "memory", "reason": "memory did not grow with load, so no slope could be fitted",
                  "remedy": "plimsoll run targets/kakao.toml --shape soak --duration 1800"}],
    "expires_when": ["the service is deployed from another commit than 0123abc", "another CPU type is used"],
}  # fmt: skip


VERIFICATION = {
    "schema": 1, "plan_sha256": "ab12", "verdict": "MISSED",
    "tests": [
        {"what": "capacity of one replica (rps)", "factor": None, "measured": 42.0, "within": True, "repeats": [41.0, 43.0],
         "repeat_spread": 2.0, "predicted": {"low": 38.5, "mid": 44.2, "high": 48.9, "confidence": 0.9}, "note": None},
        {"what": "p95 of generate at 1.0 of it (ms)", "factor": 1.0, "measured": 900.0, "within": False, "repeats": [900.0],
         "repeat_spread": None, "predicted": {"low": 500.0, "mid": 600.0, "high": 700.0, "confidence": 0.9},
         "note": None},
        {"what": "5 replicas", "factor": None, "measured": None, "within": None, "repeats": [], "repeat_spread": None,
         "predicted": {"low": 4.0, "mid": 4.0, "high": 5.0, "confidence": 0.9},
         "note": "not testable here: 6 cores are needed, this machine has 2"},
    ],
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
    return pa.table({field.name: [row.get(field.name) for row in rows] for field in RESOURCES}, schema=RESOURCES)


def write(
    out: Path, rates: list[float] | None = None, stage_s: float = 10.0, plan: bool = True, now: datetime | None = None
) -> RunDirectory:
    """A whole run directory inside `out`; `rates` are the stages' arrivals per second."""
    rates = rates if rates is not None else [8.0 * step for step in range(1, 11)]
    run = RunDirectory.create(out, "kakao", now)
    rows = rows_of(rates, stage_s)
    stages = [f"step-{index + 1:02d}" for index in range(len(rates))]
    pq.write_table(
        pa.Table.from_batches([batch(rows, 0, stages, list(ENDPOINTS))]), run.path / "samples/worker-000.parquet"
    )
    pq.write_table(resources_table(rates, stage_s), run.path / "resources.parquet")
    run.write_json("run.json", RUN)
    pq.write_table(streamed_events(rows), run.path / "tokens/worker-000.parquet")
    run.write_json("summary.json", summary_of(run, rates, stage_s))
    run.write_json("validity.json", VALIDITY)
    if plan:
        run.write_json("plan.json", PLAN)
        run.write_json("verification.json", VERIFICATION)
    return run
