"""Checks of the generator: what it did not send, what it added to times, and how busy it was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from measurements.check import INVALID, LATENESS_MS, LATENESS_SHARE, NOTE, OK, Check
from measurements.circumstances import Circumstances
from measurements.frame import Frame
from measurements.sample import NULL, Outcome

HOT_CORES, HOT_WINDOWS = 0.8, 3


def delivered(frame: Frame, facts: Circumstances) -> Check:
    """Not sent for the generator's own reasons: its own faults, lost with a worker that nobody agreed to lose, or
    given to a task that made no request."""
    lost = 0 if facts.allow_degraded else int((frame.outcome == Outcome.lost).sum())
    idle = int(frame.without_request.sum())
    missing = lost + idle + sum(facts.own_faults.values())
    share = missing / len(frame) if len(frame) else 0.0
    remedy = "mend the tasks of the locustfile that make no request (errors.parquet names them)" if idle else ""
    if missing > idle:
        remedy = "give the generator more cores (--workers) or a lower rate"
    return Check(
        "load_delivered", "run", INVALID if share > 0.01 else NOTE if missing else OK, share, 0.01,
        f"{missing} of {len(frame)} intended requests were not sent for the generator's own reasons", remedy,
    )  # fmt: skip


def dropped(summary: dict[str, Any], facts: Circumstances) -> list[Check]:
    checks = []
    small = facts.pool_cap < facts.pool_needed
    for stage in summary["stages"]:
        if not stage["dropped"]:
            continue
        sentence = f"{stage['dropped']} arrivals found no free user among {facts.pool_cap}"
        if small:
            remedy = f"{facts.pool_needed:.0f} users are needed (rate × timeout × 1.2): raise the limit of open files (ulimit -n)"
        else:
            remedy = "the target did not keep up: this stage is saturated, which is the finding"
        checks.append(
            Check(
                "dropped_arrivals",
                f"stage:{stage['name']}",
                INVALID if small else NOTE,
                stage["dropped"],
                0,
                sentence,
                remedy,
            )
        )
    return checks or [Check("dropped_arrivals", "run", OK, 0, 0, "every arrival found a free user")]


def generator_added(summary: dict[str, Any]) -> list[Check]:
    """q(response) − q(service) at each reported quantile, per stage and endpoint."""
    worst: dict[str, Check] = {}
    for stage in summary["stages"]:
        if stage["warmup"]:
            continue
        for endpoint, entry in stage["endpoints"].items():
            for check in _added(f"stage:{stage['name']}", endpoint, entry):
                before = worst.get(check.scope)
                rank = (check.state == INVALID, check.measured - check.limit)
                if before is None or rank > (before.state == INVALID, before.measured - before.limit):
                    worst[check.scope] = check
    found = [check for check in worst.values() if check.state != OK]
    return found or [
        Check("generator_added", "run", OK, max((c.measured for c in worst.values()), default=0.0), LATENESS_MS,
              "the generator added no more than 1 ms or 5 % to any reported quantile")
    ]  # fmt: skip


def _added(scope: str, endpoint: str, entry: dict[str, Any]) -> list[Check]:
    checks = []
    response, service = entry["response_ms"], entry["service_ms"]
    for quantile in ("p50", "p90", "p95", "p99", "p99_9"):
        if response.get(quantile) is None or service.get(quantile) is None:
            continue
        added = response[quantile] - service[quantile]
        limit = max(LATENESS_MS, LATENESS_SHARE * response[quantile])
        low = response["ci95"].get(quantile, [0, 0])[0]
        state = OK if added <= limit else INVALID if service[quantile] < low else NOTE
        checks.append(
            Check(
                "generator_added", scope, state, added, limit,
                f"{endpoint}: the generator added {added:.1f} ms to {quantile} ({response[quantile]:.1f} ms)",
                "give the generator a core of its own, or lower the rate" if state != OK else "",
            )
        )  # fmt: skip
    return checks


def cpu(frame: Frame, summary: dict[str, Any], facts: Circumstances) -> Check:
    if facts.longest_hot < HOT_WINDOWS:
        return Check("generator_cpu", "run", OK, facts.cpu_share_max, HOT_CORES,
                     f"a load process used at most {facts.cpu_share_max:.0%} of its core")  # fmt: skip
    if facts.loop == "closed":
        return Check(
            "generator_ceiling", "run", INVALID, facts.cpu_share_max, HOT_CORES,
            f"the generator ran at {facts.cpu_share_max:.0%} of its core for {facts.longest_hot} s: its rate may be "
            "quoted, its latencies may not",
            "for latencies use fewer users or more --workers",
        )  # fmt: skip
    moved = _moved_quantile(frame, facts.hot)
    return Check(
        "generator_cpu", "run", INVALID if moved else NOTE, facts.cpu_share_max, HOT_CORES,
        f"a load process used over {HOT_CORES:.0%} of its core for {facts.longest_hot} s running"
        + (f", and {moved}" if moved else ", and no quantile moved"),
        "use more --workers, or a lower rate" if moved else "",
    )  # fmt: skip


def _moved_quantile(frame: Frame, hot: list[tuple[float, float]]) -> str:
    """Whether the hot seconds differ from the rest of the same stages; a run that was hot throughout cannot tell."""
    timed = frame.where(frame.timed)
    at_s = timed.intended_ns / 1e9
    inside = np.zeros(len(timed), dtype=bool)
    for begin, end in hot:
        inside |= (at_s >= begin) & (at_s < end)
    for code, name in enumerate(timed.stages):
        stage = timed.stage == code
        hot_ms = ((timed.sent_ns - timed.intended_ns) / 1e6)[stage & inside & (timed.sent_ns != NULL)]
        if len(hot_ms) < 100:
            continue
        response_ms = ((timed.done_ns - timed.intended_ns) / 1e6)[stage & inside]
        for q in (0.5, 0.95, 0.99):
            added, limit = np.quantile(hot_ms, q), max(LATENESS_MS, LATENESS_SHARE * np.quantile(response_ms, q))
            if added > limit:
                return f"the p{100 * q:g} of its lateness in {name} was {added:.1f} ms"
    busy = sum(end - begin for begin, end in hot)
    run_s = (timed.intended_ns.max() - timed.intended_ns.min()) / 1e9 if len(timed) else 0.0
    return "it was so for most of the run" if run_s and busy > 0.9 * run_s else ""


def run_delay(facts: Circumstances) -> Check:
    share = facts.run_delay_share
    return Check(
        "generator_run_queue", "run", NOTE if share > 0.05 else OK, share, 0.05,
        f"the load processes waited {share:.1%} of the time for a core",
        "leave the generator's core to it" if share > 0.05 else "",
    )  # fmt: skip


def own_faults(facts: Circumstances) -> Check:
    total = sum(facts.own_faults.values()) + len(facts.faults)
    what = "; ".join([*(f"{text} ({count} times)" for text, count in facts.own_faults.items()), *facts.faults])
    return Check(
        "generator_errors", "run", INVALID if total else OK, total, 0, what or "the generator had no errors of its own",
        "mend this machine (ulimit -n, local ports, memory, disk) and run again" if total else "",
    )  # fmt: skip


def stale(frame: Frame, facts: Circumstances) -> Check:
    share = facts.stale / len(frame) if len(frame) else 0.0
    return Check(
        "keep_alive_race", "run", INVALID if share > 0.01 else NOTE if facts.stale else OK, share, 0.01,
        f"{facts.stale} requests met a connection that the server was just closing: the generator's cost, not an error "
        "of the service",
        "raise the server's keep-alive timeout above the pause between requests" if facts.stale else "",
    )  # fmt: skip


def hot_windows(progress: Iterable[dict[str, Any]]) -> tuple[list[tuple[float, float]], int, float]:
    """(windows in s, longest run of seconds, highest share) of a load process over 80 % of a core."""
    by_worker: dict[int, list[dict[str, Any]]] = {}
    for news in progress:
        by_worker.setdefault(news["worker"], []).append(news)
    hot: list[tuple[float, float]] = []
    longest, highest = 0, 0.0
    for series in by_worker.values():
        at, streak = 0.0, 0
        for news in series:
            begin, at = at, at + news["elapsed_s"]
            highest = max(highest, news["cpu_cores"])
            if news["cpu_cores"] > HOT_CORES:
                streak += 1
                hot.append((begin, at))
            else:
                streak = 0
            longest = max(longest, streak)
    return hot, longest, highest
