"""[resources] as limits of the kernel, where this system lets us; a sentence where not."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from profiles import cgroups
from targets.confinement import confine

SPIN = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"


def test_what_this_machine_does_not_have_is_not_pretended() -> None:
    made = confine(64, 1e9, cores_here=2)
    assert (made.cpu_cores, made.memory_mib) == (None, None)
    assert made.not_applied[0] == "64 cores are stated, this machine has 2 for the service"
    made.remove()


def test_a_process_gets_its_share_of_a_core_and_the_throttling_is_seen() -> None:
    made = confine(0.2, 256, cores_here=1)
    if made.not_applied:
        pytest.skip(f"no control groups of our own here: {made.not_applied[0]}")
    process = subprocess.Popen([sys.executable, "-S", "-c", SPIN])
    try:
        made.take(process.pid)
        made.begin()
        time.sleep(0.3)
        before = psutil.Process(process.pid).cpu_times()
        time.sleep(1.5)
        after = psutil.Process(process.pid).cpu_times()
        used = after.user + after.system - before.user - before.system
        limits = cgroups.of_process(process.pid)
        assert limits is not None
        seen = limits.read()
    finally:
        process.kill()
        process.wait()
        made.remove()
    assert used / 1.5 < 0.3
    assert seen["cgroup_quota_cores"] == pytest.approx(0.2) and seen["cgroup_throttled_s"] > 0.2
    assert seen["cgroup_memory_max_bytes"] == 256 * 2**20
    assert not any(folder.exists() for folder in made._folders)
