"""The weekly trend as Markdown: verdicts, what changed and between which commits, creep since the pinned release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import prod
from typing import Any

from scipy.stats import binomtest

from benchmarks.history.changes import Change, change_points
from benchmarks.history.store import Point

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Trend:
    """One figure over time. `creep`: value now over the value at the pinned release; None without one."""

    endpoint: str
    metric: str
    points: list[Point]
    changes: list[Change]
    creep: float | None

    def where(self, change: Change) -> str:
        """The commits between which it happened."""
        before, after = self.points[change.index - 1], self.points[change.index]
        return f"{before.commit[:10] or before.run} .. {after.commit[:10] or after.run}"


def trends(series: Mapping[tuple[str, str], Sequence[Point]]) -> list[Trend]:
    found = []
    for (endpoint, metric), points in series.items():
        known = [point for point in points if point.value is not None]
        if not known:
            continue
        changes = change_points([point.value for point in known if point.value is not None])
        pinned = next((point.value for point in known if point.pinned), None)
        now = known[-1].value
        found.append(Trend(endpoint, metric, known, changes, now / pinned if pinned and now else None))
    return found


def creep_of_gates(points: Sequence[Point]) -> float | None:
    """Product of the ratios since the pinned gate, where each gate's baseline was the candidate before it."""
    since = next((k for k, point in enumerate(points) if point.pinned), None)
    ratios = [point.ratio for point in points[since + 1 :] if point.ratio] if since is not None else []
    return prod(ratios) if ratios else None


def weekly(target: str, entries: Sequence[Mapping[str, Any]], found: Sequence[Trend], now: datetime) -> str:
    """`entries` as Store.entries gives them; `now` in UTC without a zone, as stored."""
    week = [entry for entry in entries if entry["ended"] >= now - WEEK]
    gates = Counter(str(entry["verdict"]) for entry in week if entry["kind"] == "gate")
    lines = [f"## {_plain(target)}: the week to {now:%Y-%m-%d}", ""]
    if gates:
        this_week = ", ".join(f"{count} {verdict}" for verdict, count in sorted(gates.items()))
        lines.append(f"Gates: {this_week}. {alarms(entries)}")
    else:
        lines.append("No gate ran this week.")
    runs = sum(entry["kind"] != "gate" for entry in week)
    lines += [
        *([f"Runs: {runs}."] if runs else []),
        "",
        "| figure | now | a week ago | change | since release |",
        "|---|---:|---:|---:|---:|",
    ]
    rows = 0
    for trend in found:
        old = next((p.value for p in reversed(trend.points) if p.at < now - WEEK), None)
        value = trend.points[-1].value
        if value is None or trend.metric == "leak_kib_per_request":
            continue
        moved = f"{value / old - 1:+.1%}" if old else "–"
        creep = f"{trend.creep - 1:+.1%}" if trend.creep else "–"
        name = f"{_plain(trend.endpoint)} {_plain(trend.metric)}"
        lines.append(f"| {name} | {value:.4g} | {f'{old:.4g}' if old else '–'} | {moved} | {creep} |")
        rows += 1
    if not rows:
        lines = [*lines[:-2], "Nothing was measured yet."]
    changed = [
        (trend, change) for trend in found for change in trend.changes if trend.points[change.index].at >= now - WEEK
    ]
    if changed:
        lines += ["", "Changed this week (a warning: later gates may explain it away):", ""]
        lines += [
            f"- {_plain(t.endpoint)} {_plain(t.metric)}: {c.relative:+.1%}, between {_plain(t.where(c))}"
            for t, c in changed
        ]
    return "\n".join(line for line in lines) + "\n"


def alarms(entries: Sequence[Mapping[str, Any]]) -> str:
    """How many of all gates failed, with the interval of Clopper and Pearson: in a store of gates of equal versions these
    are its false alarms, and every night makes the interval narrower."""
    verdicts = Counter(str(entry["verdict"]) for entry in entries if entry["kind"] == "gate")
    count = verdicts.total()
    if not count:
        return ""
    ci = binomtest(verdicts["FAIL"], count).proportion_ci(0.95, method="exact")
    unsure = verdicts["BLIND"] + verdicts["INCONCLUSIVE"]
    return (
        f"Of all {count} gates {verdicts['FAIL']} failed ({ci.low:.1%} to {ci.high:.1%} at 95 %), {verdicts['PASS']} passed, "
        f"{unsure} were unsure."
    )


def _plain(text: str) -> str:
    """Names come from targets: nothing in them is markup."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+!|~&@" else c for c in " ".join(text.split()))
