"""alaw over real HTTP with a small corpus, started as a user starts it; with nginx where nginx is installed."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from reference_services import Running, behind_nginx, nginx, running

from targets.reference.alaw import TRAPS
from targets.reference.alaw.search import closeness, snippet, text_rank
from targets.reference.alaw.settings import SERVICE, Settings

SMALL = {"documents": "600"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alaw")


@pytest.fixture(scope="module")
def service(directory: Path) -> Iterator[Running]:
    with running("alaw", directory, options=SMALL) as started:
        yield started


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


def test_a_search_finds_precedents_about_what_was_asked(client: httpx.Client):
    results = client.post("/api/search", json={"query": "임차인의 보증금과 대항력"}).json()["results"]
    assert len(results) == 10
    assert all(result["area"] == "임대차" for result in results)
    assert [r["score"] for r in results] == sorted((r["score"] for r in results), reverse=True)
    assert "대항력" in results[0]["snippet"] or "보증금" in results[0]["snippet"]


def test_a_query_that_shares_no_word_finds_nothing(client: httpx.Client):
    assert client.post("/api/search", json={"query": "zzzz qqqq"}).json()["results"] == []


def test_an_analysis_gives_summary_statutes_and_precedents(client: httpx.Client):
    text = (
        "원고는 2021년 3월 5일 아파트를 매수하고 계약금 5,000만 원을 지급하였습니다. "
        "매도인은 하자담보 책임이 없다고 주장합니다. 민법 제580조에 따르면 매도인은 하자담보 책임을 집니다. "
        "매수인은 하자담보를 이유로 해제를 통지하였습니다. 위약금에 관한 약정도 있었습니다."
    )
    analysis = client.post("/api/analysis", json={"case_text": text}).json()["analysis"]
    assert "민법 제580조" in analysis["statutes"]
    assert analysis["amounts"] == ["5,000만 원"]
    assert len(analysis["summary"]) == 4
    assert all(sentence in text for sentence in analysis["summary"])
    assert analysis["precedents"][0]["area"] == "매매"


@pytest.mark.parametrize("path", ["/", "/api/queue/health", "/api/queue/status/json", "/metrics"])
def test_the_service_tells_how_it_is(client: httpx.Client, path: str):
    assert client.get(path).status_code == 200


def test_metrics_carry_the_names_of_its_team(client: httpx.Client):
    client.post("/api/search", json={"query": "보험금"})
    text = client.get("/metrics").text
    for name in (
        'app_requests_total{endpoint="/api/search",method="POST"}',
        "app_request_duration_seconds_count",
        "app_memory_usage_bytes",
        "app_cpu_usage_percent",
    ):
        assert name in text


@pytest.mark.parametrize("body", [{"query": ""}, {"query": "가" * 501}, {}])
def test_an_impossible_query_is_a_422(client: httpx.Client, body: dict[str, str]):
    assert client.post("/api/search", json=body).status_code == 422


def test_two_workers_keep_one_queue(directory: Path):
    options = {**SMALL, "search_max_concurrent": "1", "search_max_queue_size": "200"}
    with running("alaw", directory, workers=2, options=options) as started:
        with started.client(headers={"Connection": "close"}) as client:
            for _ in range(10):
                assert client.post("/api/search", json={"query": "보험금 면책약관"}).status_code == 200
            stats = client.get("/api/queue/status/json").json()["queue_stats"]["search"]
        assert (stats["completed"], stats["running"], stats["pending"]) == (10, 0, 0)
        assert started.stop() == 0


def test_the_watchdog_restarts_a_service_whose_health_check_fails(tmp_path: Path):
    options = {**SMALL, "self_restart": "on", "restart_check_s": "0.5", "search_max_queue_size": "0"}
    with running("alaw", tmp_path, options=options) as started:
        database = next((tmp_path / "cache" / "plimsoll").glob("alaw-*/precedents.db"))
        before = counted(started.url)
        aside = database.rename(database.with_suffix(".aside"))
        assert httpx.get(f"{started.url}/api/queue/health").status_code == 503
        time.sleep(0.8)
        aside.rename(database)
        deadline_s = time.monotonic() + 15
        while (now := counted(started.url)) is None or now >= before + 1:
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
        assert started.stop() == 0


def counted(url: str) -> float | None:
    """Scrapes that this life of the service has answered; None while it does not answer."""
    try:
        text = httpx.get(f"{url}/metrics", timeout=2).text
    except httpx.HTTPError:
        return None
    line = 'app_requests_total{endpoint="/metrics",method="GET"} '
    return next((float(row[len(line) :]) for row in text.splitlines() if row.startswith(line)), 0.0)


@nginx
def test_nginx_lets_a_burst_through_and_refuses_the_rest_on_api_only(tmp_path: Path, service: Running):
    with behind_nginx("alaw", SERVICE, Settings(work_dir=tmp_path), service.url) as client:
        begin_s = time.monotonic()
        statuses = [client.get("/api/queue/status/json").status_code for _ in range(60)]
        allowed = 1 + 20 + 10 * (time.monotonic() - begin_s)
        assert 21 <= statuses.count(200) <= allowed + 1
        assert set(statuses) == {200, 503}
        assert {client.get("/").status_code for _ in range(30)} == {200}


def test_every_trap_can_be_switched_by_an_option_of_its_name():
    assert set(TRAPS) <= set(Settings.model_fields)


def test_closeness_is_1_for_a_phrase_and_falls_with_distance():
    assert closeness(["x", "a", "b"], ["a", "b"]) == 1.0
    assert closeness(["a", "x", "x", "b"], ["a", "b"]) == 0.5
    assert closeness(["a", "x"], ["a", "b"]) == 0.5
    assert closeness(["x"], ["a"]) == 0.0


def test_a_snippet_shows_where_most_of_the_words_stand():
    text = "가" * 300 + " 보증금 " + "나" * 300 + " 보증금과 대항력 "
    assert "대항력" in snippet(text, ["보증금", "대항력"])


def test_text_rank_puts_the_sentence_that_shares_most_first():
    assert text_rank([["a", "b"], ["a", "b", "c", "d"], ["c", "d"], ["z"]])[0] == 1
