"""Limits that a container sets on a process: CPU quota, throttling and memory, of control groups v2 and v1."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROC = Path("/proc")
NO_LIMIT_BYTES = 1 << 60  # v1 writes "no limit" as a page-rounded 2^63


@dataclass(frozen=True)
class Limits:
    """The folders to read for one process; a limit of an ancestor holds as well, so each is a chain upwards."""

    cpu: tuple[Path, ...]
    memory: tuple[Path, ...]
    version: int

    def read(self) -> dict[str, Any]:
        """The cgroup columns: the tightest limit of each chain, usage and throttling of the folder that sets it."""
        row: dict[str, Any] = {}
        quotas = [(quota, folder) for folder in self.cpu if (quota := _quota_cores(folder)) is not None]
        if quotas:
            row["cgroup_quota_cores"], folder = min(quotas, key=lambda found: found[0])
            stat = _key_values(folder / "cpu.stat")
            row["cgroup_periods"] = stat.get("nr_periods")
            row["cgroup_throttled_periods"] = stat.get("nr_throttled")
            if "throttled_usec" in stat:
                row["cgroup_throttled_s"] = stat["throttled_usec"] / 1e6
            elif "throttled_time" in stat:
                row["cgroup_throttled_s"] = stat["throttled_time"] / 1e9
        limit_file, usage_file = (
            ("memory.max", "memory.current")
            if self.version == 2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        )
        limits = [(limit, folder) for folder in self.memory if (limit := _number(folder / limit_file)) is not None]
        limits = [(limit, folder) for limit, folder in limits if limit < NO_LIMIT_BYTES]
        if limits:
            row["cgroup_memory_max_bytes"], folder = min(limits, key=lambda found: found[0])
            row["cgroup_memory_bytes"] = _number(folder / usage_file)
        return row


def of_process(pid: int, proc: Path = PROC) -> Limits | None:
    """Where the limits of a process are kept; None where the kernel has no control groups or hides them."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (proc / "self" / "mountinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    paths: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    cpu = _chain(mounts, "cgroup", "cpu", paths)
    memory = _chain(mounts, "cgroup", "memory", paths)
    if cpu or memory:
        return Limits(cpu, memory, version=1)
    unified = _chain(mounts, "cgroup2", "", paths)
    return Limits(unified, unified, version=2) if unified else None


def _chain(mounts: list[str], kind: str, controller: str, paths: dict[str, str]) -> tuple[Path, ...]:
    """Folders from the process's own group up to the mount's root."""
    if controller not in paths:
        return ()
    for line in mounts:
        left, _, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if len(fields) < 5 or len(tail) < 3 or tail[0] != kind:
            continue
        if kind == "cgroup" and controller not in tail[2].split(","):
            continue
        root, mount = fields[3], Path(fields[4])
        inside = paths[controller]
        inside = inside[len(root) :] if root != "/" and inside.startswith(root) else inside
        folder = mount / inside.lstrip("/")
        if not folder.is_dir() or ".." in folder.parts:
            folder = mount  # inside a container the path names the host's tree; the mount is the own group
        chain = [folder]
        while chain[-1] != mount:
            chain.append(chain[-1].parent)
        return tuple(chain)
    return ()


def _quota_cores(folder: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    quota_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota_us / period_us if quota_us and period_us and quota_us > 0 else None


def _number(file: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text(encoding="ascii"))
    return None


def _key_values(file: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text(encoding="ascii").splitlines():
            key, value = line.split()
            found[key] = int(value)
    return found
