"""Whatever JSON is sent, a dialect understands it or refuses it as its provider would; and answers are what was asked."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.reference.embedding import count_tokens
from targets.reference.llm.anthropic_api import Anthropic
from targets.reference.llm.api import ApiError, Timing
from targets.reference.llm.openai_api import OpenAI, embedding_inputs
from targets.reference.llm.parameters import Output
from targets.reference.llm.text import Ask, Writer, is_korean

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "messages",
    "max_tokens",
    "stream",
    "stream_options",
    "n",
    "system",
    "response_format",
    "ignore_eos",
    "min_tokens",
)
messages = st.lists(st.fixed_dictionaries({"role": st.text(max_size=5), "content": st.text() | any_json}), max_size=3)
requests = st.dictionaries(st.sampled_from(KEYS), any_json).flatmap(
    lambda body: st.builds(lambda found: body | {"messages": found}, messages | any_json)
)


@settings(max_examples=200)
@given(requests, st.sampled_from([OpenAI("m"), Anthropic("m")]))
def test_any_body_is_answered_or_refused(body: dict[str, Any], dialect: OpenAI | Anthropic) -> None:
    try:
        call = dialect.parse(body)
    except ApiError as error:
        assert error.status == 400
        assert json.loads(dialect.error(error))["error"]["message"]
        return
    ask = call.ask if 0 < call.ask.max_tokens < 500 else Ask(call.ask.messages, 50, json_keys=call.ask.json_keys)
    answer = Writer(Output(), 1).write(ask)
    frames = dialect.frames(call, answer, 1, 0)
    stream = frames.opening + b"".join(frames.before + piece + frames.after for piece in answer.pieces)
    for line in (stream + frames.closing(Timing(1, 2, 3))).decode().splitlines():
        if line.startswith("data: {"):
            json.loads(line[6:])
    json.loads(dialect.whole(call, answer, 1, 0, Timing(1, 2, 3)))


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["input", "dimensions", "encoding_format"]), any_json))
def test_any_embedding_request_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        texts, dimensions, _ = embedding_inputs(body, 512)
    except ApiError as error:
        assert error.status == 400
    else:
        assert texts and all(texts) and 1 <= dimensions <= 512


@pytest.mark.parametrize("prompt", ["환불은 어떻게 하나요?", "how are refunds handled?", "🙂", ""])
def test_an_answer_has_as_many_tokens_as_it_says_in_the_prompts_language(prompt: str) -> None:
    answer = Writer(Output(), 1).write(Ask((("user", prompt),), 500))
    text = json.loads(answer.literal)
    assert count_tokens(text) == len(answer.pieces)
    assert is_korean(text) == is_korean(prompt)


def test_lengths_follow_the_distribution_and_the_seed() -> None:
    asks = [Ask((("user", f"question {number}"),), 10_000) for number in range(2000)]
    writer = Writer(Output(median_tokens=100, sigma=0.5), 1)
    lengths = sorted(len(writer.write(ask).pieces) for ask in asks)
    assert lengths[1000] == pytest.approx(100, rel=0.05)
    assert lengths[int(0.841 * 2000)] == pytest.approx(100 * 2.718**0.5, rel=0.07)  # one sigma
    other = Writer(Output(median_tokens=100, sigma=0.5), 2)
    assert [len(other.write(ask).pieces) for ask in asks[:20]] != [len(writer.write(ask).pieces) for ask in asks[:20]]
    assert [writer.write(ask) for ask in asks[:20]] == [
        Writer(Output(median_tokens=100, sigma=0.5), 1).write(ask) for ask in asks[:20]
    ]
