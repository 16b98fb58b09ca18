"""Hashed n-grams: neighbours make sense, the numbers are the same everywhere, and counting follows one rule."""

import subprocess
import sys
import time

import numpy as np
import pytest

from targets.reference.embedding import DIMENSIONS, count_tokens, embed, tokenize


@pytest.mark.parametrize(
    ("text", "paraphrase", "unrelated"),
    [
        ("환불은 어떻게 신청하나요?", "환불 신청 방법을 알려주세요", "휴가 신청 방법을 알려주세요"),
        ("배송이 늦어지고 있습니다", "배송 도착이 늦어요", "비밀번호를 바꾸고 싶습니다"),
        ("임대차 계약 해지와 보증금 반환", "보증금을 돌려받고 임대차 계약을 해지", "교통사고 과실 비율과 손해배상"),
        ("How do I reset my password?", "Password reset does not work", "What is the weather in Seoul?"),
        ("cancel the order and refund", "I want a refund for a cancelled order", "How do I connect to the printer?"),
    ],
)
def test_a_paraphrase_is_nearer_than_an_unrelated_text(text: str, paraphrase: str, unrelated: str) -> None:
    mine, near, far = embed([text, paraphrase, unrelated])
    assert mine @ near > mine @ far + 0.05


def test_vectors_are_unit_length_and_wide_enough() -> None:
    vectors = embed(["가나다", "one two", "?", ""])
    assert vectors.shape == (4, DIMENSIONS)
    assert DIMENSIONS >= 384
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0, 0], atol=1e-6)


def test_a_text_gets_the_same_vector_alone_and_among_thousands() -> None:
    many = [f"문서 {number} 번 본문 document {number} " * 12 for number in range(2000)]
    assert np.array_equal(embed(many)[1234], embed([many[1234]])[0])


def test_another_process_gives_the_same_vectors() -> None:
    code = "from targets.reference.embedding import embed; print(embed(['환불 refund']).tobytes().hex())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == embed(["환불 refund"]).tobytes().hex()


def test_several_thousand_short_texts_take_less_than_a_second() -> None:
    texts = [f"{number} 번 주문의 배송 상태를 알려 주세요" for number in range(4000)]
    began = time.process_time()
    embed(texts)
    assert time.process_time() - began < 1


def test_broken_unicode_is_embedded_like_any_text() -> None:
    assert embed(["broken \ud800 text"]).shape == (1, DIMENSIONS)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("refund", 1),
        ("password", 2),
        ("How are you?", 4),
        ("환불", 1),
        ("환불은", 2),
        ("2026", 2),
        ("日本", 2),
    ],
)
def test_tokens_follow_the_stated_rule(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


def test_tokens_joined_give_the_text_back() -> None:
    text = "  환불은, how?\n\n 2026년 🙂 끝 "
    assert "".join(tokenize(text)) == text
