"""On the clock: what the emulator sends when, against what its model says, and its stamps against a client's."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import pytest
from llm_process import parameter_file, running_llm

EXACT = """
[batching]
mode = "independent"
slots = 4096
kv_tokens = 100000000
[prefill]
base_ms = 30
ms_per_token = 0
[decode]
base_ms = 8
ms_per_running = 0
"""
LOCKSTEP = """
[prefill]
base_ms = 20
ms_per_token = 0.5
[decode]
base_ms = 6
ms_per_running = 1
"""
TOKENS = 25


class Client:
    """One connection; notes the time of every read before it looks at what it read."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def stream(self, prompt: str = "hello there") -> tuple[int, list[int], dict[str, int]]:
        """Time sent, time of each content token, and the server's stamps, all in ns of one clock."""
        body: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}], "max_tokens": TOKENS}
        body |= {"ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
        data = json.dumps(body).encode()
        sent_ns = time.perf_counter_ns()
        self._socket.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))
        token_ns, rest = [], b""
        while b"[DONE]" not in rest:
            part = self._socket.recv(65536)
            now_ns = time.perf_counter_ns()
            assert part
            token_ns += [now_ns] * part.count(b'"delta":{"content"')
            rest = (rest + part)[-4096:]
        stamps = json.loads(rest[rest.rindex(b'"plimsoll":') + 11 :].split(b"}")[0] + b"}")
        return sent_ns, token_ns, stamps

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_llm("--config", parameter_file(tmp_path_factory.mktemp("exact"), EXACT)) as url:
        yield url


@pytest.fixture
def client(exact: str) -> Iterator[Client]:
    connected = Client(exact)
    yield connected
    connected.close()


def lateness_ms(client: Client, model_ms: Callable[[int], float], runs: int = 5, prompt: str = "hello") -> list[float]:
    """How much later than the model each token of some runs was read, sorted; the client's own delays are in it."""
    late_ms = []
    for _ in range(runs):
        sent_ns, token_ns, _ = client.stream(prompt)
        assert len(token_ns) == TOKENS
        late_ms += [(at_ns - sent_ns) / 1e6 - model_ms(index) for index, at_ns in enumerate(token_ns)]
    return sorted(late_ms)


def test_no_token_is_early_and_some_are_on_time(client: Client) -> None:
    late_ms = lateness_ms(client, lambda index: 30 + 8 * index)
    assert late_ms[0] > -0.1
    assert late_ms[len(late_ms) // 20] < 1  # other work on the machine delays many, a wrong schedule all


def test_lateness_does_not_add_up(client: Client) -> None:
    late_ms: list[list[float]] = [[], []]
    for _ in range(5):
        sent_ns, token_ns, _ = client.stream()
        for index, at_ns in enumerate(token_ns):
            late_ms[index >= TOKENS // 2].append((at_ns - sent_ns) / 1e6 - (30 + 8 * index))
    early, late = (min(half) for half in late_ms)
    assert late < early + 1


def test_the_servers_stamps_bracket_what_the_client_saw(client: Client) -> None:
    to_server_ms, to_client_ms = [], []
    for _ in range(8):
        sent_ns, token_ns, stamps = client.stream()
        order = [sent_ns, stamps["received_ns"], stamps["first_token_ns"], token_ns[0], stamps["done_ns"], token_ns[-1]]
        assert order == sorted(order)
        to_server_ms.append((stamps["received_ns"] - sent_ns) / 1e6)
        to_client_ms.append((token_ns[0] - stamps["first_token_ns"]) / 1e6)
    assert min(to_server_ms) < 1
    assert min(to_client_ms) < 1


def test_a_lockstep_engine_reads_its_prompt_and_then_steps(tmp_path: Path) -> None:
    with running_llm("--config", parameter_file(tmp_path, LOCKSTEP)) as url:
        client = Client(url)
        late_ms = lateness_ms(client, lambda index: 20 + 0.5 * 100 + 7 * index, prompt=" ".join(["word"] * 96))
        client.close()
    assert late_ms[0] > -0.1
    assert late_ms[len(late_ms) // 20] < 1


@pytest.mark.prove
def test_on_a_quiet_machine_every_gap_matches_the_model_within_a_millisecond(client: Client) -> None:
    runs = [client.stream() for _ in range(20)]
    ttft_ms = [(token_ns[0] - sent_ns) / 1e6 for sent_ns, token_ns, _ in runs]
    gaps_ms = [(b - a) / 1e6 for _, token_ns, _ in runs for a, b in pairwise(token_ns)]
    assert median(ttft_ms) == pytest.approx(30, abs=0.5)
    assert sum(abs(gap_ms - 8) < 1 for gap_ms in gaps_ms) / len(gaps_ms) > 0.99
