"""Recording a provider and serving the recording: same answers, same times, no secrets, no surprise bill."""

import json
import time
from collections.abc import Iterator
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from llm_process import parameter_file, running_llm

from targets.reference.llm import recorder, redaction, serve
from targets.reference.llm.recording import RecordingError, content_of, read, request_hash, usage_of

PROVIDER = """
[batching]
mode = "independent"
[prefill]
base_ms = 60
ms_per_token = 0
[decode]
base_ms = 15
ms_per_running = 0
[quota]
requests_per_min = 5
"""
SECRET = "sk-abcdefghijklmnopqrstuvwxyz123456"
CHAT: dict[str, Any] = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "refund please"}]}
STREAMED = CHAT | {"stream": True, "stream_options": {"include_usage": True}}


def timed(url: str, path: str, body: dict[str, Any]) -> tuple[bytes, list[float], Message]:
    """The answer, and for each piece of it the milliseconds since the request."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.connect()
    began = time.perf_counter()
    connection.request("POST", path, json.dumps(body), {"authorization": f"Bearer {SECRET}", "x-api-key": SECRET})
    response = connection.getresponse()
    pieces = []
    while piece := response.read1():
        pieces.append((time.perf_counter() - began, piece))
    connection.close()
    return b"".join(piece for _, piece in pieces), [at_s * 1000 for at_s, _ in pieces], response.headers


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[bytes]]]:
    """A recording of a second emulator: two dialects, plain and streamed, and the refusal of a sixth request."""
    folder = tmp_path_factory.mktemp("recorded")
    out = folder / "provider.jsonl"
    with running_llm("--config", parameter_file(folder, PROVIDER)) as provider:
        options = ("--record", provider, "--record-to", str(out), "--price", "0.5,1.5")
        with running_llm(*options) as proxy:
            answers = [timed(proxy, "/v1/chat/completions", body)[0] for body in (CHAT, STREAMED)]
            answers += [timed(proxy, "/v1/messages", CHAT | {"stream": stream})[0] for stream in (False, True)]
            answers.append(timed(proxy, "/v1/embeddings", {"model": "m", "input": "환불", "api_key": SECRET})[0])
            timed(proxy, "/v1/chat/completions", CHAT | {"max_tokens": 3})
    yield out, answers


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A quick emulator to record."""
    config = '[batching]\nmode = "independent"\n[prefill]\nbase_ms = 1\n[decode]\nbase_ms = 2\n'
    with running_llm("--config", parameter_file(tmp_path_factory.mktemp("provider"), config)) as url:
        yield url


def test_every_exchange_is_written_with_its_tokens_times_and_cost(recorded: tuple[Path, list[bytes]]) -> None:
    plain, streamed, message, message_stream, embedding, refused = read(recorded[0]).exchanges
    for exchange in (plain, streamed, message, message_stream):
        assert exchange.status == 200
        assert (exchange.completion_tokens, exchange.tokens_source) == (8, "provider")
        assert exchange.cost_usd == pytest.approx((exchange.prompt_tokens * 0.5 + 8 * 1.5) / 1000)
    for exchange in (streamed, message_stream):
        times_ms = [at_ns / 1e6 for at_ns in exchange.token_ns()]
        assert len(times_ms) == 8
        assert 60 <= times_ms[0] < 60 + 25
        assert times_ms[-1] >= 60 + 7 * 15 and (times_ms[-1] - times_ms[0]) / 7 == pytest.approx(15, abs=4)
    assert embedding.prompt_tokens > 0
    assert (refused.status, refused.headers["retry-after"]) == (429, "12")


def test_no_secret_is_in_the_file(recorded: tuple[Path, list[bytes]]) -> None:
    text = recorded[0].read_text(encoding="utf-8")
    assert SECRET not in text and "Bearer" not in text and "authorization" not in text
    assert "refund please" in text and redaction.REMOVED in text


def test_a_replay_gives_the_same_answers_at_the_same_times(recorded: tuple[Path, list[bytes]]) -> None:
    out, answers = recorded
    with running_llm("--replay", str(out)) as url:
        got = [timed(url, "/v1/chat/completions", body) for body in (CHAT, STREAMED)]
        got += [timed(url, "/v1/messages", CHAT | {"stream": stream}) for stream in (False, True)]
        got.append(timed(url, "/v1/embeddings", {"input": "환불", "model": "m", "api_key": "another"}))
    assert [body for body, _, _ in got] == answers
    exchanges = read(out).exchanges
    for (_, at_ms, headers), exchange in zip(got[:4], exchanges[:4], strict=True):
        assert headers["content-type"] == exchange.headers["content-type"]
        last_ms = exchange.events[-1][0] / 1e6
        assert last_ms <= at_ms[-1] < last_ms + 25  # never early; late by what a busy machine makes it
    first_token_ms = got[1][1][1]  # the piece after the role's
    assert exchanges[1].token_ns()[0] / 1e6 <= first_token_ms < exchanges[1].token_ns()[0] / 1e6 + 25


def test_an_unrecorded_request_is_refused_with_its_hash_or_emulated_when_told_so(
    recorded: tuple[Path, list[bytes]],
) -> None:
    other = CHAT | {"max_tokens": 5}
    with running_llm("--replay", str(recorded[0])) as url:
        chat, message = (httpx.post(url + path, json=other) for path in ("/v1/chat/completions", "/v1/messages"))
    assert (chat.status_code, chat.json()["error"]["code"]) == (404, "not_recorded")
    assert request_hash("POST", "/v1/chat/completions", other) in chat.json()["error"]["message"]
    assert (message.status_code, message.json()["error"]["type"]) == (404, "not_found_error")
    with running_llm("--replay", str(recorded[0]), "--emulate-unrecorded") as url:
        assert httpx.post(f"{url}/v1/chat/completions", json=other).json()["usage"]["completion_tokens"] == 5


def test_several_recordings_of_one_request_take_turns(tmp_path: Path, provider: str) -> None:
    out = tmp_path / "twice.jsonl"
    with running_llm("--record", provider, "--record-to", str(out)) as proxy:
        asked = [httpx.post(f"{proxy}/v1/chat/completions", json=CHAT).json()["id"] for _ in range(2)]
    with running_llm("--replay", str(out)) as url:
        got = [httpx.post(f"{url}/v1/chat/completions", json=CHAT).json()["id"] for _ in range(4)]
    assert got == asked * 2


def test_a_client_that_leaves_early_is_not_recorded(tmp_path: Path, provider: str) -> None:
    out = tmp_path / "left.jsonl"
    with running_llm("--record", provider, "--record-to", str(out)) as proxy:
        with httpx.stream("POST", f"{proxy}/v1/chat/completions", json=STREAMED | {"max_tokens": 500}) as response:
            next(response.iter_raw())
        until = time.monotonic() + 2
        while not httpx.get(f"{proxy}/health").json()["left_out"] and time.monotonic() < until:
            time.sleep(0.01)
        assert httpx.get(f"{provider}/health").json()["running"] == 0
    assert read(out).exchanges == []


def test_an_upstream_that_does_not_answer_is_a_502_in_the_providers_shape(tmp_path: Path) -> None:
    with running_llm("--record", "http://127.0.0.1:9", "--record-to", str(tmp_path / "none.jsonl")) as proxy:
        response = httpx.post(f"{proxy}/v1/messages", json=CHAT)
    assert (response.status_code, response.json()["error"]["type"]) == (502, "api_error")


def test_the_budget_ends_the_recording_before_it_is_overspent(tmp_path: Path, provider: str) -> None:
    out = tmp_path / "paid.jsonl"
    options = ("--record", provider, "--record-to", str(out), "--price", "0,1", "--max-usd", "0.02")
    with running_llm(*options) as proxy:
        status = [httpx.post(f"{proxy}/v1/chat/completions", json=CHAT).status_code for _ in range(4)]
    assert status == [200, 200, 429, 429]  # 8 tokens at 1 USD per 1,000: the third could end above 0.02
    assert sum(exchange.cost_usd or 0 for exchange in read(out).exchanges) <= 0.02


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        ({"record": "https://192.0.2.1.invalid", "record_to": "x"}, 5, "costs money; give its prices"),
        ({"record": "https://8.8.8.8", "record_to": "x", "price": "1,2"}, 5, "costs money; give its prices"),
        ({"record": "ftp://host", "record_to": "x"}, 2, "is not an address to record"),
        ({"record": "http://127.0.0.1:9", "record_to": __file__}, 2, "is there already"),
        ({"record": "http://127.0.0.1:9", "record_to": "x", "price": "1"}, 2, "option price"),
        ({"replay": "nowhere.jsonl"}, 2, "nowhere.jsonl: cannot be read"),
        ({"replay": "a", "fit": "b"}, 2, "replay and fit exclude each other"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    capsys: pytest.CaptureFixture[str], options: dict[str, str], code: int, sentence: str
) -> None:
    with pytest.raises(SystemExit, match=str(code)):
        serve(options=options)
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_a_recording_has_one_reader(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        serve(workers=2, replay=Path("a"))
    assert "replay works with one worker; leave --workers at 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("upstream", "path", "joined"),
    [
        ("https://api.openai.com", "/v1/models", "https://api.openai.com/v1/models"),
        ("https://api.openai.com/v1", "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://gateway/openai", "/v1/models?limit=1", "https://gateway/openai/v1/models?limit=1"),
    ],
)
def test_a_base_url_may_end_in_the_version(upstream: str, path: str, joined: str) -> None:
    assert recorder._join(upstream, path) == joined


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://127.0.0.1:9", True),
        ("http://localhost", True),
        ("http://10.1.2.3", True),
        ("http://[::1]:80", True),
        ("http://8.8.8.8", False),
        ("http://no-such-host.invalid", False),
    ],
)
def test_only_private_addresses_are_free(url: str, private: bool) -> None:
    assert recorder.is_private(url) == private


def test_a_recording_cut_by_a_kill_is_read_up_to_the_cut(tmp_path: Path, recorded: tuple[Path, list[bytes]]) -> None:
    text = recorded[0].read_text(encoding="utf-8")
    cut = tmp_path / "cut.jsonl"
    cut.write_text(text[:-200], encoding="utf-8")
    assert len(read(cut).exchanges) == 5
    cut.write_text(text.replace('{"hash"', '{"hush"', 1), encoding="utf-8")
    with pytest.raises(RecordingError, match="line 2: is not a recorded exchange"):
        read(cut)
    cut.write_text(text.replace('"plimsoll_llm_recording": 1', '"plimsoll_llm_recording": 9'), encoding="utf-8")
    with pytest.raises(RecordingError, match="is version 9, this program reads version 1"):
        read(cut)


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": "plain-looking", "nested": [{"Authorization": "x", "access_token": "y", "password": "z"}]},
        {"messages": [{"content": f"my key is {SECRET} and AKIAABCDEFGHIJKLMNOP"}]},
        {"header": "Bearer abcdefgh12345678", "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"},
    ],
)
def test_secrets_are_known_by_name_and_by_look(body: dict[str, Any]) -> None:
    text = json.dumps(redaction.json_value(body))
    for secret in ("plain-looking", '"x"', '"y"', '"z"', SECRET, "AKIAABC", "abcdefgh1234", "eyJ"):
        assert secret not in text


def test_what_only_sounds_like_a_secret_is_kept() -> None:
    body = {"max_tokens": 5, "tokens": 7, "key_points": ["a"], "monkey": "b", "author": "c", "prompt_tokens": 3}
    assert redaction.json_value(body) == body


def test_redacted_requests_keep_their_hash_whatever_the_secret() -> None:
    one, two = ({"input": "a", "api_key": key, "n": 1} for key in ("k1", "k2"))
    assert request_hash("POST", "/v1/x", one) == request_hash("POST", "/v1/x", dict(reversed(two.items())))
    assert request_hash("POST", "/v1/x", one) != request_hash("POST", "/v1/x", one | {"n": 2})


@pytest.mark.parametrize(
    ("event", "content"),
    [
        ('data: {"choices":[{"delta":{"role":"assistant","content":""}}]}', ""),
        ('data: {"choices":[{"delta":{"content":"a"}}]}\ndata: [DONE]', "a"),
        ('data: {"choices":[{"delta":{"reasoning_content":"think"}}]}', "think"),
        (
            'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"b"}}',
            "b",
        ),
        ('data: {"choices":[],"usage":{"prompt_tokens":1}}', ""),
        (": comment\n\ndata: not json", ""),
    ],
)
def test_only_content_counts_as_a_token(event: str, content: str) -> None:
    assert content_of(event) == content


def test_usage_is_found_where_each_provider_puts_it() -> None:
    start = 'data: {"type":"message_start","message":{"usage":{"input_tokens":11,"output_tokens":1}}}'
    delta = 'data: {"type":"message_delta","usage":{"output_tokens":42}}'
    assert usage_of([start, delta], streamed=True) == (11, 42)
    assert usage_of(['{"usage":{"prompt_tokens":3,"completion_tokens":4}}'], streamed=False) == (3, 4)
    assert usage_of(["data: {}"], streamed=True) is None
