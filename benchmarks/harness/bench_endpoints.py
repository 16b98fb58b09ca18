"""Generation and search through httpx, one request after another: with cold caches, with warm ones, and streamed."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest

from benchmarks.harness.conftest import Asking, told

Started = Callable[[str], Asking]
WARM_UP = 5
pytestmark = pytest.mark.benchmark(group="endpoint", disable_gc=True)


@pytest.fixture(scope="module")
def kakao(started: Started) -> Asking:
    return started("kakao")


@pytest.fixture(scope="module")
def alaw(started: Started) -> Asking:
    return started("alaw")


@pytest.fixture(scope="module")
def llm(started: Started) -> Asking:
    return started("llm")


def cold(benchmark: Any, asking: Asking, name: str, rounds: int) -> None:
    """Every request is new to the service; its code and connections are warm."""
    numbers = iter(range(1_000_000))
    for _ in range(WARM_UP):
        asking.send(asking.request(name, next(numbers)))
    benchmark.pedantic(asking.send, setup=lambda: ((asking.request(name, next(numbers)),), {}), rounds=rounds)


def warm(benchmark: Any, asking: Asking, name: str, rounds: int) -> None:
    """The same request again and again."""
    for _ in range(WARM_UP):
        asking.send(asking.request(name, 0))
    benchmark.pedantic(asking.send, setup=lambda: ((asking.request(name, 0),), {}), rounds=rounds)


def bench_kakao_generate_cold(benchmark: Any, kakao: Asking) -> None:
    cold(benchmark, kakao, "generate", 200)


def bench_kakao_generate_warm(benchmark: Any, kakao: Asking) -> None:
    warm(benchmark, kakao, "generate", 1_000)


def bench_kakao_search_cold(benchmark: Any, kakao: Asking) -> None:
    cold(benchmark, kakao, "search", 400)


def bench_kakao_search_warm(benchmark: Any, kakao: Asking) -> None:
    warm(benchmark, kakao, "search", 1_000)


def bench_alaw_search_cold(benchmark: Any, alaw: Asking) -> None:
    cold(benchmark, alaw, "search", 300)


def bench_llm_chat_streamed(benchmark: Any, llm: Asking) -> None:
    """Token timings from the lines as httpx hands them out: time to first token, gaps, time per further token."""
    numbers = iter(range(1_000_000))
    first_ms: list[float] = []
    gaps_ms: list[float] = []
    per_token_ms: list[float] = []

    def stream(request: httpx.Request) -> None:
        began_s = time.perf_counter()
        moments = []
        answer = llm.client.send(request, stream=True)
        answer.raise_for_status()
        for line in answer.iter_lines():
            if line.startswith("data: {") and '"content":"' in line.replace('": "', '":"'):
                moments.append(time.perf_counter())
        answer.close()
        first_ms.append((moments[0] - began_s) * 1e3)
        gaps_ms.extend((b - a) * 1e3 for a, b in pairwise(moments))
        if len(moments) > 1:
            per_token_ms.append((moments[-1] - moments[0]) * 1e3 / (len(moments) - 1))

    for _ in range(WARM_UP):
        stream(llm.request("chat", next(numbers)))
    for values in (first_ms, gaps_ms, per_token_ms):
        values.clear()
    benchmark.pedantic(stream, setup=lambda: ((llm.request("chat", next(numbers)),), {}), rounds=100)
    for name, values in (("ttft_", first_ms), ("gap_", gaps_ms), ("tpot_", per_token_ms)):
        benchmark.extra_info |= told(name, values, ("p50", "p95"))
