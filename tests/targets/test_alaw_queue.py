"""alaw's queues over real HTTP, with work that waits until the test lets it go."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from reference_services import served

from targets.reference.alaw.app import create_app
from targets.reference.alaw.settings import Settings


class Held:
    """Work that ends when it is let go; counts how many run at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = self.most = 0
        self.started: list[str] = []
        self._lock = threading.Lock()

    def search(self, query: str, limit: int) -> list[dict[str, Any]]:
        with self._lock:
            self.running += 1
            self.started.append(query)
            self.most = max(self.most, self.running)
        self.go.wait(10)
        with self._lock:
            self.running -= 1
        return [{"case_number": query}]

    def analyse(self, case_text: str) -> dict[str, Any]:
        raise ValueError("nothing to analyse")


@pytest.fixture
def held() -> Iterator[Held]:
    work = Held()
    yield work
    work.go.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as threads:
        yield threads


def service(work_dir: Path, held: Held, **options: Any) -> Any:
    return served(create_app(Settings(work_dir=work_dir, **options), engine=held))


CLIENT = httpx.Client(timeout=20)  # one for all threads: making one costs as much as 30 requests


def ask(url: str, number: int = 0) -> httpx.Response:
    return CLIENT.post(f"{url}/api/search", json={"query": f"질의 {number}"})


def test_the_status_document_has_its_teams_shape(tmp_path: Path, held: Held):
    held.go.set()
    with service(tmp_path, held) as url:
        assert ask(url).status_code == 200
        document = CLIENT.get(f"{url}/api/queue/status/json").json()
    assert set(document) == {"timestamp", "queue_stats"} and set(document["queue_stats"]) == {"search", "analysis"}
    assert all({"pending", "running"} <= queue.keys() for queue in document["queue_stats"].values())
    assert document["queue_stats"]["search"]["completed"] == 1


def stats(url: str) -> dict[str, Any]:
    return CLIENT.get(f"{url}/api/queue/status/json").json()["queue_stats"]


def wait_for(url: str, **wanted: int) -> None:
    deadline_s = time.monotonic() + 5
    while any(stats(url)["search"][key] != value for key, value in wanted.items()):
        assert time.monotonic() < deadline_s, stats(url)
        time.sleep(0.01)


def test_two_searches_run_ten_wait_and_the_thirteenth_is_refused(tmp_path: Path, held: Held, pool: ThreadPoolExecutor):
    with service(tmp_path, held) as url:
        waiting: list[Future[httpx.Response]] = [pool.submit(ask, url, number) for number in range(12)]
        wait_for(url, running=2, pending=10)
        refused = ask(url, 13)
        assert refused.status_code == 503
        assert "full" in refused.json()["detail"]
        assert CLIENT.get(f"{url}/api/queue/health").status_code == 503
        assert CLIENT.post(f"{url}/api/search", json={"query": ""}).status_code == 422  # it asks for no place
        held.go.set()
        assert [answer.result().status_code for answer in waiting] == [200] * 12
        assert held.most == 2
        assert stats(url)["search"]["completed"] == 12
        assert stats(url)["search"]["rejected"] == 1
        assert CLIENT.get(f"{url}/api/queue/health").json()["checks"]["queue"] == "ok"
    assert (tmp_path / "data" / "queue.db").exists()


def test_waiting_searches_are_run_in_the_order_they_came(tmp_path: Path, held: Held, pool: ThreadPoolExecutor):
    with service(tmp_path, held, search_max_concurrent=1) as url:
        waiting = []
        for number in range(5):
            waiting.append(pool.submit(ask, url, number))
            wait_for(url, running=1, pending=number)
        held.go.set()
        for answer in waiting:
            answer.result()
    assert held.started == [f"질의 {number}" for number in range(5)]


def test_a_stuck_search_times_out_and_keeps_its_slot_until_it_ends(
    tmp_path: Path, held: Held, pool: ThreadPoolExecutor
):
    with service(tmp_path, held, search_max_concurrent=1, search_timeout_s=1) as url:
        stuck = pool.submit(ask, url, 1)
        wait_for(url, running=1)
        behind = pool.submit(ask, url, 2)
        assert stuck.result().status_code == 504
        assert behind.result().status_code == 504
        assert stats(url)["search"]["running"] == 1  # a thread cannot be stopped
        assert held.started == ["질의 1"]  # the one whose time was up while it waited was never run
        held.go.set()
        wait_for(url, running=0, timeout=2)
        assert ask(url).status_code == 200


def test_clearing_drops_what_waits_and_leaves_what_runs(tmp_path: Path, held: Held, pool: ThreadPoolExecutor):
    with service(tmp_path, held) as url:
        asked = [pool.submit(ask, url, number) for number in range(5)]
        wait_for(url, running=2, pending=3)
        assert CLIENT.post(f"{url}/api/queue/clear").json() == {"cleared": 3}
        wait_for(url, pending=0, cleared=3)
        held.go.set()
        assert sorted(answer.result().status_code for answer in asked) == [200, 200, 503, 503, 503]


def test_the_queues_are_apart_and_failed_work_frees_its_slot(tmp_path: Path, held: Held, pool: ThreadPoolExecutor):
    with service(tmp_path, held) as url:
        for number in range(2):
            pool.submit(ask, url, number)
        wait_for(url, running=2)
        for _ in range(3):
            alone = {"Connection": "close"}  # uvicorn hangs up after an exception that nobody handled
            assert CLIENT.post(f"{url}/api/analysis", json={"case_text": "사실관계"}, headers=alone).status_code == 500
        assert stats(url)["analysis"]["failed"] == 3
        assert stats(url)["analysis"]["running"] == 0
        held.go.set()


def test_jobs_of_a_worker_that_died_hold_no_slot(tmp_path: Path, held: Held):
    with service(tmp_path, held) as url:
        assert stats(url)["search"]["running"] == 0
    with sqlite3.connect(tmp_path / "data" / "queue.db") as database:
        dead = "INSERT INTO jobs (queue, state, worker, came_unix_s) VALUES ('search', 'running', 999999999, 0)"
        database.executemany(dead, [()] * 2)
    held.go.set()
    with service(tmp_path, held) as url:
        assert ask(url).status_code == 200


def test_a_full_queue_leaves_health_at_200_when_that_trap_is_off(tmp_path: Path, held: Held, pool: ThreadPoolExecutor):
    limits = {"search_max_concurrent": 1, "search_max_queue_size": 1}
    with service(tmp_path, held, full_queue_is_unhealthy=False, **limits) as url:
        for number in range(2):
            pool.submit(ask, url, number)
        wait_for(url, running=1, pending=1)
        assert CLIENT.get(f"{url}/api/queue/health").status_code == 200
        held.go.set()


def test_the_tuned_limits_are_those_of_its_team(tmp_path: Path):
    assert Settings(work_dir=tmp_path).queue_limits() == {"search": (2, 10, 30), "case_analysis": (1, 5, 60)}
    tuned = Settings(work_dir=tmp_path, tuned=True, search_timeout_s=5).queue_limits()
    assert tuned == {"search": (3, 20, 5), "case_analysis": (2, 15, 120)}
