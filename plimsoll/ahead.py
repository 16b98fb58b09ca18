"""What lies ahead of a run, said before it: this machine's bounds, how long it takes, who is watched, what it costs."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

from measurements.errors import PlimsollError
from plimsoll import money
from plimsoll.spec import LONGEST_S, PORTS, SPARE_FDS, USUAL_S
from targets.contract import Contract

PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def machine() -> dict[str, Any]:
    """Cores, file descriptors and local ports; `most_in_flight`: requests open at once that these allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ports = local_ports()
    most = min(hard - SPARE_FDS, ports)
    return {"cores": cores, "open_files": hard, "open_files_soft": soft, "local_ports": ports, "most_in_flight": most}


def local_ports() -> int:
    """How many connections to one address this machine can have open at once."""
    try:
        low, high = map(int, PORT_RANGE.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return PORTS
    return high - low + 1


def run(contract: Contract, duration_s: float | None, rate_rps: float | None) -> dict[str, Any]:
    """How long `plimsoll run` with these words takes, and what it asks for; `requests` None where the rate is probed."""
    used = [e for e in contract.endpoint if e.enabled and (e.weight > 0 or contract.target.locustfile)]
    drain_s = max((e.timeout_s for e in used), default=30.0)
    longest_s = LONGEST_S if duration_s is None and rate_rps is None else None
    duration_s = USUAL_S if duration_s is None else duration_s
    requests = rate_rps * duration_s if rate_rps is not None else None
    return {
        "duration_s": duration_s,
        "breakpoint_up_to_s": longest_s,
        "at_most_s": (longest_s or duration_s) + drain_s,
        "probe_first": rate_rps is None,
        "requests": requests,
        "in_flight_at_timeout": rate_rps * drain_s if rate_rps is not None else None,
    }


def run_sentence(ahead: dict[str, Any], most_in_flight: int) -> str:
    longer = (
        f" (up to {ahead['breakpoint_up_to_s']:g} s where few requests a second are all it takes)"
        if ahead["breakpoint_up_to_s"]
        else ""
    )
    text = f"{ahead['duration_s']:g} s of load{longer}, {ahead['at_most_s']:g} s at most with answers still open"
    if ahead["probe_first"]:
        return f"{text}, and up to a minute to find a rate (none with --rate)"
    if ahead["in_flight_at_timeout"] > most_in_flight:
        text += (
            f"; if every answer timed out, {ahead['in_flight_at_timeout']:,.0f} requests would be open, and this machine "
            f"allows {most_in_flight:,}: use a lower rate or timeout_s, or raise the limits (plimsoll doctor)"
        )
    return text


def cost(contract: Contract, requests: float) -> tuple[str, str]:
    """(what so many requests cost, a note): calls, tokens and money where the contract has an upstream."""
    if contract.upstream is None:
        return f"about {requests:,.0f} requests", _unsaid(contract)
    try:
        return money.estimate(contract, requests).sentence, ""
    except PlimsollError as error:
        return "", str(error)


def _unsaid(contract: Contract) -> str:
    generates = [e.name for e in contract.endpoint if e.kind == "generation" and e.enabled and e.weight > 0]
    if contract.upstream is not None or not generates:
        return ""
    return (
        f"no [upstream] is stated: if {', '.join(generates)} calls a paid LLM, say so there, with max_usd, before a run"
    )


def watched(contract: Contract) -> str:
    """Whose CPU and memory a run would record, or why nobody's."""
    from profiles.ports import of_service

    observe = contract.target.observe
    found = of_service(observe, contract.target.base_urls[0])
    if not found.roots:
        return f"nobody: {found.why_not}"
    pids = ", ".join(map(str, found.roots))
    page = f", metrics on {observe.prometheus}" if observe.prometheus else ""
    return f"pid {pids} and its children{page}" + (f" ({found.note})" if found.note else "")
