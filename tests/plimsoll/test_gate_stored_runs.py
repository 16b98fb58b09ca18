"""`plimsoll gate` against stored runs, as it is typed: unpaired, closed, and the history that makes it see."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.history.store import Store
from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory
from plimsoll.commands.gate import gate
from plimsoll.commands.history import add_run
from plimsoll.gate_words import Words

CONTRACT = """
[target]
name = "s"
base_url = "http://127.0.0.1:9"
[[endpoint]]
name = "ask"
path = "/ask"
[gate]
primaries = ["ask:p95_ms"]
"""
HOST = {"cpu_model": "x", "cores": 2, "memory_mib": 4096, "architecture": "x86_64", "cpu_quota_cores": None}


def stored(out: Path, p95: float, **changes: Any) -> Path:
    run = RunDirectory.create(out, "s")
    times = {"mean": p95 / 2, "p50": p95 / 2.2, "p95": p95, "p99": None}
    entry = {"response_ms": times, "error_rate": 0.0, "count": 900, "ok": 900}
    schedule = {
        "loop": "open",
        "process": "poisson",
        "cv": 1.0,
        "stages": [{"name": "steady", "duration_s": 60}],
        "workers": 1,
    }
    document = {
        "schema": 1,
        "run": run.identity,
        "name": "s",
        "host": HOST,
        "schedule": schedule,
        "contract": {"endpoint": []},
    }
    run.write_json("run.json", document | changes)
    run.write_json("summary.json", {"valid": True, "all": entry, "endpoints": {"ask": entry}})
    return run.path


def verdict(tmp_path: Path, baseline: Path, candidate: Path) -> tuple[int, dict[str, Any]]:
    (tmp_path / "s.toml").write_text(CONTRACT, encoding="utf-8")
    known: dict[str, Any] = dict.fromkeys(Words.__dataclass_fields__)
    known |= {"contract": tmp_path / "s.toml", "budget": 60.0, "out": tmp_path / "gates", "lang": "ko", "json": False,
              "quiet": True, "alternate": False, "search": 0.0, "allocations": False,
              "baseline": str(baseline), "candidate": str(candidate),
              "store": tmp_path / "h.duckdb"}  # fmt: skip
    with pytest.raises(SystemExit) as found:
        gate(Words(**known))
    latest = tmp_path / "gates" / "latest"
    assert (latest / "report.html").is_file() and (latest / "junit.xml").is_file()
    return int(found.value.code or 0), json.loads((latest / "verdict.json").read_text(encoding="utf-8"))


def test_without_a_history_it_is_blind_and_with_one_it_sees(tmp_path: Path) -> None:
    base, same, slower = (stored(tmp_path / "runs", p95) for p95 in (100.0, 100.5, 112.0))
    code, document = verdict(tmp_path, base, same)
    assert (code, document["verdict"], document["paired"]) == (6, "BLIND", False)
    assert "plimsoll history --add" in document["reasons"][0]

    store = Store(tmp_path / "h.duckdb")
    for k in range(10):
        add_run(store, RunDirectory.open(stored(tmp_path / "runs", 100 * math.exp(0.002 * (k % 5 - 2)))))
    assert verdict(tmp_path, base, same)[1]["verdict"] == "PASS"
    code, document = verdict(tmp_path, base, slower)
    assert (code, document["verdict"]) == (1, "FAIL")
    assert "unpaired" in " ".join(document["notes"])


def test_another_host_fails_closed(tmp_path: Path) -> None:
    base, other = stored(tmp_path / "runs", 100.0), stored(tmp_path / "runs", 100.0, host=HOST | {"cores": 64})
    code, document = verdict(tmp_path, base, other)
    assert (code, document["verdict"]) == (3, "INVALID")
    assert "other host: cores is 2 and 64" in document["reasons"][0]


def test_a_candidate_alone_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(PlimsollError, match="--baseline"):
        verdict(tmp_path, Path("http://127.0.0.1:9"), stored(tmp_path / "runs", 100.0))
