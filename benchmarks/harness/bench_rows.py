"""The spine's hot pieces: contract substitution, quantiles of as many as ten million rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from measurements.quantiles import distribution
from targets.contract import Endpoint
from targets.contract_file import load
from targets.payload import Payloads

KAKAO = Path(__file__).parents[2] / "targets" / "kakao.toml"
REQUESTS = (100, 1_000, 10_000)
ROWS = (100_000, 1_000_000, 10_000_000)
TEN_MILLION_S, TEN_MILLION_MIB = 2.0, 400


@pytest.fixture(scope="module")
def filled() -> tuple[Payloads, Endpoint]:
    contract = load(KAKAO)
    return Payloads(contract, 1, "bench"), contract.endpoint[0]


@pytest.mark.benchmark(group="contract")
@pytest.mark.parametrize("size", REQUESTS)
def bench_contract_substitution(benchmark: Any, filled: tuple[Payloads, Endpoint], size: int) -> None:
    benchmark.extra_info |= {"size": size, "unit": "request"}
    payloads, endpoint = filled
    benchmark(lambda: [payloads.request(endpoint, number) for number in range(size)])


@pytest.fixture(scope="module")
def response_ms() -> np.ndarray:
    return np.random.default_rng(1).lognormal(3, 1, max(ROWS))


@pytest.mark.limit_memory(f"{TEN_MILLION_MIB} MB")
@pytest.mark.benchmark(group="rows")
@pytest.mark.parametrize("size", ROWS)
def bench_quantiles(benchmark: Any, response_ms: np.ndarray, size: int) -> None:
    """With their intervals and batch means. Ten million rows: within two seconds, in bounded memory."""
    benchmark.extra_info |= {"size": size, "unit": "row"}
    found = benchmark.pedantic(distribution, args=(response_ms[:size],), rounds=3)
    assert found.quantiles["p99_9"].value is not None
    if size == max(ROWS) and benchmark.stats is not None:
        assert benchmark.stats.stats.min <= TEN_MILLION_S
