"""Where load may go. Loopback and private ranges are free; any other host needs a record, made by `plimsoll allow`."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from typing import Any

from measurements.errors import Refused, UsageError
from targets.urls import base_url, is_never, is_private


def record_path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "plimsoll" / "allowed.jsonl"


def allow(host: str, max_rps: float) -> dict[str, Any]:
    """Appends who allowed load to which host, when, and up to which rate."""
    if (
        not host
        or "/" in host
        or any(character.isspace() for character in host)
        or (":" in host and not _is_address(host))
    ):
        raise UsageError(
            f"{host!r} is not a host name; write it without scheme, port and path, e.g. staging.example.com"
        )
    if "*" in host:
        raise UsageError(f"{host} names many hosts; allow each by its own name")
    if _is_address(host) and is_never(host):
        raise Refused(f"{host} is link-local, a metadata service's or no single host's; load never goes there")
    if not 0 < max_rps <= 1_000_000:
        raise UsageError(f"--max-rate {max_rps:g}: give requests per second above 0 and up to 1,000,000")
    entry = {
        "host": host.lower(),
        "max_rps": max_rps,
        "by": _user(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = record_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); name a folder that can with: export XDG_CONFIG_HOME=…"
        ) from error
    return entry


def _user() -> str:
    """Who records it; a container may run as a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def check(url: str, address: str, peak_rps: float) -> None:
    """Refused when `url` resolves outside loopback and private ranges without a record, or over its rate; and wherever no
    load may go at all."""
    host = (base_url(url).hostname or "").lower()
    if is_never(address):
        raise Refused(
            f"{host} leads to {address}: no load goes to link-local, metadata and many-host addresses, on record or not; "
            "name the service's own address in base_url"
        )
    if is_private(address):
        return
    entries = [entry for entry in _entries() if entry["host"] == host]
    if not entries:
        raise Refused(
            f"{host} ({address}) is neither on this machine nor in a private network; if the load is wanted there, put it "
            f"on record with: plimsoll allow {host} --max-rate RPS"
        )
    if peak_rps > entries[-1]["max_rps"]:
        reach = (
            f"this run would reach {peak_rps:g}" if isfinite(peak_rps) else "a closed loop (--users) has no upper rate"
        )
        raise Refused(
            f"{host} is allowed up to {entries[-1]['max_rps']:g} rps (by {entries[-1]['by']}, {entries[-1]['at']}), "
            f"{reach}; lower --rate, or record a higher limit with: plimsoll allow {host} --max-rate RPS"
        )


def cap_rps(url: str, address: str) -> float | None:
    """The rate that is on record for a host that needs one."""
    if is_private(address):
        return None
    host = (base_url(url).hostname or "").lower()
    return next((entry["max_rps"] for entry in reversed(_entries()) if entry["host"] == host), None)


class Rate:
    """Requests that really went to an allowed host: a journey of many steps, or a retry, makes more of them than arrivals."""

    WINDOW_S, MARGIN = 5.0, 1.2  # a Poisson stream exceeds its mean now and then

    def __init__(self, cap_rps: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.cap_rps, self._clock = cap_rps, clock
        self._ended: deque[tuple[float, int]] = deque()

    def add(self, requests: int) -> None:
        self._ended.append((self._clock(), requests))
        while self._ended[0][0] < self._clock() - self.WINDOW_S:
            self._ended.popleft()

    def is_over(self) -> bool:
        return sum(count for _, count in self._ended) > self.MARGIN * self.cap_rps * self.WINDOW_S

    @property
    def sentence(self) -> str:
        return f"more requests a second were made than are on record for this host ({self.cap_rps:g}); lower --rate"


def _entries() -> list[dict[str, Any]]:
    try:
        lines = record_path().read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    try:
        entries = [json.loads(line) for line in lines if line.strip()]
        return [{"host": e["host"], "max_rps": float(e["max_rps"]), "by": e["by"], "at": e["at"]} for e in entries]
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{record_path()} is damaged ({error}); mend or remove the line") from error


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
