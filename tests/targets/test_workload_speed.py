"""Ten million lines within 60 s and 500 MB."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import psutil
import pytest
from workload_logs import nginx_lines

LINES = 10_000_000
PART = 200_000


def peak_mb(process: psutil.Popen, deadline_s: float) -> float:
    """The largest sum of resident memory over the process tree until it ends, pages that they share counted twice."""
    peak = 0
    while process.poll() is None and time.monotonic() < deadline_s:
        tree = [process, *process.children(recursive=True)]
        resident = 0
        for member in tree:
            try:
                resident += member.memory_info().rss
            except psutil.Error:
                continue
        peak = max(peak, resident)
        time.sleep(0.2)
    return peak / 1e6


@pytest.mark.prove
def test_ten_million_lines_take_less_than_60_s_and_500_mb(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    part = "".join(chain.from_iterable((text, "\n") for text in nginx_lines(PART, days=3))).encode()
    with log.open("wb") as file:
        for _ in range(LINES // PART):
            file.write(part)
    began = time.monotonic()
    command = [sys.executable, "-m", "plimsoll.cli", "workload", str(log), "-o", str(tmp_path / "w.toml"), "-q"]
    process = psutil.Popen(command, stdout=subprocess.PIPE)
    memory_mb = peak_mb(process, began + 120)
    took_s = time.monotonic() - began
    process.kill()
    process.wait()
    print(
        f"\n{LINES:,} lines, {log.stat().st_size / 1e9:.2f} GB: {took_s:.1f} s, {LINES / took_s:,.0f} lines/s, {memory_mb:.0f} MB"
    )
    assert took_s < 60
    assert memory_mb < 500
