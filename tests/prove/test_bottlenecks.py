"""Live services with one planted bottleneck each: it is named right, or "unidentified", never wrong with confidence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.published import written
from plimsoll import observed, planning
from plimsoll.measure import measure
from plimsoll.planning import Wish
from plimsoll.spec import Spec
from targets.contract_file import parse

pytestmark = pytest.mark.prove
SERVICE = Path(__file__).with_name("planted_service.py")
HEADINGS = ("planted", "named", "confidence", "capacity, rps", "the first evidence")
ROWS: list[tuple[str, ...]] = []


@dataclass(frozen=True)
class Planted:
    """`kind`: its right name. `truth_rps`: the rate that it ends at, None where it has none of its own."""

    what: str
    kind: str
    service: str
    given: dict[str, Any]
    peak_rps: float
    truth_rps: float | None = None
    contract: dict[str, Any] = field(default_factory=dict)
    slow: dict[str, Any] | None = None
    seconds: float = 30


CASES = (
    Planted("semaphore of 3, 25 ms", "concurrency_limit", "slots", {"slots": 3, "service_ms": 25}, 190, 120),
    Planted(
        "queue of 2 slots and 8 places, 30 ms", "concurrency_limit", "queue",
        {"slots": 2, "waiting": 8, "service_ms": 30}, 130, 66.7,
    ),
    Planted(
        "the same, its limits in the contract", "concurrency_limit", "queue",
        {"slots": 2, "waiting": 8, "service_ms": 30}, 130, 66.7,
        {"limits": {"queue": {"work": {"max_concurrent": 2, "max_queue_size": 8, "timeout_s": 10}}}},
    ),
    Planted("token bucket of 40 a second, burst 15", "rate_limit", "bucket", {"rate": 40, "burst": 15}, 90, 40),
    Planted(
        "10 % of the requests hold a lock for 150 ms", "lock", "lock", {"share": 0.1, "hold_ms": 150, "service_ms": 3}, 170,
        66.7,
    ),
    Planted("a pool of 3 connections, 30 ms", "connection_pool", "pool", {"connections": 3, "service_ms": 30}, 170, 100),
    Planted("a handler that computes 12 ms", "cpu_one_core", "gil", {"service_ms": 12}, 130),
    Planted(
        "one replica in three is 5 times as slow", "slow_replica", "slots", {"slots": 40, "service_ms": 20}, 120, None, {},
        {"slots": 40, "service_ms": 100},
    ),
    Planted(
        "memory grows, 300 KiB a request, of 400 MiB", "memory", "memory", {"kept_kib": 300, "service_ms": 10}, 60, None,
        {"resources": {"memory_mib": 400}},
    ),
    Planted(
        "all answers share 8 MB a second", "bandwidth", "bandwidth", {"bytes": 131_072, "bytes_per_s": 8e6}, 110, 61,
    ),
    Planted("an upstream with one slot, 30 ms", "upstream", "upstream", {}, 60, 33.3, {"upstream": {"kind": "emulated"}}),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|---:|---|---|"]
    lines += ["| " + " | ".join(cells) + " |" for cells in ROWS]
    print("\n" + "\n".join(lines))
    target = request.config.getoption("--write-accuracy")
    if target and len(ROWS) == len(CASES):
        written(Path(target), "prove-bottlenecks", "\n".join(lines))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_planted_bottleneck_is_named_right_or_not_at_all(case: Planted, tmp_path: Path) -> None:
    document = made(case, tmp_path)
    found, capacity = document["bottleneck"], document["capacity_rps"]
    assert found is not None, document["refusals"]
    span = f"{capacity['low']:.1f} to {capacity['high']:.1f}" if capacity else document["refusals"][0]["reason"]
    truth = f" (truth {case.truth_rps:g})" if case.truth_rps else ""
    ROWS.append((case.what, found["kind"], f"{found['confidence']:.2f}", span + truth, found["evidence"][0]))
    assert found["kind"] in (case.kind, "unidentified"), found["evidence"]


def made(case: Planted, folder: Path) -> dict[str, Any]:
    """The plan of a run of rising steps."""
    contract = parse(_contract(case), folder / "contract.toml")
    spec = Spec(
        contract=contract, rate_rps=case.peak_rps, duration_s=case.seconds, warmup_s=1, shape="breakpoint", seed=5,
        start=True, replicas=3 if case.slow else 1, out=folder / "runs",
    )  # fmt: skip
    run = measure(spec).directory
    return planning.plan([run], [observed.documents(run)], Wish(), files=False).document


def _contract(case: Planted) -> dict[str, Any]:
    start = f"{sys.executable} {SERVICE} {case.service} {{port}} "
    control: dict[str, Any] = {"start": f"{start}'{_json(case.given)}'", "ready": "/health"}
    if case.service == "upstream":
        only = _json({"slots": 1, "service_ms": 30})
        needs = f"{sys.executable} {SERVICE} slots {{port}} '{only}'"
        control |= {
            "start": f"{start}'{{{{\"url\": \"{{llm_url}}\"}}}}'",
            "needs": [{"name": "llm", "start": needs, "ready": "/health"}],
        }  # fmt: skip
    if case.slow:
        # whoever comes first is slow
        words = f'if mkdir "$PLANTED/first"; then exec {start}"$SLOW"; else exec {start}"$FAST"; fi'
        control["start"] = f"sh -c '{words}'"
        control["env"] = {"SLOW": _json(case.slow), "FAST": _json(case.given), "PLANTED": "{state}/.."}
    return {
        "target": {"name": "planted", "base_url": "http://127.0.0.1:8000", "control": control},
        "endpoint": [{"name": "work", "path": "/work", "timeout_s": 10}],
        "slo": {"all": {"p95_ms": 400, "error_rate": 0.02}},
        **case.contract,
    }


def _json(given: dict[str, Any]) -> str:
    """As a start command carries it: its braces doubled."""
    return json.dumps(given).replace("{", "{{").replace("}", "}}")
