"""The team's rule of thumb, kept as the baseline that the measured model is shown against.

Per concurrent user 0.1 core and 50 MB on a base of 2 cores and 2,048 MB, times 1.5 for CPU and 1.3 for memory.
"""

from __future__ import annotations

from typing import Any

from capacity.demand import ServiceDemand
from capacity.memory import MemoryModel
from capacity.policy import CPU_SHARE, MEMORY_SHARE

USERS = (10, 50, 100, 200)


def cores(users: float) -> float:
    return (2 + 0.1 * users) * 1.5


def memory_mb(users: float) -> float:
    return (2048 + 50 * users) * 1.3


def table(
    demand: ServiceDemand | None,
    memory: MemoryModel | None,
    seconds_per_user: float | None,
    users: tuple[int, ...] = USERS,
) -> list[dict[str, Any]]:
    """Rule and measurement side by side. `seconds_per_user`: response at capacity + think time, so that N users ask
    N / seconds_per_user arrivals a second (Little's law, closed). Measured figures keep the headroom policy."""
    rows = []
    for count in users:
        row: dict[str, Any] = {"users": count, "rule_cores": cores(count), "rule_memory_mb": memory_mb(count)}
        rate = count / seconds_per_user if seconds_per_user else None
        row["rate_rps"] = rate
        row["measured_cores"] = demand.cores_at(rate).mid / CPU_SHARE if demand and rate else None
        slope = memory.per_in_flight_mib if memory else None
        row["measured_memory_mb"] = (
            (memory.base_mib.mid + max(0.0, slope.mid) * count) * 1.048576 / MEMORY_SHARE if memory and slope else None
        )
        measured = row["measured_cores"]
        row["rule_over_measured"] = row["rule_cores"] / measured if measured else None
        rows.append(row)
    return rows
