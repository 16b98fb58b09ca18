"""Locust's web UI shows a run with our percentiles and its stages, on this machine only, and cannot change it."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from loadtests.arrivals import Stage
from loadtests.web_ui import StageTable
from measurements.sample import NULL, PACKED, Outcome

ROOT = Path(__file__).parents[2]
SHOWN = """
    from gevent import monkey
    monkey.patch_all()
    import json, socket
    import gevent, httpx, numpy as np
    from locust.env import Environment
    from loadtests.arrivals import Stage
    from loadtests.locust_stats import StatsFeed
    from loadtests.web_ui import StageTable, open_ui
    from measurements.sample import PACKED, Outcome

    rows = np.zeros(100, dtype=PACKED)
    rows["done_ns"], rows["outcome"] = np.arange(1, 101) * 1_000_000, Outcome.ok
    environment = Environment(host="http://127.0.0.1:9")
    runner = environment.create_local_runner()
    table = StageTable([Stage("step-01", 5.0, 5.0, 10.0)])
    table(rows)
    StatsFeed(runner.stats, ["ask"], {})(rows)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ui = open_ui(environment, port, table, lambda: 7)
    gevent.sleep(0.3)
    base = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=base, trust_env=False) as client:
        stats = client.get("/stats/requests").json()
        found = {
            "page": client.get("/").text, "stats": stats,
            "refused": [client.post(path).status_code for path in ("/swarm", "/stop", "/stats/reset")],
            "foreign": [client.get("/stats/requests", headers=headers).status_code
                        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"})],
        }
    ui.stop()
    print(json.dumps(found))
"""


def rows(stage: int, ms: list[float], outcome: Outcome = Outcome.ok) -> np.ndarray:
    packed = np.zeros(len(ms), dtype=PACKED)
    packed["stage"], packed["outcome"] = stage, outcome
    packed["done_ns"] = [int(value * 1e6) for value in ms]
    return packed


def test_each_stage_has_its_counts_and_percentiles_the_newest_first() -> None:
    table = StageTable(
        [Stage("step-01", 5.0, 5.0, 10.0), Stage("step-02", 5.0, 10.0, 10.0), Stage("last", 9.0, 9.0, 1.0)]
    )
    table(rows(0, list(range(1, 101))))
    table(rows(1, [20.0] * 9))
    failed = rows(1, [1.0], Outcome.http_error)
    never = rows(1, [0.0], Outcome.dropped)
    never["done_ns"] = NULL
    table(np.concatenate([failed, never]))
    second, first = table.rows()
    assert (first["name"], first["requests"], first["failed"]) == ("step-01", 100, 0)
    assert first["p95"] == pytest.approx(95, rel=0.01) and first["p50"] == pytest.approx(50, rel=0.02)
    assert (second["offered"], second["requests"], second["failed"]) == ("5 – 10", 11, 2)
    assert second["p99"] == pytest.approx(20, rel=0.01)  # fast failures do not flatter


def test_the_page_shows_it_and_can_neither_start_nor_stop_nor_be_read_from_elsewhere() -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(SHOWN)], cwd=ROOT, capture_output=True, text=True, timeout=60,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "Stages" in found["page"] and found["refused"] == [403, 403, 403] and found["foreign"] == [403, 403]
    stats = found["stats"]
    assert stats["state"] == "running" and stats["user_count"] == 7
    [table] = stats["extended_stats"]
    assert table["data"][0]["name"] == "step-01" and table["data"][0]["p99"] == pytest.approx(99, rel=0.01)
    entry = next(one for one in stats["stats"] if one["name"] == "ask")
    assert entry["response_time_percentile_0.95"] == pytest.approx(95, rel=0.01)
