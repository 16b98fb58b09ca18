"""The services' own hot pieces, in this process: retrieval, the BM25 cache file, prompts and template checks."""

import json
from pathlib import Path
from typing import Any

import pytest

from targets.reference.alaw.archive import searchable
from targets.reference.alaw.precedents import precedents
from targets.reference.embedding import embed
from targets.reference.kakao.checks import check_template
from targets.reference.kakao.corpus import COLLECTION, policies, policy_collection
from targets.reference.kakao.generation import analyse, build_prompt, finish
from targets.reference.korean_search import Bm25, build_index
from targets.reference.vector_store import Match, VectorStore, own_copy

REQUEST = "쇼핑몰 주문이 접수되면 고객에게 주문번호와 결제금액을 알리는 알림톡을 만들어 주세요"
QUERY = "임대차 보증금 반환과 대항력 임차인 원상회복"
POLICIES = (500, 1_000, 2_000)
QUERIES = (1, 8, 64)
REPLIES = (10, 30, 90)
DOCUMENTS = (500, 1_000, 2_000)
TEXTS = (100, 300, 900)
FOUND = (2, 8, 32)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[int, VectorStore]:
    opened = {}
    for size in POLICIES:
        opened[size] = VectorStore(own_copy(policy_collection(size), tmp_path_factory.mktemp("chroma")), COLLECTION)
    return opened


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [searchable(precedent) for precedent in precedents(max(DOCUMENTS))]


@pytest.fixture(scope="module")
def saved(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """size → BM25 cache file."""
    paths = {size: tmp_path_factory.mktemp("cache") / "bm25" for size in DOCUMENTS}
    for size, path in paths.items():
        build_index(texts[:size]).save(str(path), show_progress=False)
    return paths


@pytest.fixture(scope="module")
def matches() -> list[Match]:
    return [Match(p.id, p.text, {"category": p.category}, 0.8) for p in policies(max(FOUND))]


@pytest.mark.benchmark(group="retrieval")
@pytest.mark.parametrize("size", QUERIES)
def bench_embed_queries(benchmark: Any, size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "text"}
    benchmark(embed, [f"{REQUEST} {number}" for number in range(size)])


@pytest.mark.benchmark(group="retrieval")
@pytest.mark.parametrize("size", POLICIES)
def bench_vector_query(benchmark: Any, stores: dict[int, VectorStore], size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "policy"}
    wanted = embed([REQUEST])[0].tolist()
    assert len(benchmark(stores[size].query, wanted, 5)) == 5


@pytest.mark.benchmark(group="bm25")
@pytest.mark.parametrize("size", DOCUMENTS)
def bench_bm25_rebuild(benchmark: Any, texts: list[str], size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "document"}
    benchmark.pedantic(build_index, args=(texts[:size],), rounds=3)


@pytest.mark.benchmark(group="bm25")
@pytest.mark.parametrize("size", DOCUMENTS)
def bench_bm25_load_from_cache(benchmark: Any, saved: dict[int, Path], size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "document"}
    assert benchmark(Bm25.load, saved[size]).search(QUERY, 5)


@pytest.mark.benchmark(group="bm25")
@pytest.mark.parametrize("size", DOCUMENTS)
def bench_bm25_search(benchmark: Any, saved: dict[int, Path], size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "document"}
    assert benchmark(Bm25.load(saved[size]).search, QUERY, 5)


@pytest.mark.benchmark(group="prompt")
@pytest.mark.parametrize("size", FOUND)
def bench_prompt(benchmark: Any, matches: list[Match], size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "policy"}
    analysis = analyse(REQUEST, None)
    assert REQUEST in benchmark(build_prompt, REQUEST, analysis, matches[:size])


@pytest.mark.benchmark(group="prompt")
@pytest.mark.parametrize("size", TEXTS)
def bench_template_checks(benchmark: Any, matches: list[Match], size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "character"}
    text = ("안녕하세요, #{고객명}님. 주문번호 #{주문번호} 결제금액 #{결제금액} 안내드립니다. " * 30)[:size]
    assert benchmark(check_template, text, [], ("고객명",), [match.document for match in matches[:5]])


@pytest.mark.benchmark(group="prompt")
@pytest.mark.parametrize("size", REPLIES)
def bench_reply_to_template(benchmark: Any, matches: list[Match], size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "sentence"}
    body = "**주문**이 접수되었습니다. #{주문번호} 건은 내일 도착합니다! " * size
    reply = json.dumps({"title": "주문 확인", "body": body, "buttons": [], "variables": []}, ensure_ascii=False)
    benchmark(finish, reply, analyse(REQUEST, None), matches[:5])
