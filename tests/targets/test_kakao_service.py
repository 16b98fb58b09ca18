"""kakao over real HTTP, started as a user starts it, with a small upstream."""

import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from reference_services import FakeUpstream, Running, running, start_command

from targets.reference.kakao import TRAPS
from targets.reference.kakao.settings import Settings

GENERATE = "/api/v1/templates/generate"
SEARCH = "/api/v1/policies/search"


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    fake = FakeUpstream()
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kakao")


@pytest.fixture(scope="module")
def service(upstream: FakeUpstream, directory: Path) -> Iterator[Running]:
    with running("kakao", directory, upstream=upstream.url, options={"policies": "240"}) as started:
        yield started


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


def metric(client: httpx.Client, line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_the_ready_line_names_the_service_its_address_and_its_upstream(service: Running, upstream: FakeUpstream):
    assert service.line.startswith("listening on http://127.0.0.1:")
    assert f"(upstream {upstream.url})" in service.line


def test_a_generated_template_is_checked_and_names_its_policies(client: httpx.Client):
    answer = client.post(GENERATE, json={"user_request": "카페 예약 확정 안내를 보내고 싶어요"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["business_type"] == "카페"
    assert body["topic"] == "예약 확정"
    assert {check["name"] for check in body["checks"]} == {
        "length", "forbidden_words", "variables", "buttons", "copied_policy",
    }  # fmt: skip
    assert body["approved"] == all(check["passed"] for check in body["checks"])
    assert len(body["template"]) <= 1000
    assert len(body["policies"]) == 5


def test_the_same_request_again_is_a_cache_hit_that_costs_no_upstream_call(
    client: httpx.Client, upstream: FakeUpstream
):
    request = {"user_request": "병원 예약 변경을 알려 주세요", "business_type": "병원"}
    first = client.post(GENERATE, json=request)
    paid, hits = (
        upstream.calls["/v1/messages"],
        metric(client, 'kakao_cache_operations_total{cache="template",result="hit"}'),
    )
    second = client.post(GENERATE, json=request)
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert second.json() == first.json()
    assert upstream.calls["/v1/messages"] == paid
    assert metric(client, 'kakao_cache_operations_total{cache="template",result="hit"}') == hits + 1


def test_search_returns_the_k_nearest_policies_best_first(client: httpx.Client):
    policies = client.get(SEARCH, params={"q": "카페 주문 확인 템플릿 심사 기준", "k": 3}).json()["policies"]
    scores = [policy["score"] for policy in policies]
    assert len(policies) == 3
    assert scores == sorted(scores, reverse=True)
    assert all("주문 확인" in policy["title"] for policy in policies)


def test_server_timing_accounts_for_the_whole_request(client: httpx.Client):
    header = client.post(GENERATE, json={"user_request": "학원 수강료 결제 완료 문구"}).headers["server-timing"]
    spent = {name: float(ms) for name, ms in re.findall(r"(\w+);dur=([\d.]+)", header)}
    assert set(spent) == {"embedding", "retrieval", "prompt", "upstream", "checks", "rest"}
    assert spent["retrieval"] > 0 and spent["upstream"] > 0


@pytest.mark.parametrize("wish", ["", "가" * 2001])
def test_an_empty_or_endless_request_is_refused_with_422_and_costs_nothing(
    client: httpx.Client, upstream: FakeUpstream, wish: str
):
    paid = upstream.calls.total()
    refused = client.post(GENERATE, json={"user_request": wish})
    assert refused.status_code == 422
    assert refused.headers["server-timing"].startswith("rest;")  # no stage was entered
    assert upstream.calls.total() == paid


def test_an_upstream_that_refuses_is_a_503_with_the_providers_words(client: httpx.Client, upstream: FakeUpstream):
    upstream.quota = "Rate limit reached for tokens per min; try again in 3.205s."
    try:
        refused = client.post(GENERATE, json={"user_request": "아직 아무도 묻지 않은 요청"})
    finally:
        upstream.quota = ""
    assert refused.status_code == 503
    assert "refused with 429: Rate limit reached for tokens per min" in refused.json()["detail"]


def test_a_failing_upstream_is_a_502_and_turns_health_to_503(client: httpx.Client, upstream: FakeUpstream):
    assert client.get("/health").status_code == 200
    upstream.failing = True
    try:
        assert client.post(GENERATE, json={"user_request": "새로운 요청 하나"}).status_code == 502
        health = client.get("/health")
    finally:
        upstream.failing = False
    assert health.status_code == 503
    assert health.json()["checks"]["vector_store"] == "ok"
    assert "500" in health.json()["checks"]["upstream"]


def test_every_trap_can_be_switched_off_by_an_option_of_its_name():
    assert set(TRAPS) <= set(Settings.model_fields)


def test_two_workers_share_one_metrics_page_and_leave_nothing_behind(upstream: FakeUpstream, directory: Path):
    options = {"policies": "240", "retrieval_on_event_loop": "off", "cache": "off"}
    with running("kakao", directory / "two", upstream=upstream.url, workers=2, options=options) as started:
        with started.client(headers={"Connection": "close"}) as client:  # so that both workers get some
            for _ in range(20):
                assert client.get(SEARCH, params={"q": "쿠폰 발급"}).headers["x-cache"] == "miss"
            counted = metric(client, f'kakao_requests_total{{endpoint="{SEARCH}",method="GET",status="200"}}')
        assert counted == 20
        assert started.stop(signal.SIGINT) == 0
    assert list(started.temp.iterdir()) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(started.url)


def refused(**arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(start_command("kakao", arguments), capture_output=True, text=True, timeout=30, check=False)


def test_a_taken_port_is_one_sentence_and_exit_code_4():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = refused(port=taken.getsockname()[1], upstream="http://127.0.0.1:9")
    assert ended.returncode == 4
    assert ended.stderr.count("\n") == 1 and "cannot listen" in ended.stderr


def test_an_unknown_option_names_the_known_ones_and_exits_with_2():
    ended = refused(upstream="http://127.0.0.1:9", options={"polices": "10"})
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "policies" in ended.stderr
