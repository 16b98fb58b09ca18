"""Limits recognised as limits: whose refusal it was, in words that a person can act on; never an error of the service."""

from pathlib import Path
from typing import Any

import pytest

from targets import limits
from targets.contract_file import load, parse
from targets.limits import Engine, LimitFound, Load, Refusal
from targets.payload import data_folder

ENCAR, ALAW, SAJU, KAKAO, LLM = (
    load(data_folder() / f"{name}.toml") for name in ("encar", "alaw", "saju", "kakao", "llm")
)


def bare(**sections: Any) -> Any:
    document = {"target": {"name": "t", "base_url": "http://127.0.0.1:1"}, "endpoint": [{"name": "ask", "path": "/"}]}
    return parse(document | {"limits": sections}, Path("contract"))


def first(contract: Any, load: Load, *refusals: Refusal) -> LimitFound:
    return limits.find(contract, load, refusals)[0]


def test_the_sentence_names_the_limit_the_share_and_the_status():
    found = first(bare(per_client=["10/minute"]), Load(60, {"ask": 400}), Refusal("ask", 429, "", 312))
    assert found.sentence.startswith(
        "rate limit 10/minute per client binds: 312 of 400 requests to ask were refused with 429"
    )
    assert (found.endpoint, found.limit, found.refused, found.share) == ("ask", "10/minute", 312, 0.78)
    assert found.binds
    assert "one client that may send 10 requests/min" in found.sentence
    assert "error" not in found.sentence


def test_of_two_rates_the_one_that_the_answer_names_binds():
    words = "rate limit exceeded: 100 per 1 hour"
    assert first(ENCAR, Load(60, {"ask": 400}), Refusal("ask", 429, words, 30)).limit == "100/hour"
    words = "rate limit exceeded: 10 per 1 minute"
    assert first(ENCAR, Load(60, {"ask": 400}), Refusal("ask", 429, words, 30)).limit == "10/minute"


@pytest.mark.parametrize(("seconds", "clients", "rate"), [(60, 2, "10/minute"), (7200, 40, "100/hour")])
def test_without_words_the_rate_that_the_load_asked_most_of_binds(seconds: float, clients: int, rate: str):
    asked = {60: 400, 7200: 20_000}[int(seconds)]
    assert first(ENCAR, Load(seconds, {"ask": asked}, clients), Refusal("ask", 429, "", 9)).limit == rate


def test_a_queue_binds_with_its_numbers_and_its_timeouts_count_as_its_refusals():
    full = Refusal("search", 503, "the queue is full: 2 running, 10 waiting", 40)
    late = Refusal("search", 504, "not done within 30 s", 3)
    found = first(ALAW, Load(60, {"search": 200}), full, late)
    assert found.sentence == (
        "queue search (2 at a time, 10 waiting, 30 s) binds: 43 of 200 requests to search were refused with 503 and 504"
    )
    analysis = first(ALAW, Load(60, {"analysis": 20}), Refusal("analysis", 503, "the queue is full: 1 running", 5))
    assert analysis.limit == "case_analysis"


def test_nginxs_page_is_told_apart_from_the_services_own_503():
    page = Refusal("search", 503, "503 Service Temporarily Unavailable (page of nginx)", 12)
    own = Refusal("search", 503, "the queue is full: 2 running, 10 waiting", 5)
    found = limits.find(ALAW, Load(60, {"search": 100}, front=True), [page, own])
    assert [(one.kind, one.refused) for one in found if one.binds] == [("front", 12), ("queue", 5)]
    assert found[0].sentence.startswith("nginx in front (10/second, burst 20, on /api/) binds: 12 of 100 requests")


def test_the_upstreams_no_is_not_the_services():
    refusal = Refusal("generate", 503, "upstream /v1/messages refused with 429", 7)
    found = first(KAKAO, Load(60, {"generate": 70}), refusal)
    assert found.kind == "upstream"
    assert found.sentence.startswith("the upstream's limit binds, not your CPU: 7 of 70")


@pytest.mark.parametrize(
    ("said", "quota"),
    [
        ("Rate limit reached for tokens per min; try again in 3.205s.", "token quota"),  # our emulator
        ("Rate limit reached for gpt-4 on tokens per min (TPM): Limit 10000, Used 9800", "token quota"),  # OpenAI
        ("would exceed your organization's rate limit of 40,000 input tokens per minute", "token quota"),  # Anthropic
        ("Rate limit reached for requests per min; try again in 1.000s.", "request quota"),
        ("The engine is full: all slots are busy and so is the queue.", "limit"),
    ],
)
def test_which_of_the_providers_quotas_binds_is_read_from_its_words(said: str, quota: str):
    refusal = Refusal("generate", 503, f"upstream /v1/messages refused with 429: {said}", 7)
    found = first(KAKAO, Load(60, {"generate": 70}), refusal)
    assert found.kind == "upstream"
    assert found.sentence.startswith(f"the upstream's {quota} binds, not your CPU: 7 of 70")


def test_an_engine_that_is_full_is_its_queue_and_its_quota_is_no_queue():
    full = "The engine is full: all slots are busy and so is the queue."
    assert first(LLM, Load(60, {"chat": 70}), Refusal("chat", 429, full, 7)).limit == "chat"
    quota = "Rate limit reached for requests per minute: limit 60"
    assert first(LLM, Load(60, {"chat": 70}), Refusal("chat", 429, quota, 7)).kind == "unstated"


def test_a_pool_without_a_free_connection_is_named():
    words = "database: QueuePool limit of size 5 overflow 10 reached, connection timed out"
    found = first(ENCAR, Load(60, {"ask": 70}), Refusal("ask", 503, words, 7))
    assert found.kind == "pool" and found.binds


@pytest.mark.parametrize("words", ["database: disk I/O error", "database: no such table: questions"])
def test_a_503_that_tells_of_a_fault_is_no_limit(words: str):
    found = first(ENCAR, Load(60, {"ask": 70}), Refusal("ask", 503, words, 7))
    assert (found.kind, found.binds) == ("fault", False)
    assert words in found.sentence


def test_a_refusal_that_no_stated_limit_explains_is_said_so():
    found = first(KAKAO, Load(60, {"generate": 70}), Refusal("generate", 429, "", 7))
    assert (found.kind, found.binds) == ("unstated", False)
    assert "the contract states no limit that explains it" in found.sentence


def test_timeouts_and_bad_gateways_without_a_limit_are_left_to_the_errors():
    refusals = [Refusal("generate", 504, "upstream /v1/messages timed out", 3), Refusal("generate", 502, "", 3)]
    assert limits.find(KAKAO, Load(60, {"generate": 70}), refusals) == []


def test_a_proxys_page_for_a_service_that_has_gone_is_no_limit_of_the_proxy():
    page = Refusal("search", 502, "502 Bad Gateway (page of nginx)", 12)
    assert not any(one.binds for one in limits.find(ALAW, Load(60, {"search": 100}, front=True), [page]))


def test_limits_that_were_not_reached_stand_there_with_what_they_allow():
    found = limits.find(ENCAR, Load(100, {"ask": 500}, clients=397, processes=1), [])
    assert [(one.limit, one.binds, one.refused) for one in found] == [("10/minute", False, 0), ("100/hour", False, 0)]
    assert found[0].sentence.endswith("did not bind: 397 clients may send 66.2 requests/s")
    assert "did not bind" in found[1].sentence and "11 requests/s" in found[1].sentence


def test_a_run_shorter_than_the_limits_window_says_that_it_would_bind_later():
    found = limits.find(ENCAR, Load(60, {"ask": 600}, clients=100), [])
    assert "this run sent 10 requests/s for 60 s, kept up for 3600 s it would" in found[1].sentence


@pytest.mark.parametrize(
    ("front", "said"), [(False, "stood not in front of this run"), (None, "was not seen"), (True, "did not bind")]
)
def test_a_proxy_that_was_not_there_is_not_called_unbinding(front: bool | None, said: str):
    sentences = [one.sentence for one in limits.find(SAJU, Load(60, {"chat": 50}, front=front), [])]
    assert any(sentence.startswith("nginx in front (10/minute") and sentence.endswith(said) for sentence in sentences)


def test_a_limit_counted_in_each_process_allows_as_many_times_more():
    one = limits.allowed_rps("100/minute", SAJU.limits, Load(60, {}, clients=3, processes=1))
    four = limits.allowed_rps("100/minute", SAJU.limits, Load(60, {}, clients=3, processes=4))
    assert four == 4 * one == pytest.approx(20.0)


def test_a_contract_without_limits_has_nothing_to_say():
    assert limits.find(bare(), Load(60, {"ask": 50}), []) == []


def test_an_engine_that_is_full_binds_although_it_refuses_nothing():
    full = Engine(running=64, waiting=36, full_share=0.41)
    found = first(ENCAR, Load(60, {"ask": 400}, clients=397, engine=full))
    assert (found.kind, found.binds, found.refused) == ("upstream", True, 0)
    assert found.sentence.startswith("the upstream's engine was full: 64 requests ran in it and up to 36")
    assert "in 41 % of the run" in found.sentence
    itself = first(LLM, Load(60, {"chat": 400}, engine=full))
    assert (itself.limit, itself.kind) == ("chat", "queue")
    assert "binds, refusing nothing: 64 requests ran" in itself.sentence
    assert len(limits.find(LLM, Load(60, {"chat": 400}, engine=full), [])) == 1  # nothing says that it did not bind


@pytest.mark.parametrize("engine", [Engine(64, 2, 0.4), Engine(64, 30, 0.01), None])
def test_who_waits_for_a_moment_does_not_make_an_engine_full(engine: Engine | None):
    assert not first(ENCAR, Load(60, {"ask": 400}, engine=engine)).binds


def test_rates_are_written_as_people_write_them():
    assert [limits.in_words(rps) for rps in (1666.7, 66.17, 6.5, 10 / 60)] == [
        "1,667 requests/s",
        "66.2 requests/s",
        "6.5 requests/s",
        "10 requests/min",
    ]
