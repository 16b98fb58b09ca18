"""Locust's web UI of a run: its pages, its charts, our numbers; a table of stages beside them.

A process of its own off the generator's core, started by the runner as `python -P -m loadtests.web_ui FD`, told once a
second what the load processes recorded. The load is the plan's: the page can end it, and cannot start another.
"""

from __future__ import annotations

# gevent patches first, by way of Locust; this module is imported in a child process only
import locust  # isort: skip
import os
import sys
from collections import Counter
from typing import Any

import flask
import gevent
import locust.stats
from gevent import socket
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_STOPPED, LocalRunner
from locust.web import WebUI

from loadtests import page_guard
from loadtests.buckets import supported_ms
from loadtests.exact_stats import without_rounding
from loadtests.locust_stats import Added, feed
from loadtests.orders import Orders
from loadtests.plan import LoadPlan

PORT = 8089  # Locust's
SHOWN = (0.5, 0.9, 0.95, 0.99, 0.999)
NO_START = "the load follows the plan of this run and cannot be changed from here; start another with plimsoll run"
COLUMNS = {
    "stage": "Stage", "offered": "Offered/s", "ended": "Ended", "failed": "Failed", "dropped": "Dropped",
    "p50": "p50 (ms)", "p95": "p95 (ms)", "p99": "p99 (ms)",
}  # fmt: skip


class Elsewhere(LocalRunner):
    """The runner that the page asks: its users are in the load processes."""

    def __init__(self, environment: Environment, orders: Orders) -> None:
        super().__init__(environment)
        self._orders = orders
        self.users: dict[int, int] = {}

    @property
    def user_count(self) -> int:
        return sum(self.users.values())

    def stop(self) -> None:
        self._orders.tell(event="stop", why="stopped in the web UI")


class Stages:
    """What each stage of the plan came to so far; percentiles over the same rows as the report's, where they are enough."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._outcomes: list[Counter[str]] = [Counter() for _ in plan.stages]
        self._timed: list[Counter[int]] = [Counter() for _ in plan.stages]

    def add(self, one: Added) -> None:
        if one.stage < len(self._outcomes):  # what users do at their start belongs to no stage
            self._outcomes[one.stage].update(one.outcomes)
            self._timed[one.stage].update(one.timed)

    def rows(self) -> list[dict[str, Any]]:
        return [self._row(k) for k, outcomes in enumerate(self._outcomes) if outcomes]

    def _row(self, k: int) -> dict[str, Any]:
        stage, outcomes = self._plan.stages[k], self._outcomes[k]
        offered = "-" if self._plan.loop == "closed" else f"{(stage.start_rps + stage.end_rps) / 2:g}"
        found = {f"p{100 * q:g}": supported_ms(self._timed[k], q) for q in (0.5, 0.95, 0.99)}
        return {
            "stage": stage.name, "offered": offered, "ended": outcomes.total(),
            "failed": outcomes.total() - outcomes["ok"], "dropped": outcomes["dropped"],
            **{name: "-" if ms is None else f"{ms:.4g}" for name, ms in found.items()},
        }  # fmt: skip


class Page:
    """Serves Locust's UI and is fed by `progress`."""

    def __init__(self, plan: LoadPlan, orders: Orders) -> None:
        locust.stats.PERCENTILES_TO_STATISTICS = list(SHOWN[1:])
        locust.stats.PERCENTILES_TO_CHART = [0.5, 0.95, 0.99]
        without_rounding()
        self._environment = Environment(host=plan.base_urls[0], locustfile=plan.run)
        self.runner = self._environment.runner = Elsewhere(self._environment, orders)
        self._stages = Stages(plan)
        host = plan.ui_host or "127.0.0.1"
        listening = _listening(host)
        self.url = page_guard.url(host, listening.getsockname()[1], plan.ui_token)
        self._ui = _Served(self._environment, host, listening)
        self._ui.template_args = {
            "extended_tabs": [{"title": "Stages", "key": "stages"}],
            "extended_tables": [{"key": "stages", "structure": [{"key": k, "title": t} for k, t in COLUMNS.items()]}],
        }
        app = self._ui.app
        assert app is not None
        page_guard.put_on(app, host, plan.ui_token)
        app.before_request(self._refuse_start)
        app.after_request(self._add_stages)
        self.runner.update_state(STATE_RUNNING)
        gevent.spawn(locust.stats.stats_history, self.runner)
        self._ui.start()

    def progress(self, worker: int, users: int, new: list[dict[str, Any]], exceptions: list[str]) -> None:
        self.runner.users[worker] = users
        for document in new:
            one = Added.from_json(document)
            feed(self.runner.stats, one)
            self._stages.add(one)
        for sentence in exceptions:
            known = {row["msg"] for row in self.runner.exceptions.values()}
            if sentence not in known:
                self.runner.log_exception("local", sentence, "")

    def _refuse_start(self) -> Any:
        if flask.request.path in ("/swarm", "/user"):
            return flask.jsonify({"success": False, "message": NO_START, "host": self._environment.host})
        return None

    def _add_stages(self, response: Any) -> Any:
        if flask.request.path == "/stats/requests" and response.is_json:
            extended = [{"key": "stages", "data": self._stages.rows()}]
            response.set_data(flask.json.dumps({**response.json, "extended_stats": extended}))
        return response


class _Served(WebUI):
    """On a socket that is bound already, so that a taken port is known before the run begins."""

    def __init__(self, environment: Environment, host: str, listening: Any) -> None:
        self._listening = listening
        super().__init__(environment, host, listening.getsockname()[1], delayed_start=True)

    def start_server(self) -> None:
        from gevent import pywsgi

        self.server = pywsgi.WSGIServer(self._listening, self.app, log=None, error_log=None)
        self.server.serve_forever()


def _listening(host: str) -> Any:
    """Locust's port, or a free one where that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in (PORT, 0):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            sock.close()
            if port == 0:
                raise
            continue
        sock.listen(64)
        return sock
    raise AssertionError("unreachable")


def main(fd: int) -> int:
    orders = Orders(fd)
    first = orders.next()
    if first is None:
        return 1
    plan = LoadPlan.from_json(first["plan"])
    try:
        page = Page(plan, orders)
    except OSError as error:
        sentence = f"--ui-host {plan.ui_host}: the web UI cannot listen there ({error.strerror or error})"
        orders.tell(event="refused", sentence=sentence, exit_code=2)
        return 2
    orders.tell(event="ready", url=page.url)
    while (order := orders.next()) is not None:
        if order["order"] == "progress":
            page.progress(order["worker"], order["users"], order["added"], order["exceptions"])
        else:
            page.runner.update_state(STATE_STOPPED)
    return 0


if __name__ == "__main__":
    code = main(int(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)
