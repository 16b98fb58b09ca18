"""A process in a control group that this test makes (as root): its limits, and how it is held back, are observed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from profiles.observer import Observer
from profiles.usage import per_window

pytestmark = pytest.mark.prove
GROUPS = Path("/sys/fs/cgroup")
MEMORY_MIB = 200
BURN = "import sys\nsys.stdin.readline()\nwhile True: sum(range(2000))"


@contextlib.contextmanager
def group(quota_cores: float) -> Iterator[list[Path]]:
    """The folders of one group, of version 1 or 2; skips the test where none may be made."""
    name, quota_us, most = f"plimsoll-proof-{os.getpid()}", round(quota_cores * 100_000), str(MEMORY_MIB * 2**20)
    if (GROUPS / "cgroup.controllers").exists():
        settings = {GROUPS / name: {"cpu.max": f"{quota_us} 100000", "memory.max": most}}
    else:
        settings = {
            GROUPS / "cpu" / name: {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": str(quota_us)},
            GROUPS / "memory" / name: {"memory.limit_in_bytes": most},
        }
    made: list[Path] = []
    try:
        try:
            for folder, files in settings.items():
                folder.mkdir()
                made.append(folder)
                for file, text in files.items():
                    (folder / file).write_text(text, encoding="ascii")
        except OSError as error:
            pytest.skip(f"no control group with limits can be made here ({error})")
        yield made
    finally:
        for folder in made:
            folder.rmdir()


@pytest.mark.parametrize("quota_cores", [0.15, 0.3])
def test_quota_throttling_and_memory_limit_of_a_group_are_observed(
    row: Callable[..., None], quota_cores: float
) -> None:
    with group(quota_cores) as folders:
        burner = subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE)
        try:
            for folder in folders:
                (folder / "cgroup.procs").write_text(str(burner.pid), encoding="ascii")
            assert burner.stdin
            burner.stdin.write(b"\n")
            burner.stdin.flush()
            observer = Observer({"target": [burner.pid]}, time.monotonic_ns())
            observer.start()
            time.sleep(8.0)
            observer.stop()
        finally:
            burner.kill()
            burner.communicate()
            time.sleep(0.1)
    used = per_window(observer.table(), [("run", 1, 7)])["run"]["target"]
    case = f"control group of {quota_cores:g} cores"
    row(case, "quota, cores", quota_cores, used["cgroup_quota_cores"], "", used["cgroup_quota_cores"] == quota_cores)
    row(case, "limit, MiB", MEMORY_MIB, used["cgroup_memory_max_mib"], "", used["cgroup_memory_max_mib"] == MEMORY_MIB)
    cores, held = used["cpu_cores_mean"], used["throttled_s_per_s"]
    row(
        case,
        "used, cores",
        quota_cores,
        cores,
        f"held back {held:.0%} of the time",
        held > 0 and cores < 1.1 * quota_cores,
    )
