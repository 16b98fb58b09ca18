"""What stands behind a percentage of failures: texts, examples, and no secret in either."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadtests.evidence import EXCERPT_BYTES, Evidence
from measurements.redaction import Redactor
from measurements.sample import Outcome

CANARY = "sk-Canary7f3e99aZbQ"


class Book:
    """An Evidence with its two files, read back."""

    def __init__(self, folder: Path, *secrets: str) -> None:
        self.paths = (folder / "errors.jsonl", folder / "examples.jsonl")
        self.evidence = Evidence(*self.paths, Redactor(secrets))

    def lines(self, number: int) -> list[dict[str, Any]]:
        path = self.paths[number]
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    @property
    def errors(self) -> list[dict[str, Any]]:
        return self.lines(0)

    @property
    def examples(self) -> list[dict[str, Any]]:
        return self.lines(1)

    def everything(self) -> str:
        return "".join(path.read_text("utf-8") for path in self.paths if path.exists())


def test_numbers_and_addresses_do_not_tell_errors_apart_but_words_do(tmp_path: Path) -> None:
    book = Book(tmp_path)
    first = book.evidence.error("worker 12 failed at 0xdeadbeef after 3 s")
    assert book.evidence.error("worker 7 failed at 0x00ff00ff after 44 s") == first
    assert book.evidence.error("worker 7 gave up") != first
    assert [entry["pattern"] for entry in book.errors] == ["worker # failed at # after # s", "worker # gave up"]


def test_a_status_is_no_number_like_others(tmp_path: Path) -> None:
    book = Book(tmp_path)
    assert len({book.evidence.error(f"status {code}") for code in (429, 500, 503)}) == 3
    assert [entry["pattern"] for entry in book.errors] == ["status 429", "status 500", "status 503"]


def test_an_error_has_the_same_fingerprint_in_every_load_process(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert Book(tmp_path / "a").evidence.error("status 500") == Book(tmp_path / "b").evidence.error("status 500") >= 0


def test_each_kind_of_error_is_written_once_however_often_it_comes(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for number in range(30_000):
        book.evidence.error(f"request {number} failed")
    for number in range(30_000):
        book.evidence.error(f"queue {number} is full")
    assert len(book.errors) == 2


def test_kinds_of_errors_are_bounded_so_that_a_hostile_server_cannot_fill_the_disk(tmp_path: Path) -> None:
    book = Book(tmp_path)
    letters = "abcdefghijklmnopqrstuvwxyz"
    ids = {book.evidence.error("".join(letters[(n // 26**k) % 26] for k in range(4))) for n in range(15_000)}
    assert len(book.errors) <= 1_001 and len(ids) <= 1_001
    assert book.errors[-1]["pattern"] == "(more kinds of errors)"


def example(book: Book, outcome: Outcome, response_ns: int, seq: int = 0, body: bytes = b"") -> None:
    if book.evidence.wants(outcome, response_ns):
        book.evidence.example(outcome, response_ns, {"seq": seq, "response_ms": response_ns / 1e6}, body)


def test_the_first_five_of_each_outcome_and_the_ten_slowest_are_kept(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for seq in range(100):
        example(book, Outcome.ok, 1_000 + (seq * 37) % 100, seq)
        example(book, Outcome.timeout, 10, 1_000 + seq)
    book.evidence.close()
    first = [e for e in book.examples if e["why"].startswith("first 5")]
    assert [e["seq"] for e in first if e["outcome"] == "ok"] == [0, 1, 2, 3, 4]
    assert [e["seq"] for e in first if e["outcome"] == "timeout"] == [1_000, 1_001, 1_002, 1_003, 1_004]
    slowest = [e["response_ms"] for e in book.examples if e["why"] == "slowest 10"]
    assert slowest == [(1_099 - k) / 1e6 for k in range(10)]


def test_examples_are_on_disk_at_once_so_that_a_killed_process_leaves_them(tmp_path: Path) -> None:
    book = Book(tmp_path)
    example(book, Outcome.http_error, 5, 7, b"oops")
    assert [(e["seq"], e["body"]) for e in book.examples] == [(7, "oops")]


def test_only_the_first_two_kib_of_a_body_are_kept(tmp_path: Path) -> None:
    book = Book(tmp_path)
    example(book, Outcome.ok, 5, body=b"x" * 10_000)
    assert len(book.examples[0]["body"]) == EXCERPT_BYTES


def test_bytes_that_are_no_text_are_kept_as_replacement_characters(tmp_path: Path) -> None:
    book = Book(tmp_path)
    example(book, Outcome.ok, 5, body="판".encode()[:2] + b"\xff\x00")
    assert book.examples[0]["body"].startswith("�")


@pytest.mark.parametrize("offset", range(EXCERPT_BYTES - len(CANARY) - 1, EXCERPT_BYTES + 1))
def test_a_secret_that_the_server_echoes_is_cut_out_also_where_the_excerpt_ends(tmp_path: Path, offset: int) -> None:
    book = Book(tmp_path, CANARY)
    example(book, Outcome.ok, 5, body=b"." * offset + CANARY.encode() + b"tail")
    assert CANARY[:4] not in book.everything()


@pytest.mark.parametrize("form", ["p%2Fss+w%C3%B6rd%3D", "p/ss w\\u00f6rd=", "cC9zcyB3w7ZyZD0="])
def test_a_secret_is_found_as_urls_json_and_basic_carry_it(form: str) -> None:
    assert Redactor(["p/ss wörd="])(f"<{form}>") == "<***>"


def test_a_secret_in_an_error_is_cut_out_of_excerpt_and_pattern(tmp_path: Path) -> None:
    book = Book(tmp_path, CANARY)
    book.evidence.error(f"error event: bad key {CANARY} for user 5")
    assert "Canary" not in book.everything() and "aZbQ" not in book.everything()
    assert book.errors[0]["pattern"] == "error event: bad key *** for user #"


@pytest.mark.parametrize(
    "text",
    ['{"api_key": "abcd1234efgh"}', "Authorization: Bearer abcd1234efgh", "password=abcd1234efgh&x=1", "token: abcd1234efgh",
     "Basic abcd1234efgh=="],
)  # fmt: skip
def test_what_looks_like_a_credential_is_cut_out_unknown_as_it_is(text: str) -> None:
    assert "abcd1234efgh" not in Redactor()(text)


def test_a_secret_that_holds_another_is_cut_out_whole_and_trifles_are_left_alone() -> None:
    redact = Redactor(["abcd", "abcd-efgh", "x"])
    assert redact("say abcd-efgh to x") == "say *** to x"
