"""Hundreds of random services with a known bottleneck: named right or "unidentified", never wrong."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted import Bench, Service, run

from capacity.plan import make_plan

UPSTREAM = {"upstream": {"kind": "emulated"}}
HOST = {"cpu_model": "Xeon", "cores": 4, "memory_mib": 8192}
THREE_CORES = {"generator": [[0]], "target": [1, 2, 3]}
RIGHT = {
    "core": {"cpu_one_core"},
    "whole host": {"cpu_host"},
    "memory": {"memory"},
    "shared core": {"cpu_one_core"},
    "emulator's core": {"upstream"},
    "pool": {"concurrency_limit", "connection_pool"},
    "bounded queue": {"concurrency_limit"},
    "slots without a queue": {"concurrency_limit"},
    "token bucket": {"rate_limit"},
    "lock seen in stacks": {"lock"},
    "nothing": set[str](),
}


def planted(kind: str, rng: np.random.Generator) -> tuple[Service, Bench]:
    """A random service of that kind, driven from a tenth to 1.6 times what it can do."""
    ms, slots = float(rng.choice([5, 20, 80, 300])), int(rng.choice([2, 4, 8]))
    timeout_s, variation = float(rng.choice([2, 10, 30])), str(rng.choice(["exponential", "constant"]))
    rate = float(rng.choice([10, 40, 200]))
    waits = {"variation": variation, "timeout_s": timeout_s}
    service, most = {
        "core": (Service(1, ms, ms, **waits), 1000 / ms),
        "whole host": (Service(3, ms, ms, processes=3, **waits), 3000 / ms),
        "memory": (
            Service(500, ms, 0.5, rss_per_in_flight_mib=2e5 / min(1500, 200 * ms), **waits),
            min(1500 / ms, 200),
        ),
        "shared core": (Service(1, ms, ms * 0.75, llm_cpu_ms=ms * 0.25, **waits), 1000 / ms),
        "emulator's core": (Service(1, ms, ms * 0.2, llm_cpu_ms=ms * 0.8, **waits), 1000 / ms),
        "pool": (Service(slots, ms * 4, ms * 0.05, **waits), slots * 250 / ms),
        "bounded queue": (
            Service(slots, ms * 4, ms * 0.05, queue=int(rng.choice([5, 20, 50])), **waits),
            slots * 250 / ms,
        ),
        "slots without a queue": (Service(slots * 4, ms * 4, ms * 0.02, queue=0, **waits), slots * 1000 / ms),
        "token bucket": (Service(500, ms, 50 / rate, bucket_rps=rate, **waits), rate),
        "lock seen in stacks": (Service(1, ms, ms * 0.05, **waits), 1000 / ms),
        "nothing": (Service(500, ms, 0.5, **waits), min(1500 / ms, 200)),
    }[kind]
    emulated = kind in ("shared core", "emulator's core") or rng.random() < 0.5
    top = min(1.6 * most, 500)
    contract: dict[str, Any] = UPSTREAM if emulated else {}
    if kind == "memory" or rng.random() < 0.5:  # a limit of memory that backlogs fill, too
        contract = {**contract, "resources": {"memory_mib": 400, "workers": 1}}
    return service, Bench(
        rates=tuple(np.linspace(top / 10, top, 10).tolist()),
        stage_s=float(rng.choice([10, 12, 30])) if top < 150 else 10.0,
        seed=int(rng.integers(1_000_000)),
        contract=contract,
        **({"host": HOST, "placement": THREE_CORES} if kind == "whole host" else {}),
        blocked_frames={"lock": 0.7} if kind == "lock seen in stacks" else None,
        slo={"all": {"p95_ms": ms * 20, "error_rate": 0.05}},
    )


@pytest.mark.prove
@pytest.mark.parametrize("kind", RIGHT)
def test_a_bottleneck_is_named_right_or_not_at_all(kind: str) -> None:
    rng = np.random.default_rng(11)
    names: Counter[str] = Counter()
    for _ in range(25):
        plan = make_plan([run(*planted(kind, rng))], 20)
        names[plan.bottleneck.kind if plan.bottleneck else "unidentified"] += 1
    assert set(names) <= RIGHT[kind] | {"unidentified"}, names
    if kind in ("core", "whole host", "memory", "shared core", "token bucket", "lock seen in stacks"):
        assert names["unidentified"] <= 15, names


@pytest.mark.parametrize(("delay_s_per_s", "named"), [(0.001, True), (0.3, False), (None, False)])
def test_a_busy_neighbour_matters_only_where_the_service_waited_for_a_core(
    delay_s_per_s: float | None, named: bool
) -> None:
    measured = run(Service(servers=2, service_ms=100, cpu_ms=2, queue=6))
    summary = json.loads(json.dumps(measured.summary))
    for stage in summary["stages"]:
        stage["resources"]["host"]["cpu_share_mean"] = 0.9
        stage["resources"]["target"]["run_delay_s_per_s"] = delay_s_per_s
    found = make_plan([replace(measured, summary=summary)], 10).bottleneck
    assert found is not None and (found.kind == "concurrency_limit") is named
