"""Locust's own web UI on a run of ours: on loopback, to be looked at. The schedule is Plimsoll's, so nothing in it starts,
stops or resets; a tab of our own shows the stages. Its percentiles come from our rows, kept to 0.5 %."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loadtests.arrivals import Stage
from loadtests.buckets import bucket_index, bucket_value
from measurements.sample import NULL, Outcome

KEY = "plimsoll-stages"
LOCAL = "127.0.0.1"
CENSORED = (Outcome.ok, Outcome.timeout, Outcome.abandoned)
COLUMNS = {
    "name": "Stage", "offered": "Offered, requests/s", "requests": "Requests", "failed": "Failed", "p50": "p50, ms",
    "p95": "p95, ms", "p99": "p99, ms",
}  # fmt: skip


class StageTable:
    """Per stage what has ended so far; a listener of the recorder."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self._requests, self._failed = Counter[int](), Counter[int]()
        self._times = [Counter[int]() for _ in stages]

    def __call__(self, packed: np.ndarray) -> None:
        for number in range(len(self._stages)):
            rows = packed[packed["stage"] == number]
            if not len(rows):
                continue
            self._requests[number] += len(rows)
            self._failed[number] += int((rows["outcome"] != Outcome.ok).sum())
            timed = rows[np.isin(rows["outcome"], CENSORED) & (rows["done_ns"] != NULL)]
            found = bucket_index(np.maximum((timed["done_ns"] - timed["intended_ns"]) / 1e6, 0.0))
            self._times[number].update(found.tolist())

    def rows(self) -> list[dict[str, Any]]:
        """Those that have begun, newest first: what is going on stands at the top."""
        return [self._row(number) for number in reversed(range(len(self._stages))) if self._requests[number]]

    def _row(self, number: int) -> dict[str, Any]:
        stage = self._stages[number]
        ends = dict.fromkeys((f"{stage.start_rps:g}", f"{stage.end_rps:g}"))
        return {
            "name": stage.name,
            "offered": " – ".join(ends) if stage.end_rps else "closed loop",
            "requests": self._requests[number],
            "failed": self._failed[number],
            **{name: _quantile_ms(self._times[number], q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
        }


def _quantile_ms(times: Counter[int], q: float) -> float | None:
    wanted, seen = q * times.total(), 0
    for bucket in sorted(times):
        seen += times[bucket]
        if seen >= wanted:
            return float(f"{float(bucket_value(bucket)):.3g}")
    return None


def open_ui(environment: Any, port: int, table: StageTable, users: Callable[[], int]) -> Any:
    """Listens at once. Whatever would change the run is refused, and so is a page of another origin."""
    from flask import request

    environment.runner.state = "running"  # else its page offers to start a test
    ui = environment.create_web_ui(LOCAL, port, delayed_start=True)
    ui.template_args["extended_tabs"] = [{"title": "Stages", "key": KEY}]
    ui.template_args["extended_tables"] = [
        {"key": KEY, "structure": [{"key": key, "title": title} for key, title in COLUMNS.items()]}
    ]

    @ui.app.before_request
    def refuse() -> Any:
        own = f"http://{request.host}"
        if request.method != "GET":
            return {"success": False, "message": "Plimsoll holds the schedule: end the run with Ctrl-C"}, 403
        if request.host.split(":")[0] not in (LOCAL, "localhost") or request.headers.get("Origin", own) != own:
            return {"success": False, "message": "this page is for a browser on this machine"}, 403
        return None

    @ui.app.after_request
    def extend(response: Any) -> Any:
        if request.path == "/stats/requests" and response.is_json:
            found = response.get_json()
            if isinstance(found, dict):
                more = {
                    "extended_stats": [{"key": KEY, "data": table.rows()}],
                    "user_count": users(),
                    "state": "running",
                }
                response.set_data(ui.app.json.dumps(found | more))
        return response

    ui.start()
    return ui
