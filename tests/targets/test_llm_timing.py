"""On the clock: what the emulator sends when, against what its model says, and its stamps against a client's."""

import json
import socket
import time
from collections.abc import Iterator
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
TOKENS = 40


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


def test_first_token_and_every_gap_match_the_model_within_a_millisecond(exact: str) -> None:
    client = Client(exact)
    runs = [client.stream() for _ in range(6)]
    client.close()
    ttft_ms = [(token_ns[0] - sent_ns) / 1e6 for sent_ns, token_ns, _ in runs]
    tpot_ms = [(token_ns[-1] - token_ns[0]) / 1e6 / (TOKENS - 1) for _, token_ns, _ in runs]
    gaps_ms = sorted((b - a) / 1e6 for _, token_ns, _ in runs for a, b in pairwise(token_ns))
    assert all(len(token_ns) == TOKENS for _, token_ns, _ in runs)
    assert median(ttft_ms) == pytest.approx(30, abs=1)
    assert median(tpot_ms) == pytest.approx(8, abs=0.1)  # absolute deadlines: nothing adds up
    assert gaps_ms[len(gaps_ms) // 20] > 7
    assert gaps_ms[-len(gaps_ms) // 20] < 9


def test_the_servers_stamps_bracket_what_the_client_saw(exact: str) -> None:
    client = Client(exact)
    sent_ns, token_ns, stamps = min((client.stream() for _ in range(4)), key=lambda run: run[1][0] - run[0])
    client.close()
    assert sent_ns < stamps["received_ns"] < stamps["first_token_ns"] < token_ns[0] < stamps["done_ns"] < token_ns[-1]
    assert stamps["received_ns"] - sent_ns < 1e6
    assert token_ns[0] - stamps["first_token_ns"] < 1e6


def test_a_lockstep_engine_reads_its_prompt_and_then_steps(tmp_path: Path) -> None:
    prompt = " ".join(["word"] * 96)
    with running_llm("--config", parameter_file(tmp_path, LOCKSTEP)) as url:
        client = Client(url)
        runs = [client.stream(prompt) for _ in range(5)]
        client.close()
    ttft_ms = median((token_ns[0] - sent_ns) / 1e6 for sent_ns, token_ns, _ in runs)
    tpot_ms = median((token_ns[-1] - token_ns[0]) / 1e6 / (TOKENS - 1) for _, token_ns, _ in runs)
    assert ttft_ms == pytest.approx(20 + 0.5 * 100, abs=1.5)
    assert tpot_ms == pytest.approx(7, abs=0.1)
