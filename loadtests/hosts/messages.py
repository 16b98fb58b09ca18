"""What may come over the line between hosts: looked at before Locust's handlers, which would stumble. Nothing is unpickled."""

from __future__ import annotations

from typing import Any

import msgpack

from loadtests.plan import LoadPlan

OURS = "plimsoll"
FROM_WORKERS = {"client_ready", "heartbeat", OURS}
FROM_MASTER = {"ack", "heartbeat", OURS}


def patience_s(plan: LoadPlan) -> float:
    """How long one side may be silent: as long as the load takes, at least 10 s and at most 30."""
    return min(30.0, max(10.0, sum(stage.duration_s for stage in plan.stages)))


def understood(parts: list[bytes], known: set[str]) -> tuple[str, Any, str] | None:
    """(type, data, sender) that Locust's handlers cannot stumble over, from the one it says it is from; else None."""
    if len(parts) != 2:
        return None
    try:
        identity = parts[0].decode("ascii")
        found = msgpack.unpackb(parts[1], raw=False, max_ext_len=0)
    except (ValueError, msgpack.UnpackException, RecursionError):
        return None
    if not isinstance(found, list) or len(found) != 3:
        return None
    kind, data, node = found
    if not isinstance(kind, str) or kind not in known or node != identity:
        return None
    if not _fits(kind, data):
        return None
    return kind, data, identity


def _fits(kind: str, data: Any) -> bool:
    if kind == OURS:
        return isinstance(data, dict) and isinstance(data.get("say"), str)
    if kind == "client_ready":
        return isinstance(data, str) and 0 < len(data) < 100
    if kind == "heartbeat" and data is not None:
        return (
            isinstance(data, dict)
            and data.get("state") in ("ready", "spawning", "running", "stopped")
            and isinstance(data.get("current_cpu_usage"), int | float)
            and isinstance(data.get("current_memory_usage", 0), int | float)
        )
    return True
