"""When a stream's tokens came, and whether the stream was whole."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.tokens import EVENTS, TOKENIZER, USAGE, TokenStream
from measurements.sample import NULL, Outcome

MS = 1_000_000


def stream(*events: Any, end: bytes = b"") -> TokenStream:
    """Each event comes 10 ms after the one before it; a dict is JSON, bytes are sent as they are."""
    made = TokenStream()
    for number, event in enumerate(events, 1):
        data = event if isinstance(event, bytes) else f"data: {json.dumps(event)}\n\n".encode()
        made.hear(data, number * 10 * MS)
    if end:
        made.hear(end, (len(events) + 1) * 10 * MS)
    made.read()
    return made


def delta(finish: str | None = None, **content: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": content, "finish_reason": finish}]}


def usage(out: Any, into: Any = 12) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": into, "completion_tokens": out}}


DONE = b"data: [DONE]\n\n"


def test_a_first_chunk_with_only_a_role_is_no_token() -> None:
    made = stream(delta(role="assistant", content=""), delta(content="안녕"), delta(content="!"), delta("stop"), DONE)
    assert made.first_token_ns == 20 * MS
    assert list(made.at_ns) == [20 * MS, 30 * MS]
    assert made.verdict() == (Outcome.ok, "")


@pytest.mark.parametrize("empty", [{"content": ""}, {"content": None}, {}])
def test_empty_deltas_are_no_tokens(empty: dict[str, Any]) -> None:
    made = stream(delta(**empty), delta(content="a"), delta(**empty), delta("stop"))
    assert list(made.at_ns) == [20 * MS]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_is_timed_apart_and_is_no_first_token(key: str) -> None:
    made = stream(delta(**{key: "hmm"}), delta(**{key: "so"}), delta(content="42"), delta("stop"))
    assert (made.first_reasoning_ns, made.first_token_ns) == (10 * MS, 30 * MS)
    assert made.counts() == (1, EVENTS, [1])


def test_without_usage_an_event_is_one_token_and_says_so() -> None:
    assert stream(delta(content="a"), delta(content="bcd"), delta("stop")).counts() == (2, EVENTS, [1, 1])


def test_the_usage_chunk_is_no_token_but_tells_their_number() -> None:
    made = stream(delta(content="aa"), delta(content="bbbbbb"), delta("stop"), usage(8), DONE)
    assert len(made.at_ns) == 2
    assert made.counts() == (8, USAGE, [2, 6])
    assert made.usage_in == 12


def test_reasoning_tokens_in_the_usage_are_not_spread_over_the_answer() -> None:
    told = {"choices": [], "usage": {"completion_tokens": 700, "completion_tokens_details": {"reasoning_tokens": 692}}}
    made = stream(delta(reasoning_content="long"), delta(content="aaaa"), delta(content="bbbb"), delta("stop"), told)
    assert made.counts() == (8, USAGE, [4, 4])
    hidden = stream(delta(content="aaaa"), delta(content="bbbb"), delta("stop"), usage(700))
    assert hidden.counts() == (2, EVENTS, [1, 1])  # 700 tokens are not in eight characters


@settings(max_examples=200)
@given(sizes=st.lists(st.integers(1, 500), min_size=1, max_size=60), factor=st.floats(0, 3))
def test_several_tokens_in_one_event_are_spread_by_length_at_least_one_each_and_add_up(
    sizes: list[int], factor: float
) -> None:
    spare = int(factor * sum(sizes))
    total = len(sizes) + spare
    made = stream(*(delta(content="x" * size) for size in sizes), delta("stop"), usage(total))
    tokens, source, each = made.counts()
    assert (tokens, source) == (total, USAGE)
    assert sum(each) == total and min(each) >= 1
    share = spare / sum(sizes)
    assert all(abs(count - 1 - share * size) <= 1 for count, size in zip(each, sizes, strict=True))


def words(text: str) -> int:
    return len(text.split())


def test_without_usage_a_tokenizer_counts_the_whole_text_and_the_events_share_it() -> None:
    made = TokenStream(words)
    for number, text in enumerate(["one two thr", "ee", " four five six"], 1):
        made.hear(f"data: {json.dumps(delta(content=text))}\n\n".encode(), number * 10 * MS)
    made.hear(DONE, 40 * MS)
    number, source, per_event = made.counts()
    assert (number, source) == (6, TOKENIZER)
    assert sum(per_event) == 6 and min(per_event) >= 1 and per_event[0] > per_event[1]
    assert made.counts() == (number, source, per_event)


def test_the_servers_count_goes_before_the_tokenizers() -> None:
    made = TokenStream(words)
    for event in (delta(content="one two"), delta("stop"), usage(5)):
        made.hear(f"data: {json.dumps(event)}\n\n".encode(), 10 * MS)
    assert made.counts()[:2] == (5, USAGE)


def test_a_cut_stream_is_a_protocol_error_even_if_every_event_was_whole() -> None:
    made = stream(delta(content="half of the ans"))
    assert made.verdict() == (Outcome.protocol_error, "the stream was cut before its end marker")


def test_a_stream_cut_inside_an_event_is_a_protocol_error() -> None:
    made = stream(b"data: hello\n\n", end=b"data: wor")
    assert made.verdict() == (Outcome.protocol_error, "the stream was cut inside an event")


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls"])
def test_a_finish_reason_or_done_ends_a_stream(reason: str) -> None:
    assert stream(delta(content="a"), delta(reason)).verdict() == (Outcome.ok, "")
    assert stream(delta(content="a"), DONE).verdict() == (Outcome.ok, "")


def test_plain_text_events_are_tokens_and_need_no_end_marker() -> None:
    made = stream(b"data: one\n\n", b"data:\n\n", b"data: two\n\n")
    assert list(made.at_ns) == [10 * MS, 30 * MS]
    assert made.verdict() == (Outcome.ok, "")


@pytest.mark.parametrize("key", ["content", "text", "token", "delta", "answer"])
def test_services_own_json_events_are_read_by_their_usual_keys(key: str) -> None:
    made = stream({key: "판"}, {key: "례"}, {"done": True, "usage": {"input_tokens": 3, "output_tokens": 2}})
    assert made.counts() == (2, USAGE, [1, 1]) and made.usage_in == 3
    assert made.verdict() == (Outcome.ok, "")


def anthropic(*texts: str, stop: bool = True, out: int = 7) -> list[bytes]:
    def event(kind: str, **more: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    made = [
        event("message_start", message={"usage": {"input_tokens": 25, "output_tokens": 1}}),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hmm"}),
        *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": out}),
    ]
    return [*made, event("message_stop")] if stop else made


def test_anthropic_events_count_text_alone_and_take_the_final_usage() -> None:
    made = stream(*anthropic("Hello", " there"))
    assert list(made.at_ns) == [50 * MS, 60 * MS]
    assert made.first_reasoning_ns == 40 * MS
    assert (made.counts()[0], made.counts()[1], made.usage_in) == (7, USAGE, 25)
    assert made.verdict() == (Outcome.ok, "")


def test_an_anthropic_stream_without_its_stop_is_cut() -> None:
    assert stream(*anthropic("Hello", stop=False)).verdict()[0] is Outcome.protocol_error


def test_an_error_event_is_the_services_error_with_its_words() -> None:
    made = stream(delta(content="a"), {"error": {"message": "upstream overloaded", "type": "server_error"}})
    assert made.verdict() == (Outcome.http_error, "error event: upstream overloaded")
    overloaded = stream(
        b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}\n\n'
    )
    assert overloaded.verdict() == (Outcome.http_error, "error event: busy")


def test_an_error_key_that_is_empty_is_no_error() -> None:
    made = stream({"token": "a", "error": None}, {"token": "b", "error": None}, {"done": True, "error": None})
    assert made.verdict() == (Outcome.ok, "") and len(made.at_ns) == 2


def test_an_answer_without_any_token_has_no_first_one() -> None:
    made = stream(delta("stop"), usage(0), DONE)
    assert made.first_token_ns == NULL
    assert made.counts() == (0, EVENTS, [])


HOSTILE = [
    {"choices": 5}, {"choices": "x"}, {"choices": [5]}, {"choices": [None]}, {"choices": [{"delta": 5}]},
    {"choices": [{"delta": {"content": 5}}]}, {"choices": [{"delta": {"content": {"a": 1}}}]}, {"choices": [], "usage": 5},
    {"usage": [1]}, {"type": 5}, {"type": "content_block_delta", "delta": 5}, {"type": "content_block_delta", "delta": {"text": 5}},
    {"type": "message_start", "message": 5}, {"type": "message_delta", "usage": "x"}, {"error": 5}, {"error": []},
    {"error": {"message": {"a": [1]}}}, {"choices": {}}, b"data: {\n\n", b'data: {"a": 1e999}\n\n', b'data: {"a": "\xff"}\n\n',
    b"data: {}\n\n", b"data: []\n\n", b"data: null\n\n", b"data: \x00\n\n",
]  # fmt: skip


@pytest.mark.parametrize("event", HOSTILE, ids=[str(event) for event in HOSTILE])
def test_a_hostile_event_is_at_worst_a_protocol_error_and_never_an_exception(event: Any) -> None:
    made = stream(event, delta(content="a"), delta("stop"), DONE)
    outcome, why = made.verdict()
    assert outcome in (Outcome.ok, Outcome.protocol_error, Outcome.http_error)
    assert "not HTTP" not in why
    made.counts()


ONE_EACH = [
    b"data: %b\n\n" % json.dumps(event).encode()
    for event in (
        delta(content="ab"),
        delta(reasoning="hm"),
        delta(content=""),
        usage(7),
        delta("stop"),
        {"error": "busy"},
    )
]
OTHER_WAYS = [
    DONE, b"data: plain words\n\n", b": comment\n\n", b"\xef\xbb\xbfdata: x\n\n", b"data: a\r\n\r\n", b"data: a\r", b"\n", b"\n\n",
    b"data: \n\ndata: two\n\n", b'event: done\ndata: {"text": "b"}\n\n', b'data: {"choices": [{"text": "c"}]}\n', b"data:x\n\n",
    b'data: {"a": 1},{"b": 2}\n\n', b"data: {\n\n", b"data: half", b"data: 1\ndata: 2\n\n",
]  # fmt: skip


@settings(max_examples=400)
@given(chunks=st.lists(st.sampled_from(ONE_EACH * 3 + OTHER_WAYS), max_size=12), counted=st.booleans())
def test_held_and_read_later_a_stream_says_what_it_would_have_said_read_chunk_by_chunk(
    chunks: list[bytes], counted: bool
) -> None:
    at_once, one_by_one = TokenStream(words if counted else None), TokenStream(words if counted else None)
    for number, chunk in enumerate(chunks, 1):
        at_once.hear(chunk, number)
        one_by_one.hear(chunk, number)
        one_by_one.read()
    assert at_once.verdict() == one_by_one.verdict()
    assert at_once.counts() == one_by_one.counts()
    for name in ("at_ns", "sizes", "first_token_ns", "first_reasoning_ns", "usage_in", "usage_out", "finished"):
        assert getattr(at_once, name) == getattr(one_by_one, name), name
    assert at_once.reader.pending == one_by_one.reader.pending


@pytest.mark.parametrize("count", [10**30, 2**31, -5, True, 1.5, "9", None])
def test_a_hostile_usage_is_not_believed(count: Any) -> None:
    made = stream(delta(content="a"), delta(content="b"), delta("stop"), usage(count, into=count))
    tokens, _, each = made.counts()
    assert 0 <= tokens < 2**31 and all(0 <= share < 2**31 for share in each)
    assert NULL <= made.usage_in < 2**31


def test_after_a_malformed_event_nothing_more_is_taken_in() -> None:
    made = stream(b"data: {broken\n\n")
    for _ in range(100):
        made.hear(b"x" * 65_536, 0)
    assert made.verdict() == (Outcome.protocol_error, made.error)
    assert made.error.startswith("malformed event stream")
    assert not made.reader.pending
