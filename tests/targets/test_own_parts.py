"""The services with the parts that their teams use, each named by one URL: real Redis, PostgreSQL and MariaDB (as MySQL).

Each test is skipped, and says so, where its server is not installed.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stores
from reference_services import FakeUpstream, Running, running
from sqlalchemy import create_engine, text


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    fake = FakeUpstream()
    yield fake
    fake.close()


@contextlib.contextmanager
def two_replicas(name: str, folder: Path, **arguments: Any) -> Iterator[list[Running]]:
    with running(name, folder, **arguments) as one, running(name, folder, **arguments) as other:
        yield [one, other]


def test_kakaos_replicas_share_a_redis_cache_and_answer_without_it(tmp_path: Path, upstream: FakeUpstream):
    import redis

    def generate(replica: Running, request: str) -> httpx.Response:
        return httpx.post(f"{replica.url}/api/v1/templates/generate", json={"user_request": request}, timeout=30)

    wish = "카페 예약 확정 안내"
    with contextlib.ExitStack() as redis_runs:
        url = redis_runs.enter_context(stores.redis(tmp_path))
        options = {"policies": "60", "redis": url}
        with two_replicas("kakao", tmp_path, upstream=upstream.url, options=options) as (one, other):
            assert generate(one, wish).headers["x-cache"] == "miss"
            assert generate(other, wish).headers["x-cache"] == "hit"
            assert upstream.calls["/v1/messages"] == 1
            with redis.Redis.from_url(url) as client:
                lifetimes_s = {str(key, "utf-8").partition(":")[0]: client.ttl(key) for key in client.scan_iter()}
            stated_s = {"policy": 3600, "template": 1800, "analysis": 900, "temp": 300}
            assert lifetimes_s.keys() == stated_s.keys()
            assert all(stated_s[kind] - 60 < left_s <= stated_s[kind] for kind, left_s in lifetimes_s.items())
            redis_runs.close()
            assert generate(other, wish).headers["x-cache"] == "miss"


@pytest.mark.prove
def test_encars_replicas_share_one_limit_in_postgresql_and_are_ill_without_it(tmp_path: Path, upstream: FakeUpstream):
    with contextlib.ExitStack() as postgresql_runs:
        url = postgresql_runs.enter_context(stores.postgresql(tmp_path))
        options = {"database": url, "limit_per_process": "off", "min_free_disk_gib": "0"}
        with two_replicas("encar", tmp_path, upstream=upstream.url, options=options) as replicas:
            asked = [
                httpx.post(f"{replicas[n % 2].url}/api/ask", json={"question": f"VPN 질문 {n}"}, timeout=30)
                for n in range(12)
            ]
            assert [answer.status_code for answer in asked] == [200] * 10 + [429] * 2
            with create_engine(url).connect() as connection:
                kept = connection.execute(text("SELECT question FROM questions ORDER BY id")).scalars().all()
            assert kept == [f"VPN 질문 {n}" for n in range(10)]
            assert httpx.get(f"{replicas[0].url}/health").status_code == 200
            postgresql_runs.close()
            health = httpx.get(f"{replicas[0].url}/health", timeout=30)
            assert health.status_code == 503
            assert health.json()["checks"]["database"] != "ok" and health.json()["checks"]["llm_service"] == "ok"


def test_alaws_precedents_lie_in_postgresql_and_a_broken_one_turns_health_to_503(tmp_path: Path):
    with contextlib.ExitStack() as postgresql_runs:
        url = postgresql_runs.enter_context(stores.postgresql(tmp_path))
        with running("alaw", tmp_path, options={"documents": "200", "database": url}) as service:
            found = httpx.post(
                f"{service.url}/api/search", json={"query": "임차인의 보증금과 대항력"}, timeout=30
            ).json()
            assert found["results"] and all(result["area"] == "임대차" for result in found["results"][:3])
            with create_engine(url).connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM precedents")).scalar_one() == 200
            postgresql_runs.close()
            health = httpx.get(f"{service.url}/api/queue/health", timeout=30)
            assert health.status_code == 503 and health.json()["checks"]["database"] != "ok"


@pytest.mark.prove
def test_sajus_conversations_are_kept_in_mysql_and_its_sessions_in_redis(tmp_path: Path, upstream: FakeUpstream):
    def chat(service: Running, message: str, **more: Any) -> Any:
        body = {"user_id": "user-1", "message": message, "history": [], **more}
        return httpx.post(f"{service.url}/api/chat", json=body, timeout=30).json()

    with contextlib.ExitStack() as mysql_runs, stores.redis(tmp_path) as redis_url:
        url = mysql_runs.enter_context(stores.mariadb(tmp_path))
        options = {"knowledge": "60", "database": url, "redis": redis_url}
        with two_replicas("saju", tmp_path, upstream=upstream.url, options=options) as (one, other):
            first = chat(one, "1990년 3월 5일 14시에 태어났어요. 올해 운세 🌙는요?")
            second = chat(other, "그럼 건강운은요?", session_id=first["session_id"])
            assert second["pillars"] == first["pillars"]  # the other replica knows the session
            with create_engine(url).connect() as connection:
                said = connection.execute(text("SELECT content FROM messages WHERE role = 'user' ORDER BY id"))
                assert said.scalars().all() == [
                    "1990년 3월 5일 14시에 태어났어요. 올해 운세 🌙는요?",
                    "그럼 건강운은요?",
                ]
            assert httpx.get(f"{one.url}/health", timeout=30).status_code == 200
            mysql_runs.close()
            health = httpx.get(f"{one.url}/health", timeout=30)
            assert health.status_code == 503 and health.json()["checks"]["mysql"] != "ok"
