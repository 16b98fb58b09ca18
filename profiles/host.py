"""The machine as a whole: CPU, steal, memory, load, disk, network, pressure."""

import contextlib
import os
from pathlib import Path
from typing import Any

import psutil

PRESSURE = Path("/proc/pressure")
LOOPBACK = ("lo", "lo0")


def read(disk: Path) -> dict[str, Any]:
    """The host columns of one row, but for `host_processes`; `disk` is the file system whose room is told (that of the
    run directory)."""
    row: dict[str, Any] = {"host_cores": psutil.cpu_count() or 1}
    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts guest time inside user and nice as well
    double_s = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    steal_s = getattr(times, "steal", 0.0)
    row["host_cpu_busy_s"] = sum(times) - idle_s - double_s - steal_s
    row["host_steal_s"] = getattr(times, "steal", None)
    memory = psutil.virtual_memory()
    row["host_memory_total_bytes"], row["host_memory_used_bytes"] = memory.total, memory.total - memory.available
    with contextlib.suppress(OSError):
        row["host_load1"] = os.getloadavg()[0]
    with contextlib.suppress(OSError):
        usage = psutil.disk_usage(str(disk))
        row["host_disk_used_share"], row["host_disk_free_bytes"] = usage.percent / 100, usage.free
    with contextlib.suppress(OSError, psutil.Error):
        cards = psutil.net_io_counters(pernic=True, nowrap=False)
        outside = [card for name, card in cards.items() if name not in LOOPBACK]
        row["host_net_sent_bytes"] = sum(card.bytes_sent for card in outside)
        row["host_net_recv_bytes"] = sum(card.bytes_recv for card in outside)
        row["host_loopback_bytes"] = sum(card.bytes_recv for name, card in cards.items() if name in LOOPBACK)
    for kind in ("cpu", "memory", "io"):
        row[f"psi_{kind}_some_s"] = pressure_some_s(PRESSURE / kind)
    return row


def pressure_some_s(file: Path) -> float | None:
    """Cumulative seconds in which some task waited for the resource (PSI `some total`, µs); null where not kept."""
    try:
        for line in file.read_text(encoding="ascii").splitlines():
            if line.startswith("some "):
                return int(line.rsplit("total=", 1)[1]) / 1e6
    except (OSError, ValueError, IndexError):
        pass
    return None
