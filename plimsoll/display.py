"""What is seen while a run goes on: a live table on a terminal, plain lines elsewhere; all of it on standard error."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

from loadtests.buckets import quantile_ms
from loadtests.plan import LoadPlan
from measurements.plain import plain
from measurements.rundir import RunDirectory
from plimsoll.watcher import Watcher

EVERY_S = 5.0


class Lines(Watcher):
    """A line per phase, and one every five seconds: for logs and CI."""

    def __init__(self) -> None:
        self._plan: LoadPlan | None = None
        self._latest: dict[int, dict[str, Any]] = {}
        self._began = self._said = 0.0

    def phase(self, sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    def page(self, url: str) -> None:
        self.phase(f"Locust's web UI: {url}")

    def begin(self, plan: LoadPlan, run: RunDirectory) -> None:
        self._plan, self._began = plan, time.monotonic()
        self.phase(f"{describe(plan)} -> {run.path}")

    def progress(self, worker: int, news: dict[str, Any]) -> None:
        self._latest[worker] = news
        if time.monotonic() - self._said >= EVERY_S and self._plan:
            self._said = time.monotonic()
            self.phase(self._line(self._plan))

    def _line(self, plan: LoadPlan) -> str:
        merged = merge(list(self._latest.values()))
        spent_s = time.monotonic() - self._began
        offered = offered_now(plan, spent_s)
        parts = [
            f"{stage_now(plan, spent_s) or '-':>8}",
            f"{merged['done_rps']:7.1f} rps" + (f" of {offered:.1f}" if offered is not None else ""),
            f"p50 {_ms(merged['p50_ms'])}",
            f"p95 {_ms(merged['p95_ms'])}",
            f"failed {merged['failed']}",
            f"in flight {merged['in_flight']}",
            f"generator {merged['cpu_cores']:.0%} of its core",
            left(plan, spent_s),
        ]
        return "  ".join(parts)


class Live(Watcher):
    """A table that is redrawn in place, for a terminal."""

    redraws = True

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        drawn_on = Console(file=getattr(sys.stderr, "unfiltered", sys.stderr))
        self._live = RichLive("", console=drawn_on, refresh_per_second=4, transient=True, redirect_stdout=False,
                              redirect_stderr=False)  # fmt: skip
        self._plan: LoadPlan | None = None
        self._latest: dict[int, dict[str, Any]] = {}
        self._began = 0.0
        self._started = False
        self._phase = self._page = ""

    def phase(self, sentence: str) -> None:
        self._phase = plain(sentence)
        self._draw()

    def page(self, url: str) -> None:
        self._page = f"; Locust's web UI: {url}"

    def begin(self, plan: LoadPlan, run: RunDirectory) -> None:
        self._plan, self._began = plan, time.monotonic()
        self._phase = describe(plan) + self._page
        self._draw()

    def progress(self, worker: int, news: dict[str, Any]) -> None:
        self._latest[worker] = news
        self._draw()

    def end(self) -> None:
        if self._started:
            self._live.stop()
            self._started = False

    def _draw(self) -> None:
        from rich.console import Group
        from rich.padding import Padding
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if not self._started:
            self._live.start()
            self._started = True
        if self._plan is None or not self._latest:
            self._live.update(Text(f"{self._phase} …", style="dim"))
            return
        merged = merge(list(self._latest.values()))
        total_s = sum(s.duration_s for s in self._plan.stages)
        spent_s = time.monotonic() - self._began
        offered = offered_now(self._plan, spent_s)
        table = Table(box=None, show_header=True, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
        for heading in (
            "stage",
            "offered",
            "done\nrps",
            "p50",
            "p95",
            "p95\nnow",
            "failed",
            "in\nflight",
            "users",
            "gen.\nCPU",
            "gen.\nlate",
            "left",
        ):
            table.add_column(heading, justify="right", no_wrap=True)
        lateness = merged["lateness_p99_ms"]
        late = _ms(lateness) if lateness and lateness > 1 else "-"
        draining = f"; {left(self._plan, spent_s)}" if spent_s >= total_s and merged["in_flight"] else ""
        rate = "-" if offered is None else f"{offered:.1f}"
        table.add_row(
            stage_now(self._plan, spent_s) or "-", rate, f"{merged['done_rps']:.1f}", _ms(merged["p50_ms"]), _ms(merged["p95_ms"]),
            _ms(merged["recent_p95_ms"]), str(merged["failed"]), str(merged["in_flight"]), str(merged["users"]),
            f"{merged['cpu_cores']:.0%}", late, f"{max(0.0, total_s - spent_s):.0f} s",
        )  # fmt: skip
        self._live.update(
            Group(
                Text(self._phase + draining, style="dim"),
                Padding(ProgressBar(total=total_s, completed=min(spent_s, total_s)), 0),  # a bar alone ends no line
                table,
            )
        )


def watcher(quiet: bool) -> Watcher:
    if quiet:
        return Watcher()
    return Live() if sys.stderr.isatty() else Lines()


def merge(news: list[dict[str, Any]]) -> dict[str, Any]:
    """Several workers' last second as one: histograms of the run so far add up; what has none takes the worst's."""
    histogram: Counter[int] = Counter()
    for n in news:
        for bucket, count in n["histogram"]:
            histogram[bucket] += count

    def worst(key: str) -> float | None:
        return max((n[key] for n in news if n[key] is not None), default=None)

    return {
        "done_rps": sum(n["ended"] / n["elapsed_s"] for n in news),
        "failed": sum(sum(n["outcomes"].values()) - n["outcomes"].get("ok", 0) for n in news),
        "in_flight": sum(n["in_flight"] for n in news),
        "users": sum(n["users"] for n in news),
        "cpu_cores": max(n["cpu_cores"] for n in news),
        "p50_ms": quantile_ms(histogram, 0.5),
        "p95_ms": quantile_ms(histogram, 0.95),
        **{key: worst(key) for key in ("recent_p95_ms", "lateness_p99_ms")},
    }


def offered_now(plan: LoadPlan, spent_s: float) -> float | None:
    """Arrivals per second that the schedule asks for at this moment; None in a closed loop and while draining."""
    if plan.loop == "closed":
        return None
    begun_s = 0.0
    for stage in plan.stages:
        if spent_s < begun_s + stage.duration_s:
            share = (spent_s - begun_s) / stage.duration_s
            return stage.start_rps + (stage.end_rps - stage.start_rps) * share
        begun_s += stage.duration_s
    return None


def stage_now(plan: LoadPlan, spent_s: float) -> str:
    """The stage that the schedule is in; "" while draining."""
    ends_s = 0.0
    for stage in plan.stages:
        ends_s += stage.duration_s
        if spent_s < ends_s:
            return stage.name
    return ""


def left(plan: LoadPlan, spent_s: float) -> str:
    """Time to the end of the load; after it the open requests have as long as the timeout."""
    remaining_s = sum(stage.duration_s for stage in plan.stages) - spent_s
    if remaining_s > 0:
        return f"{remaining_s:.0f} s left"
    return f"waiting for open answers, {max(0.0, remaining_s + plan.drain_s):.0f} s at most"


def describe(plan: LoadPlan) -> str:
    seconds = sum(stage.duration_s for stage in plan.stages)
    if plan.loop == "closed":
        return f"closed loop, {plan.users} users for {seconds:g} s"
    low = min(
        (min(s.start_rps, s.end_rps) for s in plan.stages if s.start_rps or s.end_rps), default=0.0
    )  # not of pauses
    high = max(max(s.start_rps, s.end_rps) for s in plan.stages)
    rates = f"{high:g} rps" if low == high else f"{low:g} to {high:g} rps in {len(plan.stages)} stages"
    return f"open loop, {plan.process.label} arrivals, {rates}, {seconds:g} s"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
