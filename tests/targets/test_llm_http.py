"""Both providers' APIs as their clients see them, on a running emulator."""

import base64
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from llm_process import parameter_file, running_llm

from targets.reference.llm import serve
from targets.reference.llm.parameters import load

QUICK = """
[prefill]
base_ms = 5
ms_per_token = 0.01
[decode]
base_ms = 1
ms_per_running = 0.01
[embedding]
base_ms = 1
[batching]
slots = 8
max_waiting = 2
"""


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    config = parameter_file(tmp_path_factory.mktemp("llm"), QUICK)
    with running_llm("--config", config) as url, httpx.Client(base_url=url, timeout=10) as client:
        yield client


def chat(prompt: str = "환불은 어떻게 신청하나요?", **more: Any) -> dict[str, Any]:
    return {"model": "any", "messages": [{"role": "user", "content": prompt}], **more}


def eventually(llm: httpx.Client, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The engine's health once it is as wanted, at most 10 s from now."""
    until = time.monotonic() + 10
    while not wanted(health := llm.get("/health").json()):
        assert time.monotonic() < until, health
        time.sleep(0.01)
    return health


def openai_events(response: httpx.Response) -> list[Any]:
    return [
        line[6:] if line == "data: [DONE]" else json.loads(line[6:])
        for line in response.text.split("\n\n")
        if line.startswith("data: ")
    ]


def test_a_plain_chat_answer_has_openais_shape_and_says_what_it_is(llm: httpx.Client) -> None:
    response = llm.post("/v1/chat/completions", json=chat(max_tokens=30))
    body = response.json()
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 30
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + 30
    assert (response.headers["x-emulator"], body["model"]) == ("plimsoll", "plimsoll-emulator")
    assert body["system_fingerprint"] == "fp_plimsoll_emulator"


def test_a_stream_begins_with_the_role_and_ends_with_reason_usage_and_done(llm: httpx.Client) -> None:
    asked = chat(max_tokens=9, stream=True, stream_options={"include_usage": True})
    response = llm.post("/v1/chat/completions", json=asked)
    assert response.headers["content-type"].startswith("text/event-stream")
    role, *deltas, finish, usage, done = openai_events(response)
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert len(deltas) == 9 and all(event["choices"][0]["delta"]["content"] for event in deltas)
    assert finish["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] == 9
    assert all(event["usage"] is None for event in (role, *deltas, finish))
    assert done == "[DONE]"


def test_without_include_usage_no_event_speaks_of_usage(llm: httpx.Client) -> None:
    events = openai_events(llm.post("/v1/chat/completions", json=chat(max_tokens=3, stream=True)))
    assert len(events) == 1 + 3 + 1 + 1 and not any("usage" in event for event in events[:-1])


def test_plain_and_streamed_answers_to_one_request_are_the_same_text(llm: httpx.Client) -> None:
    plain = llm.post("/v1/chat/completions", json=chat()).json()
    events = openai_events(llm.post("/v1/chat/completions", json=chat(stream=True)))
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in events[:-1])
    assert text == plain["choices"][0]["message"]["content"]
    assert plain["choices"][0]["finish_reason"] == "stop"


def test_the_seed_decides_the_answer(llm: httpx.Client) -> None:
    mine = llm.post("/v1/chat/completions", json=chat("hello there")).json()["choices"][0]["message"]["content"]
    answers = []
    for seed in ("1", "2"):
        with running_llm("--seed", seed) as url:
            asked = chat("hello there", max_tokens=40)
            answers.append(httpx.post(f"{url}/v1/chat/completions", json=asked).json()["choices"][0]["message"])
    assert answers[0] != answers[1]
    assert mine.startswith("On hello there:")


def test_ignore_eos_gives_exactly_the_tokens_asked_for(llm: httpx.Client) -> None:
    body = llm.post("/v1/chat/completions", json=chat(max_tokens=333, ignore_eos=True)).json()
    assert body["usage"]["completion_tokens"] == 333


@pytest.mark.parametrize(
    ("prompt", "variable"), [("택배 배송 시작 알림톡", "송장번호"), ("진료 예약 확정 안내", "예약일시")]
)
def test_a_prompt_that_asks_for_json_gets_a_template(llm: httpx.Client, prompt: str, variable: str) -> None:
    asked = chat(f"{prompt}을 JSON으로 작성하세요. 키: title, body, buttons, variables")
    template = json.loads(llm.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]["content"])
    assert set(template) == {"title", "body", "buttons", "variables"}
    assert variable in template["variables"] and f"#{{{variable}}}" in template["body"]


def test_a_json_schema_decides_the_keys(llm: httpx.Client) -> None:
    properties = {"score": {"type": "integer"}, "why": {"type": "string"}}
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"properties": properties}}}
    body = llm.post("/v1/chat/completions", json=chat("rate it", response_format=wanted)).json()
    answer = json.loads(body["choices"][0]["message"]["content"])
    assert isinstance(answer["score"], int) and isinstance(answer["why"], str)


def test_a_plain_message_has_anthropics_shape(llm: httpx.Client) -> None:
    response = llm.post("/v1/messages", json=chat(max_tokens=12, system="answer briefly"))
    body = response.json()
    assert (body["type"], body["role"], body["stop_reason"]) == ("message", "assistant", "max_tokens")
    assert body["content"][0]["type"] == "text" and body["content"][0]["text"]
    assert body["usage"]["output_tokens"] == 12


def test_a_message_stream_has_anthropics_events_in_order(llm: httpx.Client) -> None:
    response = llm.post("/v1/messages", json=chat(max_tokens=3, stream=True))
    blocks = [block.split("\n") for block in response.text.strip().split("\n\n")]
    names = [name.removeprefix("event: ") for name, _ in blocks]
    data = [json.loads(line.removeprefix("data: ")) for _, line in blocks]
    assert names == [
        *("message_start", "content_block_start", "ping"),
        *["content_block_delta"] * 3,
        *("content_block_stop", "message_delta", "message_stop"),
    ]
    assert [event["type"] for event in data] == names
    assert data[3]["delta"]["type"] == "text_delta"
    assert data[-2]["delta"]["stop_reason"] == "max_tokens" and data[-2]["usage"]["output_tokens"] == 3


def test_embeddings_come_as_numbers_or_base64(llm: httpx.Client) -> None:
    plain = llm.post("/v1/embeddings", json={"model": "m", "input": ["환불", "refund"]}).json()
    packed = llm.post("/v1/embeddings", json={"model": "m", "input": "환불", "encoding_format": "base64"}).json()
    numbers = plain["data"][0]["embedding"]
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert len(numbers) == len(raw) // 4 >= 384
    assert list(struct.unpack(f"<{len(numbers)}f", raw)) == pytest.approx(numbers)
    assert [item["index"] for item in plain["data"]] == [0, 1]


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/v1/chat/completions", b"{", 400, "invalid_request_error"),
        ("/v1/chat/completions", b"[]", 400, "invalid_request_error"),
        ("/v1/chat/completions", b'{"messages": []}', 400, "invalid_request_error"),
        ("/v1/chat/completions", b'{"messages": [{"role": "user", "content": 3}]}', 400, "invalid_request_error"),
        ("/v1/chat/completions", json.dumps(chat(max_tokens=0)).encode(), 400, "invalid_request_error"),
        ("/v1/chat/completions", json.dumps(chat(max_tokens=99_999)).encode(), 400, "invalid_request_error"),
        ("/v1/chat/completions", json.dumps(chat(n=2)).encode(), 400, "invalid_request_error"),
        ("/v1/embeddings", b'{"input": []}', 400, "invalid_request_error"),
        ("/v1/messages", json.dumps(chat()).encode(), 400, "invalid_request_error"),
        ("/v1/nothing", b"{}", 404, "invalid_request_error"),
        ("/v1/models", b"{}", 405, "invalid_request_error"),
    ],
)
def test_a_bad_request_gets_the_providers_error(
    llm: httpx.Client, path: str, body: bytes, status: int, kind: str
) -> None:
    response = llm.post(path, content=body)
    assert response.status_code == status
    answer = response.json()
    assert answer["error"]["type"] == kind and answer["error"]["message"]
    assert ("type" in answer) == (path == "/v1/messages")


def test_a_full_engine_refuses_with_retry_after_in_both_dialects(llm: httpx.Client) -> None:
    slow = chat(max_tokens=4000, ignore_eos=True, stream=True)
    streams = [llm.stream("POST", "/v1/chat/completions", json=slow) for _ in range(10)]
    for stream in streams:
        stream.__enter__()
    full = eventually(llm, lambda health: health["running"] == 8)
    refused = [llm.post(path, json=chat(max_tokens=5)) for path in ("/v1/chat/completions", "/v1/messages")]
    for stream in streams:
        stream.__exit__(None, None, None)
    assert (full["running"], full["waiting"]) == (8, 2)
    assert [response.status_code for response in refused] == [429, 429]
    assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
    assert refused[1].json()["error"]["type"] == "overloaded_error"


def test_a_client_that_leaves_frees_its_slot(llm: httpx.Client) -> None:
    words = chat(max_tokens=7_000, ignore_eos=True, stream=True)
    with llm.stream("POST", "/v1/chat/completions", json=words) as answer:
        assert answer.status_code == 200, answer.read()
        eventually(llm, lambda health: health["running"] == 1)
    assert eventually(llm, lambda health: health["running"] == 0)


def test_metrics_have_vllms_names_and_count_what_happened(llm: httpx.Client) -> None:
    def value(name: str) -> float:
        lines = [line for line in llm.get("/metrics").text.splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    before = value("vllm:generation_tokens_total"), value("plimsoll_emulator_requests_total")
    llm.post("/v1/chat/completions", json=chat(max_tokens=17, ignore_eos=True))
    assert value("vllm:generation_tokens_total") - before[0] == 17
    assert value("plimsoll_emulator_requests_total") - before[1] == 1
    for name in ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"):
        assert value(name) == 0


def test_quotas_are_told_in_each_providers_headers_and_end_in_429(tmp_path: Path) -> None:
    config = parameter_file(tmp_path, QUICK + "[quota]\nrequests_per_min = 2\ntokens_per_min = 10000\n")
    with running_llm("--config", config) as url:
        first, second, third = (httpx.post(f"{url}/v1/chat/completions", json=chat(max_tokens=3)) for _ in range(3))
        message = httpx.post(f"{url}/v1/messages", json=chat(max_tokens=3))
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert int(second.headers["x-ratelimit-remaining-tokens"]) < 10_000
    assert (third.status_code, third.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(third.headers["retry-after"]) <= 30
    assert message.json()["error"]["type"] == "rate_limit_error"
    assert message.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert message.headers["anthropic-ratelimit-requests-reset"].endswith("Z")


def raw(llm: httpx.Client, data: bytes, until: bytes) -> bytes:
    with socket.create_connection((llm.base_url.host, llm.base_url.port or 80), timeout=5) as connection:
        connection.sendall(data)
        got = b""
        while until not in got and (part := connection.recv(65536)):
            got += part
    return got


def test_pipelined_requests_are_answered_in_order(llm: httpx.Client) -> None:
    got = raw(
        llm, b"GET /v1/models HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\nConnection: close\r\n\r\n", b"worst_lateness"
    )
    assert got.index(b'"object": "list"') < got.index(b'"status": "ok"')


def test_hundreds_of_pipelined_requests_are_all_answered(llm: httpx.Client) -> None:
    last = b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert raw(llm, b"GET /health HTTP/1.1\r\n\r\n" * 500 + last, b"never").count(b"HTTP/1.1 200") == 501


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x00hello\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"])
def test_garbage_is_answered_with_400_and_closed(llm: httpx.Client, garbage: bytes) -> None:
    assert raw(llm, garbage, b"never").startswith(b"HTTP/1.1 400 ")


def test_an_http_1_0_client_gets_a_stream_that_ends_with_the_connection(llm: httpx.Client) -> None:
    body = json.dumps(chat(max_tokens=3, stream=True)).encode()
    got = raw(llm, b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), b"never")
    assert b"chunked" not in got and got.endswith(b"data: [DONE]\n\n")


def refusal(capsys: pytest.CaptureFixture[str], code: int, **options: Any) -> str:
    """What serving with these options says before it ends with this exit code."""
    with pytest.raises(SystemExit, match=str(code)):
        serve(**options)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_a_port_in_use_is_one_sentence_and_exit_code_4(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(capsys, 4, port=port)
    assert said == f"llm: port {port} on 127.0.0.1 is in use; choose another with --port, or --port 0 for a free one.\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[batching]\nslot = 3", "batching.slot: unknown key; did you mean slots?"),
        ("[batching]\nslots = 0", "batching.slots: input should be greater than or equal to 1, not 0."),
        ("[batching", "is not valid TOML"),
    ],
)
def test_a_bad_parameter_file_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    assert sentence in refusal(capsys, 2, config=Path(parameter_file(tmp_path, text)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batching.slot": "3"}, "batching.slot: unknown key; did you mean slots?"),
        ({"configs": "x"}, "llm: option configs: unknown key; did you mean config?"),
        ({"seed": "many"}, "llm: option seed: input should be a valid integer"),
    ],
)
def test_a_bad_option_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], options: dict[str, str], sentence: str
) -> None:
    assert sentence in refusal(capsys, 2, options=options)


def test_single_parameters_can_be_set_over_a_shape() -> None:
    parameters = load(Path("llama-8b-h100"), {"batching.slots": "8", "decode.base_ms": "1.5"})
    assert (parameters.batching.slots, parameters.decode.base_ms, parameters.decode.knee_running) == (8, 1.5, 110)


def test_two_workers_share_a_port_and_leave_nothing_behind() -> None:
    command = [sys.executable, "-m", "targets.reference.llm", "--port", "0", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    url = process.stderr.readline().split()[4]
    assert httpx.get(f"{url}/health").status_code == 200
    process.send_signal(signal.SIGINT)
    assert (process.wait(5), process.stderr.read()) == (0, "")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def test_workers_end_when_their_parent_is_killed() -> None:
    command = [sys.executable, "-m", "targets.reference.llm", "--port", "0", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    url = process.stderr.readline().split()[4]
    process.kill()
    process.wait(5)
    process.stderr.read()  # ends when the last worker has closed it
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")
