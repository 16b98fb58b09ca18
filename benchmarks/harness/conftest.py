"""Fixtures of the harness: a started service with one client, and what goes into the saved rows beside the timings."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from measurements.quantiles import distribution
from targets.contract import Contract, Endpoint
from targets.contract_file import load
from targets.control import Deployment
from targets.payload import Payloads

TARGETS = Path(__file__).parents[2] / "targets"
# An engine of our own that answers within milliseconds: the service's code is what is timed, not the emulated model.
QUICK_LLM = (
    "plimsoll serve llm --port {port} --set prefill.base_ms=1 --set prefill.ms_per_token=0.01 --set decode.base_ms=0.5 "
    "--set decode.ms_per_running=0 --set output.median_tokens=60 --set embedding.base_ms=1"
)


class Asking:
    """One client, one connection, the contract's own requests."""

    def __init__(self, contract: Contract, base_url: str) -> None:
        self._payloads = Payloads(contract, 1, "bench")
        self._endpoints = {endpoint.name: endpoint for endpoint in contract.endpoint}
        self.client = httpx.Client(base_url=base_url, timeout=30.0, trust_env=False)

    def endpoint(self, name: str) -> Endpoint:
        return self._endpoints[name]

    def request(self, name: str, number: int) -> httpx.Request:
        """Another number, another payload."""
        asked = self._payloads.request(self._endpoints[name], number)
        return self.client.build_request(asked.method, asked.path, headers=asked.header, content=asked.body)

    def send(self, request: httpx.Request) -> bytes:
        answer = self.client.send(request)
        answer.raise_for_status()
        return answer.content


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Asking]]:
    """`started("kakao")`: that embedded service behind a quick engine, stopped when the module is through."""
    running: list[Deployment] = []

    def start(name: str) -> Asking:
        contract = load(TARGETS / f"{name}.toml")
        control = contract.target.control
        assert control is not None
        quick = {
            "start": QUICK_LLM if name == "llm" else control.start,
            "needs": [need.model_copy(update={"start": QUICK_LLM}) for need in control.needs if need.name == "llm"]
            + [need for need in control.needs if need.name != "llm"],
        }
        target = contract.target.model_copy(update={"control": control.model_copy(update=quick)})
        changed = contract.model_copy(update={"target": target})
        changed._folder = contract.folder
        running.append(Deployment(changed, tmp_path_factory.mktemp(name)))
        running[-1].__enter__()
        return Asking(changed, running[-1].base_urls[0])

    yield start
    for deployment in running:
        deployment.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def percentiles(request: pytest.FixtureRequest) -> Iterator[None]:
    """p50, p95 and p99 of the rounds into the row's extra_info; where they are too few, what the figure is at least."""
    benchmark: Any = request.getfixturevalue("benchmark") if "benchmark" in request.fixturenames else None
    yield
    if benchmark is not None and benchmark.stats is not None:
        benchmark.extra_info |= told(
            "", [seconds * 1e3 for seconds in benchmark.stats.stats.data], ("p50", "p95", "p99")
        )


def told(what: str, times_ms: list[float], quantiles: Sequence[str]) -> dict[str, float | None]:
    """`<what>p95_ms` and its kin; `…_at_least` with them where the sample carries only a bound."""
    found = distribution(np.array(times_ms)).quantiles
    return {f"{what}{name}_ms": found[name].value for name in quantiles} | {
        f"{what}{name}_ms_at_least": bound for name in quantiles if (bound := found[name].at_least) is not None
    }


@pytest.fixture(scope="session", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a process loads and reserves once is no bench's own: Arrow's memory pool, numpy's and scipy's tables."""
    pa.array(np.arange(100_000)).cast(pa.float64())
    distribution(np.random.default_rng(1).random(1_000))
