"""Asks a service's health checks while it is under load, as an orchestrator would, from a thread of a parent process.

A check that fails under load takes the service away just when it is needed; whether it does is seen from outside only.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from profiles.traffic import tls_context
from targets import pinned

TIMEOUT_S = 5.0
MOST_FAILURES = 20
PERIODS_S = {"readiness": 5.0, "liveness": 10.0}  # the reference team's; Kubernetes' own default is 10 s for both


@dataclass(frozen=True)
class HealthCheck:
    """`expected`: statuses that mean healthy; None for any 2xx."""

    endpoint: str
    purpose: str  # readiness or liveness
    url: str
    header: Mapping[str, str] = field(default_factory=dict)
    expected: frozenset[int] | None = None

    @property
    def period_s(self) -> float:
        return PERIODS_S[self.purpose]


class HealthWatch:
    """`start_ns` is the run's start on `time.monotonic_ns`. Whatever goes wrong is an answer, never an error."""

    def __init__(
        self, checks: Sequence[HealthCheck], start_ns: int, *, verify_tls: bool = True, source: str | None = None
    ) -> None:
        self.start_ns = start_ns
        self._checks = list(checks)
        verify = tls_context(checks[0].url, verify_tls) if checks else False
        transport = pinned.Pinned(verify=verify, source=source, keep=0)
        self._client = httpx.Client(transport=transport, timeout=TIMEOUT_S, trust_env=False)
        self._asked: dict[str, list[tuple[float, float, str]]] = {check.endpoint: [] for check in checks}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._checks:
            self._thread = threading.Thread(target=self._watch, name="health", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Waits at most for the answer that is awaited. A second call does nothing."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._client.close()

    def results(self) -> dict[str, dict[str, Any]]:
        """endpoint → asked, failed, failed_in_a_row (the longest), worst_ms, failures: [{at_s, said}] (the first ones)."""
        return {check.endpoint: _told(check, self._asked[check.endpoint]) for check in self._checks}

    def _watch(self) -> None:
        due_s = {check.endpoint: time.monotonic() for check in self._checks}
        while not self._ended.wait(max(0.0, min(due_s.values()) - time.monotonic())):
            for check in self._checks:
                if due_s[check.endpoint] <= time.monotonic() and not self._ended.is_set():
                    self._asked[check.endpoint].append(self._ask(check))
                    due_s[check.endpoint] = max(due_s[check.endpoint] + check.period_s, time.monotonic())

    def _ask(self, check: HealthCheck) -> tuple[float, float, str]:
        """(seconds into the run, milliseconds that it took, what was wrong)."""
        began_ns = time.monotonic_ns()
        try:
            with self._client.stream("GET", check.url, headers=dict(check.header)) as response:
                status = response.status_code
            healthy = status in check.expected if check.expected else 200 <= status < 300
            wrong = "" if healthy else f"status {status}"
        except Exception as error:  # httpx's errors, and what a broken peer makes the layers below it raise
            timed_out = isinstance(error, httpx.TimeoutException)
            wrong = f"no answer within {TIMEOUT_S:g} s" if timed_out else f"no answer ({type(error).__name__})"
        return (began_ns - self.start_ns) / 1e9, (time.monotonic_ns() - began_ns) / 1e6, wrong


def _told(check: HealthCheck, asked: list[tuple[float, float, str]]) -> dict[str, Any]:
    longest = running = 0
    for _, _, wrong in asked:
        running = running + 1 if wrong else 0
        longest = max(longest, running)
    failures = [{"at_s": at_s, "said": wrong} for at_s, _, wrong in asked if wrong]
    return {
        "purpose": check.purpose,
        "period_s": check.period_s,
        "asked": len(asked),
        "failed": len(failures),
        "failed_in_a_row": longest,
        "worst_ms": max((took_ms for _, took_ms, _ in asked), default=None),
        "failures": failures[:MOST_FAILURES],
    }
