"""What is seen while a run goes on: offered beside done, time left, and that the end of load is not the end."""

import io
from contextlib import redirect_stderr
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loadtests.arrivals import Process, Stage
from loadtests.buckets import bucket_index
from loadtests.plan import LoadPlan
from plimsoll import display


def plan(**more: Any) -> LoadPlan:
    stages = [Stage("one", 10.0, 5.0, 5.0), Stage("ramp", 10.0, 0.0, 40.0)]
    return LoadPlan("r", ["http://127.0.0.1"], ["127.0.0.1"], stages, Process(), 1, "n", **more)


NEWS: dict[str, Any] = {
    "ended": 12, "elapsed_s": 1.0, "outcomes": {"ok": 90, "timeout": 2}, "in_flight": 3, "users": 7, "cpu_cores": 0.2,
    "stage": "ramp", "histogram": [(int(bucket_index(12.34)), 80), (int(bucket_index(240.0)), 20)],
    "recent_p95_ms": 300.0, "lateness_p99_ms": 2.5,
}  # fmt: skip


@pytest.mark.parametrize(("at_s", "offered"), [(0, 5.0), (9.9, 5.0), (15, 20.0), (20, None)])
def test_the_offered_rate_follows_the_schedule(at_s: float, offered: float | None) -> None:
    assert display.offered_now(plan(), at_s) == offered
    assert display.offered_now(plan(loop="closed"), at_s) is None


def test_after_the_load_the_open_answers_are_waited_for() -> None:
    assert display.left(plan(), 4.6) == "15 s left"
    assert display.left(plan(drain_s=30.0), 25.0) == "waiting for open answers, 25 s at most"


def test_in_a_log_a_line_holds_offered_and_done_latency_errors_and_the_generators_health() -> None:
    seen = io.StringIO()
    lines = display.Lines()
    with redirect_stderr(seen):
        lines.begin(plan(), SimpleNamespace(path=Path("runs/x")))  # type: ignore[arg-type]
        lines.progress(0, NEWS)
    last = seen.getvalue().splitlines()[-1]
    for part in (
        "one",
        "12.0 rps of 5.0",
        "p50 12.3 ms",
        "p95 241 ms",
        "failed 2",
        "in flight 3",
        "20% of its core",
        "20 s left",
    ):
        assert part in last


def test_on_a_terminal_the_table_holds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    live = display.Live()
    seen = Console(file=io.StringIO(), width=80, force_terminal=True)
    live._live.console = seen  # type: ignore[misc]
    try:
        live.begin(plan(), SimpleNamespace(path=Path("runs/x")))  # type: ignore[arg-type]
        live.progress(0, NEWS)
        shown = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard", record=True)
        shown.print(live._live.renderable)
        text = shown.export_text()
    finally:
        live.end()
    assert len(text.splitlines()) == 5, "sentence, bar, headings on two lines, figures: nothing wraps"
    for part in ("offered", "done", "now", "300 ms", "20%", "2.5 ms", "20 s"):
        assert part in text
