"""Known secrets go, however many there are and wherever a text is cut."""

from hypothesis import given
from hypothesis import strategies as st

from measurements.redaction import FEW, Redactor

TOKENS = [f"client-{k:04d}-{k * 7919 % 10007:05d}" for k in range(400)]


def test_many_tokens_are_cut_out_as_a_few_are() -> None:
    many, few = Redactor(TOKENS), Redactor(TOKENS[:2])
    assert len(TOKENS) > FEW
    text = f"a {TOKENS[0]} b {TOKENS[1]}{TOKENS[0]} c"
    assert many.known(text) == few.known(text) == "a *** b ****** c"
    assert many.known(f"{TOKENS[399]}, {TOKENS[17]}") == "***, ***"


@given(st.lists(st.sampled_from(["x", "-", *TOKENS[:5], "0001"]), max_size=12))
def test_no_known_token_is_left_in_any_text(parts: list[str]) -> None:
    found = Redactor(TOKENS).known("".join(parts))
    assert not any(token in found for token in TOKENS)


def test_of_two_secrets_of_which_one_holds_the_other_the_longer_goes_whole() -> None:
    short, long = "abcd-efgh", "abcd-efgh-ijkl"
    assert Redactor([*TOKENS, short, long]).known(f"<{long}> <{short}>") == "<***> <***>"


def test_a_secret_that_the_cut_halves_goes_too() -> None:
    body = f"answer {TOKENS[7]} and more".encode()
    for cut in range(len("answer ") + 4, len("answer ") + len(TOKENS[7]) + 1):
        assert Redactor(TOKENS).beginning(body, cut) == "answer ***"
    assert Redactor([]).beginning(body, 10) == "answer cli"


def test_what_looks_like_a_credential_goes_in_any_spelling() -> None:
    redact = Redactor()
    for text in ("Authorization: Bearer abcdefgh", "API-KEY=abcdefgh", '"token": "abcdefgh"', "PASSWORD: abcdefgh"):
        assert "abcdefgh" not in redact(text), text
    assert redact("nothing of the kind, as a cat sat on the mat") == "nothing of the kind, as a cat sat on the mat"
