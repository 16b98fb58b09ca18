"""Tells people, by severity, through Apprise: chat, mail and whatever else it speaks.

A channel in the contract is the name of an environment variable that holds Apprise's URL, so that no secret stands in a
file; one that is not set is passed over, with a sentence. Messages carry figures and names, never requests or answers.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from targets.contract import Alert

SEVERITY = {"FAIL": "critical", "INVALID": "high", "BLIND": "medium", "INCONCLUSIVE": "medium", "WARN": "low"}
MOST_CHARS = 1_500
SECRET = re.compile(r"(?i)(bearer\s+|(?:token|key|secret|password)\s*[=:]\s*|://[^/\s:@]+:)[^\s@&]+")


def gate_message(verdict: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """(severity, title, text) of a gate's verdict; None for a PASS, which nobody needs to be told."""
    name = str(verdict.get("verdict"))
    if name not in SEVERITY:
        return None
    lines = [str(reason) for reason in verdict.get("reasons") or []]
    for one in verdict.get("comparisons") or []:
        if one.get("primary") and one.get("verdict") == name and one.get("ratio") and one.get("ci95"):
            low, high = (100 * (end - 1) for end in one["ci95"])
            lines.append(
                f"{one['endpoint']} {one['metric']}: {100 * (one['ratio'] - 1):+.1f} % [{low:+.1f}, {high:+.1f}]"
            )
    return SEVERITY[name], f"{name}: gate of {verdict.get('target')}", "\n".join([*lines, f"run {verdict.get('run')}"])


def send(alert: Alert, severity: str, title: str, text: str) -> list[str]:
    """Sentences about what could not be sent; [] when everybody was told, or nobody is to be."""
    return send_to(dict(alert.notify).get(severity, []), severity, title, text)  # type: ignore[call-overload]


def send_to(channels: Sequence[str], severity: str, title: str, text: str) -> list[str]:
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs URLs, which are secrets
    kinds = {
        "critical": apprise.NotifyType.FAILURE,
        "high": apprise.NotifyType.FAILURE,
        "medium": apprise.NotifyType.WARNING,
    }
    missing = [channel for channel in channels if not os.environ.get(channel)]
    problems = [f"{severity}: nobody was told on {', '.join(missing)}: not set in the environment"] if missing else []
    for channel in channels:
        url = os.environ.get(channel, "")
        if not url:
            continue
        service = apprise.Apprise()
        if not service.add(url):
            problems.append(f"{severity}: {channel} holds no URL that Apprise knows; see the list of its services")
            continue
        try:
            told = service.notify(
                title=_clean(title), body=_clean(text), notify_type=kinds.get(severity, apprise.NotifyType.INFO)
            )
        except Exception as error:  # a plug-in's defect must not cost a verdict
            problems.append(f"{severity}: {channel} broke while it was told ({type(error).__name__})")
            continue
        if not told:
            problems.append(
                f"{severity}: {channel} did not take the message; check its URL and that it can be reached from here"
            )
    return problems


def _clean(text: str) -> str:
    """Without secrets that a name might carry, without control characters, and short."""
    shown = SECRET.sub(lambda found: f"{found.group(1)}***", text)
    return "".join(c for c in shown if c.isprintable() or c == "\n")[:MOST_CHARS]
