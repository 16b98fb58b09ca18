"""Where a number was measured: the fingerprint that a plan and a gate compare before they compare anything else."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("plimsoll", "locust", "gevent", "httptools", "pyarrow", "duckdb", "numpy", "scipy", "pydantic")


def fingerprint() -> dict[str, Any]:
    """CPU model, cores, memory, kernel, boot id. Two runs on one host since one boot share clock and identity."""
    import psutil

    return {
        "cpu_model": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "kernel": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "boot_id": boot_id(),
        "cpu_quota_cores": cgroup_cpu_quota(),
    }


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def cgroup_cpu_quota() -> float | None:
    """Cores granted by cgroup v2's cpu.max, or None where there is no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = "absent"
    return found


def git_commit(folder: Path) -> str | None:
    """The commit of the work tree that holds `folder`, with `+changes` where it is not clean; None outside one."""
    try:
        head = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain"], capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+changes" if dirty else head


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
