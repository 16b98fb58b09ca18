"""Burners beside our load process: the run is INVALID, or its numbers are right all the same; never wrong and VALID."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.prove import harness
from tests.prove.conftest import Parameters

pytestmark = pytest.mark.prove
BURN = "import time\nend = time.monotonic() + 40\nwhile time.monotonic() < end: pass"


@pytest.fixture
def burners() -> Iterator[None]:
    """Four busy loops on the generator's core (the last), ended after 40 s at the latest."""
    core = max(os.sched_getaffinity(0))
    processes = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(4)]
    for process in processes:
        os.sched_setaffinity(process.pid, {core})
    yield
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("realtime", ["0", "1"])
def test_a_starved_generator_is_never_valid_and_wrong(
    realtime: str,
    burners: None,
    truth: Parameters,
    row: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLIMSOLL_REALTIME", realtime)
    with harness.served(tmp_path, kind="queue", servers=0, service_s=0.005, law="constant") as served:
        run = harness.load(served.url, tmp_path, rate_rps=300, duration_s=10, seed=truth.seed)
    entry, valid = run.summary["endpoints"]["ask"], run.validity["valid"]
    shown = entry["response_ms"]["p95"]
    off = 0.0 if shown is None else shown - 5.0  # what is not shown cannot be wrong
    how = run.document["workers"][0]["scheduling"]
    holds = not valid if realtime == "0" else (not valid or off <= 1.0)
    row(
        f"4 burners on its core ({how})",
        "p95",
        5.0,
        5.0 + off,
        ("VALID" if valid else "INVALID, as it must be") + (", p95 not shown" if shown is None else ""),
        holds,
    )
