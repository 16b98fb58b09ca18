"""encar over real HTTP, started as a user starts it, with a small upstream and loose limits except where stated."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from reference_services import FakeUpstream, Running, running, start_command

from targets.reference.database import create_tables, open_engine
from targets.reference.encar import TRAPS
from targets.reference.encar.faq import entries
from targets.reference.encar.settings import USERS_FILE, Settings
from targets.reference.rate_limits import METADATA, RateLimits

TOKENS = {row["id"]: row["token"] for row in json.loads(USERS_FILE.read_text())}


def as_user(name: str) -> dict[str, str]:
    return {"X-User-Token": TOKENS[name]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    fake = FakeUpstream()
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encar-database") / "encar.db"


@pytest.fixture(scope="module")
def service(upstream: FakeUpstream, database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    options = {"database": f"sqlite:///{database}", "min_free_disk_gib": "0"}
    with running("encar", tmp_path_factory.mktemp("encar"), upstream=upstream.url, options=options) as started:
        yield started


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


def ask(client: httpx.Client, question: str, user: str) -> httpx.Response:
    return client.post("/api/ask", json={"question": question}, headers=as_user(user))


def test_an_answer_comes_with_the_faq_entries_it_rests_on(client: httpx.Client):
    body = ask(client, "VPN 접속이 되지 않을 때 어떻게 하나요?", "user-010").json()
    assert body["answer"]
    assert "VPN 접속이 되지 않을 때" in body["sources"][0]["question"]


def test_the_eleventh_request_of_a_minute_is_refused_and_other_clients_are_not(client: httpx.Client):
    statuses = [ask(client, f"질문 {number}", "user-011").status_code for number in range(11)]
    assert statuses == [200] * 10 + [429]
    refusal = ask(client, "한 번 더", "user-011")
    assert 1 <= int(refusal.headers["Retry-After"]) <= 60
    assert "10 per 1 minute" in refusal.json()["detail"]
    assert ask(client, "다른 사람", "user-012").status_code == 200


def test_the_same_question_again_costs_no_call_of_the_llm(client: httpx.Client, upstream: FakeUpstream):
    first = ask(client, "급여 명세서 점검 시간", "user-013").json()
    paid = upstream.calls["/v1/chat/completions"]
    second = ask(client, "급여 명세서  점검 시간", "user-014").json()
    assert upstream.calls["/v1/chat/completions"] == paid
    assert second["answer"] == first["answer"]
    assert second["question_id"] != first["question_id"]


@pytest.mark.parametrize(("length", "status"), [(500, 200), (501, 422), (0, 422)])
def test_a_question_has_1_to_500_characters(client: httpx.Client, upstream: FakeUpstream, length: int, status: int):
    paid = upstream.calls.total()
    assert ask(client, "가" * length, "user-015").status_code == status
    assert upstream.calls.total() == paid + (status == 200)


def test_detailed_feedback_is_for_admins_only(client: httpx.Client):
    number = ask(client, "복지 포인트 담당자 연락처", "user-016").json()["question_id"]
    given = client.post(
        "/api/feedback", json={"question_id": number, "rating": 4, "comment": "좋아요"}, headers=as_user("user-016")
    )
    assert given.status_code == 201
    assert client.get("/api/feedback/detailed").status_code == 403
    assert client.get("/api/feedback/detailed", headers=as_user("user-016")).status_code == 403
    seen = client.get("/api/feedback/detailed", headers=as_user("admin-000"))
    assert seen.status_code == 200
    assert seen.json()[0]["comment"] == "좋아요"


def test_feedback_on_an_unknown_question_is_a_404(client: httpx.Client):
    body = {"question_id": 10**6, "rating": 1}
    assert client.post("/api/feedback", json=body, headers=as_user("user-017")).status_code == 404


def test_metrics_carry_the_names_of_its_team(client: httpx.Client):
    ask(client, "프린터 점검", "user-018")
    text = client.get("/metrics").text
    for line in (
        'api_requests_total{endpoint="/api/ask",method="POST",status="200"}',
        "api_response_seconds_count",
        'llm_requests_total{status="success"}',
        'cache_operations_total{operation="miss"}',
        "errors_total",
    ):
        assert line in text


def test_health_names_the_check_that_fails_and_health_is_never_limited(client: httpx.Client, upstream: FakeUpstream):
    assert {client.get("/health").status_code for _ in range(15)} == {200}
    upstream.failing = True
    try:
        health = client.get("/health")
        assert client.get("/readiness").status_code == 200
    finally:
        upstream.failing = False
    assert health.status_code == 503
    assert set(health.json()["checks"]) == {"llm_service", "database", "disk_space"}
    assert health.json()["checks"]["database"] == "ok"


def test_a_broken_database_turns_health_and_readiness_to_503_but_not_liveness(client: httpx.Client, database: Path):
    database.unlink()
    health = client.get("/health")
    assert health.status_code == 503
    assert health.json()["checks"]["database"] != "ok"
    assert client.get("/readiness").status_code == 503
    assert client.get("/liveness").status_code == 200


def count_allowed(started: Running, requests: int) -> int:
    with started.client(headers={"Connection": "close"}) as client:  # so that both workers get some
        return sum(ask(client, f"질문 {n}", "user-020").status_code == 200 for n in range(requests))


def test_two_workers_hand_out_more_than_the_limit_and_leave_nothing_behind(
    upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
):
    with running("encar", tmp_path_factory.mktemp("encar-two"), upstream=upstream.url, workers=2) as started:
        assert 10 < count_allowed(started, 40) <= 20
        assert started.stop() == 0
    assert list(started.temp.iterdir()) == []
    assert len(started.said) == 1


def test_limits_counted_in_the_database_hold_over_all_that_share_it(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/shared.db"
    create_tables("encar", url, METADATA)
    replicas = [RateLimits("10/minute;100/hour", open_engine(url)) for _ in range(2)]
    refusals = [replicas[n % 2].hit("somebody") for n in range(12)]
    assert [refused is None for refused in refusals] == [True] * 10 + [False] * 2
    assert replicas[0].hit("somebody else") is None


def test_production_limits_are_twenty_and_two_hundred():
    given = {"work_dir": Path("/tmp"), "upstream": ""}
    assert Settings(**given, production=True).rate_limits == "20/minute;200/hour"


def test_every_trap_can_be_switched_off_by_an_option_of_its_name():
    assert set(TRAPS) <= set(Settings.model_fields)


def test_the_tokens_of_the_load_are_the_users_that_are_no_admins():
    file = USERS_FILE.with_name("encar_tokens.txt")
    assert set(file.read_text().split()) == {t for name, t in TOKENS.items() if name.startswith("user")}


def test_the_faq_has_no_entry_twice():
    assert len({entry.question for entry in entries(1500)}) == 1500


def test_a_front_proxy_is_refused_because_its_team_has_none():
    ended = subprocess.run(
        start_command("encar", {"front": "nginx"}), capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
