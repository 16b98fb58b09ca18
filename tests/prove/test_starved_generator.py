"""Burners beside our load process: the run is INVALID, or its numbers are right all the same; never wrong and VALID."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.prove import harness
from tests.prove.conftest import Parameters

pytestmark = pytest.mark.prove
BURN = "import time\nend = time.monotonic() + 40\nwhile time.monotonic() < end: pass"


@contextmanager
def burning(cores: list[set[int]]) -> Iterator[None]:
    """A busy loop for each set of cores that it may use, ended after 40 s at the latest."""
    processes = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in cores]
    try:
        for process, mine in zip(processes, cores, strict=True):
            os.sched_setaffinity(process.pid, mine)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("realtime", ["0", "1"])
def test_a_starved_generator_is_never_valid_and_wrong(
    realtime: str, truth: Parameters, row: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLIMSOLL_REALTIME", realtime)
    beside = [{max(os.sched_getaffinity(0))}] * truth.burners  # the generator's core is the last
    with (
        burning(beside),
        harness.served(tmp_path, kind="queue", servers=0, service_s=0.005, law="constant") as served,
    ):
        run = harness.load(served.url, tmp_path, rate_rps=300, duration_s=10, seed=truth.seed)
    entry, valid = run.summary["endpoints"]["ask"], run.validity["valid"]
    shown = entry["response_ms"]["p95"]
    table = harness.rows(run, served)
    there = table["received_ms"] - table["sent_ms"]  # until the server read it: like what it was held up, not our doing
    true = float((there + 5.0 + table["held_up_ms"]).quantile(0.95))
    off = 0.0 if shown is None else shown - true  # what is not shown cannot be wrong
    how = run.document["workers"][0]["scheduling"]
    holds = not valid if realtime == "0" else (not valid or off <= 1.0)
    row(
        f"{truth.burners} burners on its core ({how})",
        "p95",
        true,
        true + off,
        ("VALID" if valid else "INVALID, as it must be") + (", p95 not shown" if shown is None else ""),
        holds,
    )


@pytest.mark.parametrize("realtime", ["0", "1"])
def test_a_healthy_service_at_20_rps_on_a_busy_machine_is_valid(
    realtime: str, truth: Parameters, row: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy loop for each core, free to move, as a browser and an editor are: harmless, and so it must be VALID."""
    monkeypatch.setenv("PLIMSOLL_REALTIME", realtime)
    anywhere = os.sched_getaffinity(0)
    with (
        burning([set(anywhere)] * len(anywhere)),
        harness.served(tmp_path, kind="queue", servers=0, service_s=0.05, law="exponential", seed=truth.seed) as served,
    ):
        run = harness.load(served.url, tmp_path, rate_rps=20, duration_s=20, seed=truth.seed)
    table = harness.rows(run, served)
    off = (table["done_ms"] - table["server_done_ms"]).quantile(0.95)
    how = run.document["workers"][0]["scheduling"]
    reasons = ", ".join(reason["check"] for reason in run.summary["reasons"])
    verdict = "VALID" if run.validity["valid"] else f"INVALID: {reasons}"
    row(f"20 rps on a busy machine ({how})", "client − stamp, p95", 0.0, float(off), verdict, run.validity["valid"])
