"""saju over real HTTP, started as a user starts it, with a small upstream; with nginx where nginx is installed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from reference_services import FakeUpstream, Running, behind_nginx, nginx, running

from targets.reference.saju import TRAPS
from targets.reference.saju.settings import SERVICE, Settings

SMALL = {"knowledge": "240"}
COMPLETIONS = "/v1/chat/completions"
BIRTH = "1990년 3월 5일 14시에 태어났어요."


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    fake = FakeUpstream()
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saju")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saju-database") / "saju.db"


@pytest.fixture(scope="module")
def service(upstream: FakeUpstream, directory: Path, database: Path) -> Iterator[Running]:
    options = {**SMALL, "database": f"sqlite:///{database}"}
    with running("saju", directory, upstream=upstream.url, options=options) as started:
        yield started


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


def chat(client: httpx.Client, message: str = "올해 재물운이 어떤가요?", **more: Any) -> httpx.Response:
    return client.post("/api/chat", json={"user_id": "user-1", "message": message, "history": [], **more})


def test_an_answer_knows_the_pillars_and_the_session_remembers_them(client: httpx.Client):
    first = chat(client, f"{BIRTH} 연애운 봐 주세요").json()
    assert (first["pillars"]["year"], first["pillars"]["day_master"]) == ("경오", "기토")
    assert len(first["sources"]) == 4
    second = chat(client, "그럼 건강운은요?", session_id=first["session_id"]).json()
    assert second["pillars"] == first["pillars"]
    assert chat(client, "처음 왔어요").json()["pillars"] is None


def test_a_streamed_answer_is_the_llms_words_then_usage_then_done(client: httpx.Client, upstream: FakeUpstream):
    answer = chat(client, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"]["content"] for event in data[:-2]]
    assert "".join(deltas).strip() == upstream.reply
    assert "usage" in json.loads(data[-2])


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_fails_is_a_502_streamed_or_not(client: httpx.Client, upstream: FakeUpstream, stream: bool):
    upstream.failing = True
    try:
        assert chat(client, stream=stream).status_code == 502
    finally:
        upstream.failing = False


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"message": "가" * 1000}, 200),
        ({"message": "가" * 1001}, 422),
        ({"message": ""}, 422),
        ({"history": [{"role": "user", "content": "네"}] * 100}, 200),
        ({"history": [{"role": "user", "content": "네"}] * 101}, 422),
        ({"user_id": "a" * 50}, 200),
        ({"user_id": "a" * 51}, 422),
        ({"user_id": "김철수"}, 422),
        ({"user_id": "a b"}, 422),
        ({"message": "<script>alert(1)</script>"}, 422),
        ({"message": "< IMG src=x onerror=alert(1)>"}, 422),
        ({"history": [{"role": "user", "content": "javascript:alert(1)"}]}, 422),
        ({"message": "1 < 2 이고 script 라는 낱말은 괜찮습니다"}, 200),
    ],
)
def test_input_rules(client: httpx.Client, upstream: FakeUpstream, fault: dict[str, Any], status: int):
    paid = upstream.calls.total()
    assert chat(client, **{"message": "안녕하세요", **fault}).status_code == status
    assert upstream.calls.total() == paid + (2 if status == 200 else 0)  # an embedding and a completion, or nothing


def test_every_health_probe_pays_for_a_completion(client: httpx.Client, upstream: FakeUpstream):
    paid = upstream.calls[COMPLETIONS]
    assert [client.get(path).status_code for path in ("/health", "/health/ready", "/health/live")] == [200] * 3
    assert upstream.calls[COMPLETIONS] == paid + 2
    assert re.search(r"^saju_health_llm_calls_total [1-9]", client.get("/metrics").text, re.MULTILINE)


def test_metrics_carry_the_names_of_its_team(client: httpx.Client):
    chat(client, BIRTH)
    text = client.get("/metrics").text
    for name in (
        'saju_requests_total{endpoint="/api/chat",method="POST"}',
        "saju_request_duration_seconds_count",
        "saju_active_sessions",
        "saju_calculations_total",
        "saju_limiter_addresses",
    ):
        assert name in text


def test_an_address_gets_100_requests_a_minute_and_the_table_keeps_every_address(service: Running):
    def from_address(last: int) -> httpx.Client:
        return service.client(transport=httpx.HTTPTransport(local_address=f"127.0.3.{last}"))

    with from_address(1) as client:
        # An impossible request costs nothing; one that is refused by its rules does not count either.
        statuses = [chat(client, "네").status_code for _ in range(101)]
    assert statuses == [200] * 100 + [429]
    for last in (2, 3):
        with from_address(last) as client:
            assert chat(client, "네").status_code == 200
    with service.client() as client:
        remembered = re.search(r"^saju_limiter_addresses (\S+)", client.get("/metrics").text, re.MULTILINE)
    assert remembered and float(remembered[1]) >= 3


def test_a_broken_database_turns_health_to_503_and_answers_to_503(client: httpx.Client, database: Path):
    for file in database.parent.iterdir():
        file.unlink()
    health = client.get("/health")
    assert health.status_code == 503
    assert health.json()["checks"]["mysql"] != "ok"
    assert health.json()["checks"]["chromadb"] == health.json()["checks"]["openai"] == "ok"
    assert client.get("/health/live").status_code == 200


@nginx
def test_nginx_allows_10_a_minute_and_20_more_and_covers_health_too(tmp_path: Path, service: Running):
    settings = Settings(work_dir=tmp_path)
    with behind_nginx("saju", SERVICE, settings, service.url) as client:
        statuses = [client.get("/health/live").status_code for _ in range(30)]
    assert statuses.count(200) in (21, 22)
    assert set(statuses) == {200, 503}


@nginx
def test_with_its_traps_off_health_is_free_and_users_behind_nginx_are_told_apart(
    upstream: FakeUpstream, directory: Path
):
    off = dict.fromkeys(TRAPS, "off") | {"requests_per_minute": "1"} | SMALL
    paid = upstream.calls[COMPLETIONS]
    with running("saju", directory / "off", front="nginx", upstream=upstream.url, options=off) as started:
        with started.client() as client:
            assert {client.get("/health").status_code for _ in range(40)} == {200}
        assert upstream.calls[COMPLETIONS] == paid
        for last in (5, 6):
            with started.client(transport=httpx.HTTPTransport(local_address=f"127.0.3.{last}")) as client:
                assert [chat(client).status_code for _ in range(2)] == [200, 429]
        assert "nginx in front" in started.line
        assert started.stop() == 0
    assert list(started.temp.iterdir()) == []


def test_every_trap_can_be_switched_off_by_an_option_of_its_name():
    assert set(TRAPS) <= set(Settings.model_fields)
