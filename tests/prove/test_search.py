"""Live searches with other seeds each time: is the truth inside, how wide is the bracket, how many load-seconds?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadtests.search.course import Wishes
from loadtests.search.goal import parse_slo
from plimsoll.searching import search
from plimsoll.spec import Spec
from targets.contract_file import parse
from tests.prove import harness

pytestmark = pytest.mark.prove
HEADINGS = ("server", "seed", "truth, rps", "bracket, rps", "width", "confidence", "shape", "load-seconds", "inside")
BEGIN, END = "<!-- prove-search -->", "<!-- /prove-search -->"
ROWS: list[tuple[str, ...]] = []


@dataclass(frozen=True)
class Case:
    """`truth_rps`: where the SLO ends for endless Poisson arrivals."""

    name: str
    slo: str
    truth_rps: float
    server: dict[str, Any]


CASES = (
    Case(
        "4 slots of 10 ms, p95 < 300 ms", "p95<300ms,errors<1%", 396.9,
        {"kind": "queue", "servers": 4, "service_s": 0.01, "law": "constant"},
    ),
    Case(
        "token bucket 100/s, burst 20, errors < 1 %", "p95<300ms,errors<1%", 95.4,
        {"kind": "bucket", "rate": 100.0, "burst": 20, "service_s": 0.005},
    ),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---:|---:|---:|---:|---:|---|---:|---|"]
    lines += ["| " + " | ".join(cells) + " |" for cells in ROWS]
    print("\n" + "\n".join(lines))
    target = request.config.getoption("--write-accuracy")
    if target and ROWS:
        path = Path(target)
        head, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        path.write_text(f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.partition(END)[2]}", encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.server["kind"])
def test_the_truth_is_inside_the_bracket(case: Case, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    runs, first = request.config.getoption("--search-runs"), request.config.getoption("--truth-seed")
    inside = 0
    with harness.served(tmp_path, **case.server) as served:
        document = {
            "target": {"name": "truth", "base_url": served.url},
            "endpoint": [{"name": "ask", "path": "/ask", "timeout_s": 10.0}],
        }
        told = 0
        for seed in range(first, first + 2 * runs):  # an INVALID search is no answer: another seed takes its place
            if told == runs:
                break
            spec = Spec(contract=parse(document, tmp_path / "contract"), out=tmp_path / "runs", seed=seed)
            found = search(spec, parse_slo(case.slo), Wishes(seed=seed)).document
            if not found["valid"]:
                ROWS.append((case.name, str(seed), f"{case.truth_rps:g}", "INVALID", *[""] * 5))
                continue
            told += 1
            lower, upper, whole = found["lower_rps"], found["upper_rps"], found["endpoints"]["all"]
            holds = bool(lower and upper and lower <= case.truth_rps <= upper)
            inside += holds
            bracket = f"{lower or 0:.1f}–{upper or 0:.1f}"
            ROWS.append((
                case.name, str(seed), f"{case.truth_rps:g}", bracket, f"{whole['width'] or 0:.1%}",
                f"{whole['confidence'] or 0:.0%}", str(whole["shape"]), f"{found['load_seconds']:.0f}",
                "yes" if holds else "no",
            ))  # fmt: skip
            assert found["load_seconds"] <= 121
            assert (found["limit"] or {}).get("policy", False) == (case.server["kind"] == "bucket"), found["limit"]
    assert told == runs and inside >= runs - max(1, runs // 10), ROWS
